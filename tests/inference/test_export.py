"""Exports give the logits of the trained model: texts of any length, alone and in batches."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from poolbench.inference.export_onnx import onnx_outputs, write_onnx
from poolbench.inference.export_sentence_transformers import (
    MODES,
    sentence_transformer_logits,
    write_sentence_transformer,
)
from poolbench.inference.load import load
from tests.conftest import ROOT, rejection
from tests.inference.exports import TEXTS, close, export_to, readme_program

pytestmark = pytest.mark.usefixtures("no_shape_checks")
PREFIX = "encoder.prefix='the film : '"
ONNX = [
    ["pooler=mean"],
    ["pooler=attention"],
    ["pooler=conv"],
    ["pooler=native"],
    ["pooler=gru"],
    ["pooler=idf_mean", "pooled_tokens=content", "layers=last4_mean", "encoder.padding_side=left"],
    ["pooler=max_pool_bert", "encoder.tuning=full", PREFIX],
    ["pooler=topk_mean"],
]
SENTENCE_TRANSFORMERS = [
    *([f"pooler={name}"] for name in ("mean", "cls", "max", "mean_max", "mean_sqrt", "last")),
    [
        "pooler=weighted_mean",
        "head=mlp",
        "encoder.padding_side=left",
        "encoder.tuning=full",
        PREFIX,
    ],
]


@pytest.mark.slow
@pytest.mark.parametrize("overrides", ONNX, ids=" ".join)
def test_onnx_gives_the_same_logits(trained_bert, capsys, tmp_path: Path, overrides) -> None:
    import onnxruntime

    folder, out = trained_bert(*overrides), tmp_path / "out"
    capsys.readouterr()
    assert export_to("onnx", folder, out) == 0
    assert re.search(r"largest deviation .*, predictions equal: 64 of 64", capsys.readouterr().out)
    trained = load(folder)
    expected = trained.logits(TEXTS)
    close(onnx_outputs(out, TEXTS), expected)
    close(np.concatenate([onnx_outputs(out, [text]) for text in TEXTS]), expected)
    # More padding than needed changes nothing.
    (batch,) = trained.batches(TEXTS[:3])
    width = 64 - batch.input_ids.shape[1]
    sides = (width, 0) if trained.model.encoder.padding_side == "left" else (0, width)
    inputs = {
        "input_ids": nn.functional.pad(batch.input_ids, sides).numpy(),
        "attention_mask": nn.functional.pad(batch.attention_mask.long(), sides).numpy(),
    }
    session = onnxruntime.InferenceSession(out / "model.onnx")
    close(session.run(None, inputs)[0], expected[:3])


@pytest.mark.slow
@pytest.mark.parametrize("overrides", SENTENCE_TRANSFORMERS, ids=" ".join)
def test_sentence_transformers_gives_the_same_logits(
    trained_bert, capsys, tmp_path: Path, overrides
) -> None:
    folder, out = trained_bert(*overrides), tmp_path / "out"
    capsys.readouterr()
    assert export_to("sentence-transformers", folder, out) == 0
    assert "predictions equal: 64 of 64" in capsys.readouterr().out
    expected = load(folder).logits(TEXTS)
    close(sentence_transformer_logits(out, TEXTS), expected)
    alone = [sentence_transformer_logits(out, [text]) for text in TEXTS[-2:]]
    close(np.concatenate(alone), expected[-2:])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["pooler=attention"], "no pooling like attention"),
        (["pooler=mean", "pooled_tokens=content"], "pools special tokens too"),
        (["pooler=mean", "layers=last4_mean"], "pools the last layer only"),
    ],
)
def test_what_a_library_cannot_represent_is_rejected(
    trained_bert, capsys, tmp_path: Path, overrides: list[str], words: str
) -> None:
    folder = trained_bert(*overrides)
    capsys.readouterr()
    assert export_to("sentence-transformers", folder, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert words in error
    assert "--to onnx" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_of_no_library_is_rejected(run, capsys, tmp_path: Path) -> None:
    folder = run("encoder=scratch", "pooler=mean").folder
    for target in ("onnx", "sentence-transformers"):
        assert export_to(target, folder, tmp_path / "out") == 2
        assert "cannot load the tokenizer" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("target", ["onnx", "sentence-transformers"])
def test_the_readme_classifies_without_a_network(
    trained_bert, capsys, tmp_path: Path, target: str
) -> None:
    folder = trained_bert("pooler=mean", "head=mlp")
    assert export_to(target, folder, tmp_path / "out") == 0
    trained = load(folder)
    best = trained.logits(["A joy.", "A waste of time."]).argmax(dim=1).tolist()
    assert readme_program(tmp_path / "out") == str([trained.classes[i] for i in best])


def test_an_export_with_other_predictions_exits_with_1(
    trained_bert, capsys, tmp_path: Path, monkeypatch
) -> None:
    """A planted fault: sentence-transformers pools in another way than the run."""
    folder = trained_bert("pooler=cls")
    monkeypatch.setitem(MODES, "ClsPooler", ("max",))
    assert export_to("sentence-transformers", folder, tmp_path / "out") == 1
    assert "different predictions" in capsys.readouterr().err


def test_only_an_earlier_export_is_replaced(trained_bert, capsys, tmp_path: Path) -> None:
    folder, out = trained_bert("pooler=mean"), tmp_path / "out"
    assert export_to("sentence-transformers", folder, out) == 0
    (out / "old").touch()
    assert export_to("sentence-transformers", folder, out) == 0
    assert not (out / "old").exists()
    (tmp_path / "mine").mkdir()
    assert export_to("onnx", folder, tmp_path / "mine") == 2
    assert "choose another --out" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out"]


@pytest.mark.slow
def test_an_operation_without_onnx_form_is_rejected(trained_bert, tmp_path: Path) -> None:
    trained = load(trained_bert("pooler=mean"))

    class Unknown(nn.Module):
        input_dim = output_dim = 2

        def forward(self, pooled: torch.Tensor) -> torch.Tensor:
            return torch.linalg.svdvals(pooled[:, :4].reshape(-1, 2, 2))

    trained.model.head = Unknown()
    assert "has no ONNX form" in rejection(lambda: write_onnx(trained, tmp_path))


def test_help_needs_no_torch() -> None:
    code = "import sys; from scripts import export, predict; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("write", [write_onnx, write_sentence_transformer])
def test_windows_are_rejected(trained_bert, tmp_path: Path, write) -> None:
    trained = load(trained_bert("pooler=mean", "encoder.windows.size=16"))
    assert "exports have no windows" in rejection(lambda: write(trained, tmp_path))
