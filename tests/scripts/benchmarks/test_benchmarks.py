"""Every benchmark runs to its end on little data, and measures what it says."""

import importlib.util
import re
from pathlib import Path

import layer_map
import measure
import peers
import pytest

from tests.conftest import TINY, rejection
from tests.tiny_bert import tiny_bert

SMALL = ["--rounds", "1", "--threads", "1", "dataset.max_examples=64"]


def number(printed: str, words: str) -> float:
    """The first number after some words."""
    found = re.search(rf"{re.escape(words)}\D*?([\d.,]+)", printed)
    assert found, f"{words!r} is not in:\n{printed}"
    return float(found[1].replace(",", ""))


@pytest.mark.slow
def test_encode(shared_output: Path, capsys) -> None:
    pytest.importorskip("sentence_transformers")
    peers.main(["encode", *SMALL, "--texts", "16", *tiny_bert(shared_output)])
    printed = capsys.readouterr().out
    assert number(printed, "least cosine of two vectors:") > 0.9999
    assert 0 < number(printed, "fraction of limit:") < 1.5
    assert printed.count("sentence-transformers, batches of") == 3


@pytest.mark.slow
def test_finetune(shared_output: Path, capsys) -> None:
    pytest.importorskip("accelerate")
    small = ["--texts", "16", "--bf16", "batch_size=8"]
    peers.main(["finetune", *SMALL[:4], *small, *tiny_bert(shared_output), "pooler=cls"])
    printed = capsys.readouterr().out
    losses = [float(loss) for loss in re.findall(r"training loss ([\d.]+)", printed)]
    assert len(losses) == 6
    # The same weights and texts in every variant.
    assert max(losses) - min(losses) < 0.2
    assert 0 < number(printed, "fraction of limit:") < 1


def test_a_missing_peer_is_named(monkeypatch, shared_output: Path) -> None:
    overrides = [*SMALL, *tiny_bert(shared_output)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    message = rejection(lambda: peers.main(["encode", *overrides]))
    assert "sentence_transformers is not installed" in message


def test_input(shared_output: Path, capsys) -> None:
    peers.main(["input", *SMALL, "batch_size=8", *tiny_bert(shared_output)])
    # Far below the ratio on an idle machine.
    assert number(capsys.readouterr().out.split("Dataset and collator")[1], "  ") > 0


def test_bad_input_is_rejected() -> None:
    assert "unknown pooler" in rejection(lambda: measure.compose("pooler=nope"))
    assert "single run" in rejection(lambda: measure.compose("pooler=mean,max"))
    assert "Hugging Face encoder" in rejection(lambda: peers.main(["input", *SMALL, *TINY]))
    with pytest.raises(SystemExit):
        peers.main(["input", "--rounds", "0"])


def test_a_user_error_ends_with_exit_code_2(capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        measure.run(lambda: peers.main(["input", "pooler=nope"]))
    assert "unknown pooler 'nope'" in capsys.readouterr().err


def test_layer_map(shared_output: Path, capsys) -> None:
    small = ["--texts", "16", "layers.index=0,2", "pooler=mean,max", *tiny_bert(shared_output)]
    layer_map.main([*SMALL, *small])
    assert number(capsys.readouterr().out, "map of 4 vectors") > 0
