"""What is predicted and explained of one text depends on the task; the rest is refused at once."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, softmax

from poolbench.inference.explain import explain
from poolbench.inference.load import load
from poolbench.inference.predict import predict as predictions_of
from poolbench.runs.protocol import METRICS, ONE_TEXT
from poolbench.runs.record import RunRecord
from scripts import explain as explain_script
from scripts import predict
from tests.conftest import rejection
from tests.report.task_studies import write_task_run
from tests.tasks.rows import TINY, TWO_TEXTS, write_rows


@pytest.fixture
def trained(run, tmp_path: Path) -> Callable[[str], RunRecord]:
    """A finished run of a task."""

    def trained(task: str) -> RunRecord:
        found: RunRecord = run(
            *(f"task={task}", "pooler=attention", *TINY, write_rows(tmp_path, task)),
            *("trainer.max_epochs=10", "optimizer.lr=0.03"),
        )
        return found

    return trained


def test_every_task_needs_one_text_or_two() -> None:
    assert {*METRICS} == {*ONE_TEXT, *TWO_TEXTS}


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_predictions_are_those_of_the_run_itself(
    trained, session, tmp_path: Path, capsys, task: str
) -> None:
    record = trained(task)
    model = load(record.folder, session)
    texts = session.inputs(model.config).test_texts
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    capsys.readouterr()
    arguments = ["--file", str(tmp_path / "texts.txt"), "--top", "9"]
    assert predict.main([str(record.folder), *arguments]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["text"] for answer in found] == texts
    outputs = record.predictions.outputs.astype(float)  # of cached states in half precision
    if task == "regression":
        scores = [answer["score"] for answer in found]
        np.testing.assert_allclose(scores, outputs[:, 0], atol=2e-3)
        return
    expected = expit(outputs) if task == "multilabel" else softmax(outputs, axis=1)
    given = [[answer["probabilities"][name] for name in model.classes] for answer in found]
    np.testing.assert_allclose(given, expected, atol=2e-3)
    for answer, row in zip(found, outputs, strict=True):
        if task == "multilabel":
            names = {name for name, x in zip(model.classes, row, strict=True) if x > 0}
            assert set(answer["labels"]) == names
        else:
            assert answer["label"] == model.classes[row.argmax()]
    assert len({str(answer.get("labels", answer.get("label"))) for answer in found}) > 1


def test_the_most_probable_label_is_explained(trained, session) -> None:
    model = load(trained("multilabel").folder, session)
    texts = ["red old film", "a dog"]
    for explanation, row in zip(explain(model, texts), model.logits(texts).numpy(), strict=True):
        assert explanation.label == model.classes[row.argmax()]
        assert explanation.probability == pytest.approx(expit(row.max()), abs=1e-4)


def test_scores_have_no_explanation(trained, session) -> None:
    model = load(trained("regression").folder, session)
    assert "predicts no class" in rejection(lambda: explain(model, ["red"]))


@pytest.mark.parametrize("task", ["pair_regression", "similarity", "retrieval"])
def test_what_needs_two_texts_is_refused_before_input_is_read(
    tmp_path: Path, capsys, task: str
) -> None:
    """The folders hold a record and no weights: nothing is loaded either."""
    trained = {"seed": 0} if task == "pair_regression" else {}
    folder = write_task_run(tmp_path / "study", task, "mean", 0.4, **trained).folder
    no_file = tmp_path / "missing.txt"
    for refused, words in (
        (lambda: predict.main([str(folder), "--file", str(no_file)]), "scripts/export.py"),
        (lambda: predict.main([str(folder), "a text"]), "two texts"),
        (lambda: explain_script.main([str(folder), "--text", "a text"]), "no class of one text"),
        (
            lambda: explain_script.main([str(tmp_path / "study"), "--text", "a text"]),
            "no class of one text",
        ),
        (
            lambda: explain_script.main([str(tmp_path / "study"), "--disagreements"]),
            "no class of one text",
        ),
    ):
        capsys.readouterr()
        assert refused() == 2
        error = capsys.readouterr().err
        assert words in error
        assert task in error
        assert error.count("\n") == 1


def test_a_model_for_two_texts_predicts_nothing_of_one(trained, session) -> None:
    model = load(trained("pair_classification").folder, session)
    assert "two texts" in rejection(lambda: list(predictions_of(model, ["a text"], 5)))
