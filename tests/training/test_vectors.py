"""Poolers that learn nothing pool every text once; nothing else about a cell changes."""

import numpy as np
import pytest
import torch

from poolbench.data.collate import make_batch
from poolbench.training.session import model_of, prepare
from tests.conftest import SMALL, asked
from tests.poolers.test_contract import POOLERS

LEARN_NOTHING = {
    "cls",
    "idf_mean",
    "last",
    "logsumexp",
    "max",
    "max_attention",
    "mean",
    "mean_max",
    "mean_sqrt",
    "mean_std",
    "min",
    "power_mean",
    "soft_max",
    "sum",
    "topk_mean",
    "weighted_mean",
    "window_mean_max",
}


def model(output_dir, *overrides: str):
    one = asked(*SMALL, "encoder=scratch", f"output_dir={output_dir}", *overrides).cfg
    return model_of(one, prepare(one)), prepare(one).corpus


@pytest.mark.parametrize("pooler", POOLERS)
def test_vectors_are_what_the_pooler_gives_in_any_batch(pooler: str, shared_output) -> None:
    classify, corpus = model(shared_output, f"pooler={pooler}", "pooled_tokens=all")
    assert (classify.vectors is not None) == (pooler in LEARN_NOTHING)
    if classify.vectors is None:
        return
    assert len(classify.vectors) == len(corpus.labels)
    for rows in ([5, 90, 17], [3]):
        batch = make_batch(corpus, torch.tensor(rows))
        pooled = classify.pool(classify.encoder(batch), batch)
        torch.testing.assert_close(classify.vectors[rows], pooled, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "overrides",
    [
        ["pooler=pitfall/unmasked_mean"],  # depends on the batch
        ["layers=scalar_mix"],  # learns
        ["cache=off"],
        ["encoder.tuning=full"],
    ],
)
def test_what_may_change_is_pooled_again_each_time(overrides: list[str], shared_output) -> None:
    classify, _ = model(shared_output, *overrides)
    assert classify.vectors is None


def test_a_cell_ends_where_it_would_without_them(run, monkeypatch) -> None:
    same = ["pooler=max", "encoder=scratch", "pooled_tokens=content", "layers=last4_mean"]
    same += ["encoder.layers=3"]
    fast = run(*same, "study=fast")
    monkeypatch.setattr("poolbench.training.session.poolable_once", lambda model: False)
    slow = run(*same, "study=slow")
    logits = [np.load(r["folder"] / "predictions.npz")["logits"] for r in (fast, slow)]
    np.testing.assert_allclose(*logits, rtol=1e-4, atol=1e-5)
    assert fast["digests"] == slow["digests"]
    assert [r["trained_on"] for r in (fast, slow)] == ["pooled vectors", "stored states"]
    kept = torch.load(fast["folder"] / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert not any("vectors" in name for name in kept)
