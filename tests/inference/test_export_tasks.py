"""Exports of every task: outputs of the head, or vectors of tasks of two texts."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from poolbench.inference.export import compare
from poolbench.inference.export_onnx import onnx_outputs
from poolbench.inference.export_sentence_transformers import (
    sentence_transformer_logits,
    sentence_transformer_vectors,
)
from poolbench.inference.load import load
from poolbench.runs.protocol import ONE_TEXT
from tests.inference.exports import TEXTS, close, export_to, readme_program
from tests.tasks.rows import write_rows

pytestmark = pytest.mark.usefixtures("no_shape_checks")
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
    trained_bert, capsys, tmp_path: Path, task: str, pooler: str, target: str
) -> None:
    rows = ["dataset=files", "dataset.max_examples=null", write_rows(tmp_path, task, 80)]
    folder, out = trained_bert(f"task={task}", f"pooler={pooler}", *rows), tmp_path / "out"
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


def test_scores_and_vectors_that_differ_are_found(trained_bert, tmp_path: Path) -> None:
    """A planted fault in every 8th vector."""
    rows = ["dataset=files", "dataset.max_examples=null", write_rows(tmp_path, "similarity", 80)]
    trained = load(trained_bert("task=similarity", *rows))

    def outputs(wrong: float) -> Callable[[Path, list[str]], np.ndarray]:
        def found(_: Path, texts: list[str]) -> np.ndarray:
            vectors = trained.vectors(texts).numpy()
            vectors[::8] += wrong * np.abs(vectors).max()
            return vectors

        return found

    assert compare(trained, tmp_path, outputs(0.0), 40) == (0.0, 16, 16)
    assert compare(trained, tmp_path, outputs(3e-5), 40)[1:] == (14, 16)
