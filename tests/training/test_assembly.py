"""Layers, pooled tokens and poolers in every combination, and the impossible ones in a sentence."""

from pathlib import Path

import pytest
import torch

from poolbench.core.errors import BadInput
from poolbench.data.collate import make_batch
from poolbench.encoders.feature_cache import encode_once
from poolbench.poolers.base import Pooler
from poolbench.poolers.self_attentive import SelfAttentivePooler
from poolbench.training.session import model_of, prepare
from tests.conftest import SMALL, asked
from tests.poolers.test_contract import POOLERS, ROOT

LAYERS = sorted(path.stem for path in (ROOT / "conf/layers").glob("*.yaml"))
SCRATCH = ["encoder=scratch", "encoder.layers=4", "dataset.max_examples=8", "cache=off"]


def cfg(*overrides: str):
    return asked(*SMALL, *SCRATCH, *overrides).cfg


def chosen(layers: str) -> list[str]:
    return [f"layers={layers}", *(["layers.index=2"] if layers == "layer" else [])]


@pytest.mark.parametrize("pooler", POOLERS)
@pytest.mark.parametrize("tokens", ["all", "content"])
@pytest.mark.parametrize("layers", LAYERS)
def test_every_combination_gives_logits_or_a_sentence(
    layers: str, tokens: str, pooler: str
) -> None:
    one = cfg(f"pooler={pooler}", f"pooled_tokens={tokens}", *chosen(layers))
    prepared = prepare(one)
    impossible = (pooler in ("cls", "native", "max_pool_bert") and tokens == "content") or (
        pooler in ("native", "max_pool_bert") and layers != "last"
    )
    if impossible:
        with pytest.raises(BadInput, match=r"Pooler .*: use (pooled_tokens=all|layers=last)"):
            model_of(one, prepared)
        return
    model = model_of(one, prepared).eval()
    special = prepared.encoder.special_ids if tokens == "content" else ()
    batch = make_batch(prepared.corpus, torch.arange(4), "right", 0, special)
    logits = model(batch)
    assert logits.shape == (4, 2)
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["layers=layer", "layers.index=5"], "layer 5 does not exist.*0 .* to 4"),
        (["layers=last4_mean", "encoder.layers=2"], "layer -4 does not exist"),
        (["layers=first_last_mean", "encoder.layers=1"], "name a layer twice"),
        (["layers=last4_mean", "encoder=embedding"], "layers=last"),
        (["pooler=native", "encoder=embedding"], "EmbeddingEncoder has no head of its own"),
        (["pooler=max_pool_bert", "pooler.layers=6"], "pooler.layers=6 but the encoder has 4"),
        (["pooler=multihead_attention", "pooler.heads=7"], "heads=7 does not divide"),
        (["pooled_tokens=most"], "pooled_tokens must be all or content"),
        (["batching=most"], "batching must be packed, padded or grouped"),
        (["layers=layer"], "layers.index needs a value"),
        (["pooler=control/projected_mean"], "pooler.width needs a value"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(overrides: list[str], message: str) -> None:
    scratch = [o for o in SCRATCH if "encoder=embedding" not in overrides or "encoder" not in o]

    def ask() -> None:
        one = asked(*SMALL, *scratch, *overrides).cfg
        model_of(one, prepare(one))

    with pytest.raises(BadInput, match=message):
        ask()


def test_content_leaves_the_special_tokens_out_of_the_pooling_alone() -> None:
    prepared = prepare(cfg())
    ids = prepared.encoder.special_ids
    batch = make_batch(prepared.corpus, torch.arange(6), "left", 0, ids)
    special = torch.isin(batch.input_ids, torch.tensor(ids)) & batch.attention_mask
    assert special.sum() == 12  # a start and an end for each text
    assert torch.equal(batch.pooling_mask, batch.attention_mask & ~special)


def test_mixes_are_what_they_say() -> None:
    one = cfg("layers=scalar_mix")
    prepared = prepare(one)
    batch = make_batch(prepared.corpus, torch.arange(4))
    states = prepared.encoder.reading((0, 1, 2, 3, 4)).eval()(batch)
    expected = {
        "last": states[:, :, 4],
        "layer": states[:, :, 2],
        "last4_mean": states[:, :, 1:].mean(2),
        "last4_concat": torch.cat([states[:, :, i] for i in (1, 2, 3, 4)], dim=2),
        "first_last_mean": (states[:, :, 1] + states[:, :, 4]) / 2,
        "scalar_mix": states.mean(2),
    }
    assert sorted(expected) == LAYERS
    for name, hidden in expected.items():
        model = model_of(cfg(*chosen(name)), prepared).eval()
        found = model.layers(model._at(model.layers.read, model.encoder(batch)))
        real = batch.attention_mask
        torch.testing.assert_close(found[real], hidden[real], rtol=1e-5, atol=1e-6)


def test_a_learned_mix_trains_behind_a_frozen_encoder(run) -> None:
    record = run("layers=scalar_mix", "encoder=scratch", "trainer.max_epochs=1")
    kept = torch.load(record["folder"] / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert (kept["model.layers.weights"] != 0).all()
    assert record["parameters"]["pooler"] == 4  # three layers and a scale


def test_stored_states_hold_the_layers_that_are_read(tmp_path: Path) -> None:
    prepared = prepare(cfg())
    batch = make_batch(prepared.corpus, torch.arange(6))
    for layers in ((2,), (1, 4)):
        encoder = prepared.encoder.reading(layers).eval()
        stored = encode_once(encoder, prepared.corpus, tmp_path, 1.0, False)
        mask = batch.attention_mask
        assert stored.layers == layers
        torch.testing.assert_close(stored(batch)[mask], encoder(batch)[mask], rtol=1e-3, atol=2e-3)


def test_token_statistics_come_from_the_training_split_alone() -> None:
    prepared = prepare(cfg("pooler=idf_mean"))
    corpus = prepared.corpus
    train = [
        token
        for row in corpus.splits["train"]
        for token in corpus.ids[corpus.starts[row] : corpus.starts[row + 1]].tolist()
    ]
    counts = corpus.token_counts
    assert counts.sum() == len(train)
    assert all(counts[token] == train.count(token) for token in set(train))


def test_the_penalty_is_part_of_the_training_loss_and_of_no_other(run) -> None:
    same = ["pooler=self_attentive", "encoder=scratch", "trainer.max_epochs=1"]
    records = [run(*same, f"pooler.penalty={p}", "optimizer.lr=1e-9") for p in (0.0, 100.0)]
    without, with_ = (record["metrics"] for record in records)
    assert with_["train/loss"] > without["train/loss"] + 10
    assert with_["test/accuracy"] == without["test/accuracy"]
    assert records[0]["history"][0]["val/loss"] == pytest.approx(
        records[1]["history"][0]["val/loss"], abs=1e-4
    )


def test_the_penalty_is_lins_formula() -> None:
    torch.manual_seed(0)
    pooler = SelfAttentivePooler(hidden_dim=8, hops=3, projection=5, penalty=0.7)
    rows = [torch.randn(n, 8) for n in (4, 2)]
    hidden = torch.full((2, 4, 8), float("nan"))
    mask = torch.zeros(2, 4, dtype=torch.bool)
    expected = []
    for i, row in enumerate(rows):
        hidden[i, : len(row)], mask[i, : len(row)] = row, True
        a = pooler.score(torch.tanh(pooler.project(row))).softmax(0).T  # (r, n)
        expected.append(((a @ a.T - torch.eye(3)) ** 2).sum())
    pooler(hidden, mask)
    assert isinstance(pooler, Pooler)
    torch.testing.assert_close(pooler.extra_loss, 0.7 * torch.stack(expected).mean())


def test_a_control_of_any_width_is_a_fixed_projection_of_the_mean() -> None:
    wide = cfg("pooler=control/projected_mean", "pooler.width=96")
    prepared = prepare(wide)
    batch = make_batch(prepared.corpus, torch.arange(4))
    first, second = (
        model_of(cfg("pooler=control/projected_mean", "pooler.width=96", f"seed={s}"), prepared)
        for s in (0, 1)
    )
    pooled = first.eval().pool(first.encoder(batch), batch)
    assert pooled.shape == (4, 96)
    torch.testing.assert_close(pooled, second.eval().pool(second.encoder(batch), batch))
    assert not list(first.pooler.parameters())
