"""Explanations: the pooler's own weights if it has any, on the right words."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from poolbench.inference.explain import GRADIENT, explain, token_weights
from poolbench.inference.load import TrainedModel, load
from poolbench.report.build import findings_of, report_files
from poolbench.report.explained import disagreed
from poolbench.report.summary import find
from poolbench.runs.explanations import EXPLANATIONS, read_explanations
from poolbench.runs.study import read_study
from scripts import explain as script
from tests.conftest import TINY, plan, rejection, train
from tests.tiny_bert import tiny_bert

TEXTS = ["A <b>joy</b>.", "An unfilmable film, and not dull!"]


@pytest.fixture
def trained(run, shared_output: Path) -> Callable[..., TrainedModel]:
    """A finished run, loaded."""

    def trained(*overrides: str) -> TrainedModel:
        return load(run(*tiny_bert(shared_output), *overrides).folder)

    return trained


def test_the_weight_of_a_word_is_the_sum_over_its_pieces(trained) -> None:
    """The mean pooler gives every piece the same weight."""
    model = trained("pooler=mean")
    (found,) = explain(model, TEXTS[1:])
    words = ["[CLS]", "An", "unfilmable", "film", ",", "and", "not", "dull", "!", "[SEP]"]
    assert [word for word, _, _ in found.words] == words
    assert [special for _, _, special in found.words] == [True, *[False] * 8, True]
    tokenize = model.model.encoder.tokenizer.tokenize
    pieces = [1 if word.startswith("[") else len(tokenize(word)) for word in words]
    assert pieces[2] > 5, "the test needs a word of several pieces"
    expected = [n / sum(pieces) for n in pieces]
    assert [weight for _, weight, _ in found.words] == pytest.approx(expected, abs=1e-4)


def test_words_of_windows_have_the_weights_of_their_pieces(trained) -> None:
    """Two pieces are in both windows here, which cut a word."""
    windows = ["encoder.windows.size=10", "encoder.windows.stride=6"]
    model = trained("pooler=mean", "pooler@across=max", *windows)
    assert model.model.pooler.weights_label is not None
    (found,) = explain(model, TEXTS[1:])
    words = [word for word, _, _ in found.words]
    assert words[:6] == ["[CLS]", "An", "unfilma", "[SEP]", "[CLS]", "mable"]
    assert words[-2:] == ["!", "[SEP]"]
    assert sum(weight for _, weight, _ in found.words) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize(
    "overrides",
    [
        ["pooler=cls"],
        ["pooler=attention"],
        ["pooler=idf_mean", "pooled_tokens=content"],
        ["pooler=max", "layers=last4_mean", "encoder.padding_side=left"],
        ["pooler=conv", "encoder.tuning=full"],
        ["pooler=max_pool_bert", "encoder.padding_side=left"],
    ],
    ids=" ".join,
)
def test_weights_sum_to_one_and_do_not_depend_on_the_batch(trained, overrides) -> None:
    model = trained(*overrides)
    label = model.model.pooler.weights_label
    found = explain(model, TEXTS)
    for text, explanation, logits in zip(TEXTS, found, model.logits(TEXTS), strict=True):
        weights = [weight for _, weight, _ in explanation.words]
        assert sum(map(abs, weights)) == pytest.approx(1, abs=2e-3)
        assert explanation.method == (label or GRADIENT)
        assert label is None or min(weights) >= 0
        assert explanation.label == model.classes[int(logits.argmax())]
        assert explanation.probability == pytest.approx(float(logits.softmax(0).max()), abs=1e-4)
        (alone,) = explain(model, [text])
        assert [word for word, _, _ in alone.words] == [word for word, _, _ in explanation.words]
        assert [weight for _, weight, _ in alone.words] == pytest.approx(weights, abs=2e-4)
        special = {weight for _, weight, special in explanation.words if special}
        if "pooled_tokens=content" in overrides:
            assert special == {0.0}
        if "pooler=cls" in overrides:
            assert explanation.words[0] == ("[CLS]", 1.0, True)


def test_gradient_times_input_of_a_linear_model_is_exact(trained, monkeypatch) -> None:
    """For the mean pooler and a linear head each token adds w_c · x_t / n to the logit."""
    run = trained("pooler=mean")
    model = run.model
    monkeypatch.setattr(type(model.pooler), "weights_label", None)
    (batch,) = run.batches(TEXTS)
    with torch.no_grad():
        states = model.encoder(batch)
        best = model(batch).argmax(dim=1)
        added = torch.einsum("btd,bd->bt", states[:, :, 0], model.head.classify.weight[best])
        added = added.masked_fill(~batch.attention_mask, 0.0)
    expected = added / added.abs().sum(dim=1, keepdim=True)
    torch.testing.assert_close(token_weights(model, states, batch), expected, atol=1e-5, rtol=1e-4)


def test_without_a_library_tokenizer_token_ids_are_shown(run) -> None:
    (found,) = explain(load(run("encoder=scratch", "pooler=mean").folder), ["A film."])
    assert [special for _, _, special in found.words] == [True, False, False, False, True]
    assert all(word.startswith("#") for word, _, _ in found.words)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, shared_output: Path) -> Path:
    """Two poolers with three seeds."""
    outputs = tmp_path_factory.mktemp("outputs")
    grid = ["pooler=cls,conv", "seed=0,1,2", "study=shown"]
    train(plan(outputs, *tiny_bert(shared_output), *grid))
    return outputs / "shown"


def test_a_study_is_explained_pooler_by_pooler(study: Path, capsys, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    capsys.readouterr()
    assert script.main([str(study), "--text", *TEXTS, "--html", str(page)]) == 0
    printed = capsys.readouterr().out
    heads = re.findall(r"^(\w+)  (?:negative|positive) [01]\.\d\d ", printed, re.M)
    assert heads == ["cls", "conv"] * 2
    assert "[CLS]█ A < b > joy < / b > . [SEP]" in printed, "not readable without colour"
    html = page.read_text()
    assert "A &lt;b&gt;joy&lt;/b&gt;." in html
    assert "<b>joy" not in html


def test_the_lowest_seed_is_explained_unless_another_is_asked_for(study: Path) -> None:
    for asked, found in ((None, 0), (2, 2)):
        runs = script.runs_of(study, asked)
        assert [(run.parent.name, run.name[:6]) for run in runs] == [
            ("cls", f"seed={found}"),
            ("conv", f"seed={found}"),
        ]
    assert script.runs_of(runs[0], None) == runs[:1]
    assert "no finished run" in rejection(lambda: script.runs_of(study, 7))


def test_disagreements_are_explained_for_the_report(study: Path, capsys) -> None:
    assert script.main([str(study), "--disagreements"]) == 0
    assert f"python scripts/report.py {study}" in capsys.readouterr().out
    found, read = read_explanations(study), read_study(study)
    (task,) = find(read, read.protocol).tasks
    wanted = disagreed(task)
    assert {e.example for e in found.examples} == wanted["cls"] | wanted["conv"] != set()
    by_checksum = {r.predictions_sha256: r for r in read.finished}
    for example in found.examples:
        assert len(example.explanations) == 2
        for checksum, explanation in example.explanations.items():
            record = by_checksum[checksum]
            predicted = record.predictions.predicted[example.example]
            assert explanation.pooler == record.run.pooler
            assert explanation.label == record.data.classes[predicted]
    for damaged in ("{", '{"version": 2, "examples": [{}]}', "[]"):
        (study / EXPLANATIONS).write_text(damaged)
        assert "explanations.json is damaged" in rejection(lambda: read_explanations(study))
        assert any("explanations.json is damaged" in n for n in report_notes(study))


def test_a_study_without_disagreements_ends_in_one_line(tmp_path: Path, capsys) -> None:
    train(plan(tmp_path, *TINY, "pooler=mean", "study=one"))
    assert script.main([str(tmp_path / "one"), "--disagreements"]) == 2
    error = capsys.readouterr().err
    assert error.endswith("no two poolers disagree on texts that the study has kept\n")


def report_notes(study: Path) -> list[str]:
    return report_files(findings_of(study))["report.md"].replace("\\", "").splitlines()


def test_a_run_that_cannot_be_loaded_is_left_out(study: Path, capsys) -> None:
    weights = next(study.rglob("cls/seed=0*/checkpoints/best.ckpt"))
    hidden = weights.rename(weights.with_suffix(".away"))
    try:
        assert script.main([str(study), "--text", "A film."]) == 0
        printed = capsys.readouterr()
        assert "conv" in printed.out
        assert "left out" in printed.err
        assert script.main([str(weights.parents[1]), "--text", "A film."]) == 2
        assert "best.ckpt is missing" in capsys.readouterr().err
    finally:
        hidden.rename(weights)
