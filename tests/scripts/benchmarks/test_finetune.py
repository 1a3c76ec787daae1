"""A pass of fine-tuning is the same work under every loop, and a wrong one does not go unseen."""

import functools
import importlib.util
from pathlib import Path
from typing import Any

import machine
import pytest
import torch
from peers import missing

from poolbench.encoders.packing import Row
from tests.scripts.benchmarks.test_benchmarks import Benchmark, check, claimed
from tests.tiny_bert import tiny_bert

APART = "training losses of 4 steps apart"
FINETUNE = ("finetune", "--rounds", "1", "--texts", "8", "--batch-size", "4")


def without(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == package else find(name, *rest),
    )


def test_every_variant_trains(benchmark: Benchmark, shared_output: Path) -> None:
    found = benchmark(*FINETUNE, "--levers", *tiny_bert(shared_output))
    check(found, 1)
    assert claimed(found, APART) < 1e-5
    assert 0 < claimed(found, "'packed', fraction of limit") < 1
    losses = found["details"]["losses"]
    assert set(losses) == set(found["seconds"])
    peers = {name for name in losses if name.startswith(("HF", "Lightning"))}
    assert bool(missing("accelerate")) == (len(peers) == 1)
    # Each side begins with the same weights every time: no pass hands its own on to the next one.
    for side in (peers, set(losses) - peers):
        before = {name: losses[name]["before"] for name in side}
        assert max(before.values()) - min(before.values()) < 0.02, before
    assert all(loss["before"] != loss["after"] for loss in losses.values())


def test_a_packed_pass_that_computes_something_else_is_seen(
    benchmark: Benchmark, shared_output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: every token stands at the first position of its text."""
    position = Row.position.func
    wrong = functools.cached_property(lambda row: torch.zeros_like(position(row)))
    wrong.__set_name__(Row, "position")
    monkeypatch.setattr(Row, "position", wrong)
    without("accelerate", monkeypatch)
    found = benchmark(*FINETUNE, *tiny_bert(shared_output))
    assert claimed(found, APART) > 1e-4


def test_what_is_not_there_is_told_and_left_out(
    benchmark: Benchmark,
    shared_output: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    without("accelerate", monkeypatch)
    monkeypatch.setattr(machine, "cpu_flags", frozenset)
    found = benchmark(*FINETUNE, *tiny_bert(shared_output))
    assert set(found["seconds"]) == {"packed", "padded", "Lightning template"}
    told = capsys.readouterr().out
    assert 'accelerate is not installed: pip install -e ".[bench]"' in told
    assert "bf16 is left out: the processor has neither avx512_bf16 nor amx_bf16" in told


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("encoder.tuning=frozen", "needs a transformer that trains: encoder.tuning=full"),
        ("encoder=scratch", "needs an encoder with a Hugging Face tokenizer"),
    ],
)
def test_an_encoder_that_one_side_cannot_train_is_refused(
    override: str, reason: str, script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([*FINETUNE, override]) == 2
    assert reason in capsys.readouterr().err
