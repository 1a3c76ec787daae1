"""Runs on long texts: what truncation loses and windows find; late and early pooling train."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from poolbench.runs.record import RunRecord
from poolbench.training.session import Session
from tests.conftest import TINY, logits, plan, rejection
from tests.training.test_gpu_path import INPUTS, module_of

FILLERS = [
    "the",
    "train",
    "left",
    "at",
    "noon",
    "and",
    "came",
    "back",
    "with",
    "nobody",
    "in",
    "it",
]
SIGNALS = {"positive": "wonderful", "negative": "terrible"}
WINDOW = 32  # tokens
Run = Callable[..., RunRecord]


def long_texts(path: Path, window: int, number: int = 200) -> str:
    """Texts of about four windows; their class is one word, in the middle of window ``window``."""
    draw = random.Random(0)
    rows = []
    for i in range(number):
        words = draw.choices(FILLERS, k=4 * (WINDOW - 2))
        label = sorted(SIGNALS)[i % 2]
        words[window * (WINDOW - 2) + draw.randrange(5, WINDOW - 5)] = SIGNALS[label]
        rows.append({"text": " ".join(words), "label": label})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 3])
def test_a_signal_beyond_the_first_window_is_lost_by_truncation_and_found_in_windows(
    run: Run, tmp_path: Path, window: int
) -> None:
    data = ["dataset=files", f"dataset.train={long_texts(tmp_path / 'long.jsonl', window)}"]
    settings = [*data, "dataset.max_examples=null", "trainer.max_epochs=15", "patience=15"]
    settings += ["encoder=minilm", "optimizer.lr=1e-2", "pooler=max"]
    truncated = run(*settings, f"encoder.max_length={WINDOW}")
    assert truncated.metrics["test/accuracy"] < 0.75
    assert truncated.data.cut_texts == truncated.data.texts == 200
    windows = ["encoder.max_length=256", f"encoder.windows.size={WINDOW}"]
    for across in ([], ["pooler@across=max"]):
        found = run(*settings, *windows, *across)
        assert found.metrics["test/accuracy"] > 0.9
        assert found.data.cut_texts == 0


WINDOWS = ["encoder.max_length=64", "encoder.windows.size=12", "encoder.windows.stride=6"]


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("across", [[], ["pooler@across=attention"]], ids=["late", "early"])
def test_no_training_step_on_windows_reads_a_value(
    session: Session, shared_output: Path, inputs: str, across: list[str]
) -> None:
    """And gradients reach the encoder; on the meta device there are no values."""
    overrides = [*WINDOWS, *across, "pooler=attention", f"output_dir={shared_output}"]
    module, batch = module_of(session, *overrides, *INPUTS[inputs])
    assert batch.windows
    assert batch.windows > len(batch)
    meta = torch.device("meta")
    module.to(meta).on_train_epoch_start()
    module.training_step(batch.to(meta), 0).backward()
    trained = [p for p in module.parameters() if p.requires_grad]
    assert sum(p.grad is not None for p in trained) > len(trained) // 2


@pytest.mark.parametrize("tuning", ["frozen", "full"])
def test_early_pooling_of_single_windows_is_pooling_bit_by_bit(run: Run, tuning: str) -> None:
    """No text has more than 98 tokens here, and the mean of one vector is that vector."""
    common = [*TINY, f"encoder.tuning={tuning}", "pooler=attention", "encoder.max_length=99"]
    windows = ["encoder.windows.size=98"]
    plain, late, early = (
        run(*common, *own) for own in ([], windows, [*windows, "pooler@across=mean"])
    )
    assert np.array_equal(logits(late), logits(plain))
    assert np.array_equal(logits(early), logits(plain))
    assert early.run.pooler == "attention-then-mean"
    assert len({r.run.digest for r in (plain, late, early)}) == 3


@pytest.mark.parametrize(
    "choices", [["batching=padded"], ["batching=grouped"], ["pooled_tokens=content"]]
)
def test_tuned_encoders_train_on_windows(run: Run, choices: list[str]) -> None:
    across = ["pooler=mean", "pooler@across=self_attentive", "certify=true"]
    record = run(*TINY, *WINDOWS, *across, *choices, "encoder.tuning=full")
    assert all(line.kept for line in record.certificate.values())
    assert record.parameters.pooler > 0


def test_what_a_single_special_token_leaves_out_is_noted(run: Run) -> None:
    late = run(*TINY, *WINDOWS, "pooler=cls")
    assert any("first window alone" in note for note in late.notes)
    early = run(*TINY, *WINDOWS, "pooler=cls", "pooler@across=mean")
    assert not any("first window alone" in note for note in early.notes)


@pytest.mark.parametrize(
    ("command", "message"),
    {
        "across=max": "write pooler@across=max",
        "pooler@across=null": "the name of one file of conf/pooler",
        "pooler@across=[mean,max]": "the name of one file of conf/pooler",
        "pooler@across=meen": "did you mean mean?",
        "pooler@across=idf_mean": "needs token_counts, token_ids",
        "pooler@across=topk_mean across.k=0": "across.k=0",
        "pooler@across=mean": "set encoder.windows.size",
        "encoder.windows.size=0": "encoder.windows.size=0: expected greater than 0",
        "encoder.windows.size=600": "512 positions",
        "encoder.windows.size=128": "raise encoder.max_length",
        "encoder.windows.size=8 encoder.windows.stride=0": "encoder.windows.stride=0",
        "encoder.windows.size=8 encoder.windows.stride=9": "encoder.windows.stride=6 or less",
        "encoder=embedding +encoder.windows.size=8": "unknown key encoder.windows",
    }.items(),
)
def test_windows_that_cannot_work_are_rejected_while_planning(
    command: str, message: str, tmp_path: Path, session: Session
) -> None:
    small = [word for word in TINY if "encoder=embedding" not in command]
    rejected = rejection(lambda: plan(tmp_path, *small, *command.split(), session=session))
    assert message in rejected
    assert not any(tmp_path.iterdir())
