"""Exports give the logits of the trained model: texts of any length, alone and in batches."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from torch import nn

from poolbench.inference.export import compare
from poolbench.inference.export_onnx import onnx_outputs, write_onnx
from poolbench.inference.export_sentence_transformers import (
    MODES,
    sentence_transformer_logits,
    sentence_transformer_vectors,
    write_sentence_transformer,
)
from poolbench.inference.load import load
from poolbench.runs.protocol import ONE_TEXT
from scripts import export
from tests.conftest import ROOT, rejection
from tests.tasks.rows import write_rows
from tests.tiny_bert import tiny_bert

for library in ("onnx", "onnxscript", "onnxruntime", "sentence_transformers"):
    pytest.importorskip(library, reason=f"{library} is not installed: the extra 'export'")

LEARNING = ["optimizer.lr=0.01", "trainer.max_epochs=10", "patience=10"]
# From nothing to more than fits.
TEXTS = ["", "film", "A joy.", "A waste of time, and not short.", "an endless film " * 40]
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


@pytest.fixture
def trained_run(run, shared_output: Path) -> Callable[..., Path]:
    """The folder of a finished run."""

    def folder(*overrides: str) -> Path:
        folder: Path = run(*tiny_bert(shared_output), *LEARNING, *overrides).folder
        return folder

    return folder


@pytest.fixture(autouse=True)
def _no_shape_checks() -> Iterator[None]:
    """A shape check reads sizes, which makes them constants of an exported graph."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def export_to(target: str, folder: Path, out: Path) -> int:
    return export.main([str(folder), "--to", target, "--out", str(out)])


def readme_program(out: Path) -> str:
    """What the program in the README of an export prints."""
    (code,) = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.S)
    # Nothing answers at this address: a request to the hub fails.
    offline = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=out, env=offline, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def close(found: np.ndarray, expected: torch.Tensor) -> None:
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-5, rtol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("overrides", ONNX, ids=" ".join)
def test_onnx_gives_the_same_logits(trained_run, capsys, tmp_path: Path, overrides) -> None:
    import onnxruntime

    folder, out = trained_run(*overrides), tmp_path / "out"
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
    trained_run, capsys, tmp_path: Path, overrides
) -> None:
    folder, out = trained_run(*overrides), tmp_path / "out"
    capsys.readouterr()
    assert export_to("sentence-transformers", folder, out) == 0
    assert "predictions equal: 64 of 64" in capsys.readouterr().out
    expected = load(folder).logits(TEXTS)
    close(sentence_transformer_logits(out, TEXTS), expected)
    alone = [sentence_transformer_logits(out, [text]) for text in TEXTS[-2:]]
    close(np.concatenate(alone), expected[-2:])


SLOW = pytest.mark.slow
TASKS = [
    ("similarity", "mean", "sentence-transformers"),
    ("regression", "mean", "sentence-transformers"),
    *(
        pytest.param(task, pooler, target, marks=SLOW)
        for task, pooler, target in [
            ("retrieval", "mean_max", "sentence-transformers"),
            ("pair_classification", "max", "sentence-transformers"),
            ("multilabel", "cls", "sentence-transformers"),
            ("similarity", "mean", "onnx"),
            ("retrieval", "attention", "onnx"),
            ("regression", "attention", "onnx"),
        ]
    ),
]


@pytest.mark.parametrize(("task", "pooler", "target"), TASKS)
def test_every_task_has_the_outputs_or_the_vectors_of_its_run(
    trained_run, capsys, tmp_path: Path, task: str, pooler: str, target: str
) -> None:
    rows = ["dataset=files", "dataset.max_examples=null", write_rows(tmp_path, task, 80)]
    folder, out = trained_run(f"task={task}", f"pooler={pooler}", *rows), tmp_path / "out"
    capsys.readouterr()
    assert export_to(target, folder, out) == 0
    one_text, trained = task in ONE_TEXT, load(folder)
    assert ("predictions equal" if one_text else "vectors equal") in capsys.readouterr().out
    assert (out / "head.safetensors").exists() == (one_text and target != "onnx")
    compute = {
        ("onnx", True): onnx_outputs,
        ("onnx", False): onnx_outputs,
        ("sentence-transformers", True): sentence_transformer_logits,
        ("sentence-transformers", False): sentence_transformer_vectors,
    }[target, one_text]
    expected = (trained.logits if one_text else trained.vectors)(TEXTS)
    close(compute(out, TEXTS), expected)
    program = readme_program(out)
    if not one_text:
        u, v = nn.functional.normalize(trained.vectors(["A joy.", "A waste of time."]))
        printed = [float(x) for x in re.findall(r"-?\d+\.\d*", program)]
        assert printed == pytest.approx([1, float(u @ v), float(u @ v), 1], abs=2e-4)
    elif task == "regression":
        printed = [float(x) for x in re.findall(r"-?\d+\.\d*", program)]
        scores = trained.logits(["A joy.", "A waste of time."])[:, 0].tolist()
        assert printed == pytest.approx(scores, rel=1e-4)
    else:
        logits = trained.logits(["A joy.", "A waste of time."]).tolist()
        named = [zip(trained.classes, row, strict=True) for row in logits]
        assert program == str([[name for name, x in row if x > 0] for row in named])


def test_scores_and_vectors_that_differ_are_found(trained_run, tmp_path: Path) -> None:
    """A planted fault in every 8th vector."""
    rows = ["dataset=files", "dataset.max_examples=null", write_rows(tmp_path, "similarity", 80)]
    trained = load(trained_run("task=similarity", *rows))

    def outputs(wrong: float) -> Callable[[Path, list[str]], np.ndarray]:
        def found(_: Path, texts: list[str]) -> np.ndarray:
            vectors = trained.vectors(texts).numpy()
            vectors[::8] += wrong * np.abs(vectors).max()
            return vectors

        return found

    assert compare(trained, tmp_path, outputs(0.0), 40) == (0.0, 16, 16)
    assert compare(trained, tmp_path, outputs(3e-5), 40)[1:] == (14, 16)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["pooler=attention"], "no pooling like attention"),
        (["pooler=mean", "pooled_tokens=content"], "pools special tokens too"),
        (["pooler=mean", "layers=last4_mean"], "pools the last layer only"),
    ],
)
def test_what_a_library_cannot_represent_is_rejected(
    trained_run, capsys, tmp_path: Path, overrides: list[str], words: str
) -> None:
    folder = trained_run(*overrides)
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
    trained_run, capsys, tmp_path: Path, target: str
) -> None:
    folder = trained_run("pooler=mean", "head=mlp")
    assert export_to(target, folder, tmp_path / "out") == 0
    trained = load(folder)
    best = trained.logits(["A joy.", "A waste of time."]).argmax(dim=1).tolist()
    assert readme_program(tmp_path / "out") == str([trained.classes[i] for i in best])


def test_an_export_with_other_predictions_exits_with_1(
    trained_run, capsys, tmp_path: Path, monkeypatch
) -> None:
    """A planted fault: sentence-transformers pools in another way than the run."""
    folder = trained_run("pooler=cls")
    monkeypatch.setitem(MODES, "ClsPooler", ("max",))
    assert export_to("sentence-transformers", folder, tmp_path / "out") == 1
    assert "different predictions" in capsys.readouterr().err


def test_only_an_earlier_export_is_replaced(trained_run, capsys, tmp_path: Path) -> None:
    folder, out = trained_run("pooler=mean"), tmp_path / "out"
    assert export_to("sentence-transformers", folder, out) == 0
    (out / "old").touch()
    assert export_to("sentence-transformers", folder, out) == 0
    assert not (out / "old").exists()
    (tmp_path / "mine").mkdir()
    assert export_to("onnx", folder, tmp_path / "mine") == 2
    assert "choose another --out" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out"]


@pytest.mark.slow
def test_an_operation_without_onnx_form_is_rejected(trained_run, tmp_path: Path) -> None:
    trained = load(trained_run("pooler=mean"))

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
def test_windows_are_rejected(trained_run, tmp_path: Path, write) -> None:
    trained = load(trained_run("pooler=mean", "encoder.windows.size=16"))
    assert "exports have no windows" in rejection(lambda: write(trained, tmp_path))
