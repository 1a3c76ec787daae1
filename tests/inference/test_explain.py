"""Every word with its weight: the pooler's own where it has some, and the right words."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from poolbench.inference.explain import _by_gradient, explain
from poolbench.inference.load import Trained, load
from poolbench.report.build import findings_of
from poolbench.report.explained import EXPLAINED, GRADIENT, Strip, read_explained, strips_page
from poolbench.report.page import page
from poolbench.runs.study import read_study
from poolbench.training import sweep
from poolbench.training.launch import check_command
from scripts import explain as script
from tests.conftest import SMALL
from tests.tiny_bert import tiny_bert

TEXTS = ["A <b>joy</b>.", "An unfilmable film, and not dull!"]


@pytest.fixture
def trained(run, shared_output: Path) -> Any:
    """A finished cell, loaded."""

    def trained(*overrides: str) -> Trained:
        return load(run(*tiny_bert(shared_output), *overrides)["folder"])

    return trained


def test_equal_shares_are_those_of_the_pieces_of_a_word(trained) -> None:
    cell = trained("pooler=mean")
    (strip,) = explain(cell, TEXTS[1:])
    words = ["[CLS]", "An", "unfilmable", "film", ",", "and", "not", "dull", "!", "[SEP]"]
    assert list(strip.words) == words
    assert strip.special == (True, *[False] * 8, True)
    tokenizer = cell.model.encoder.tokenizer
    pieces = [1 if special else len(tokenizer.tokenize(word)) for word, special in
              zip(words, strip.special, strict=True)]  # fmt: skip
    assert pieces[2] > 5, "the word is whole: nothing is joined"
    assert strip.weights == pytest.approx([n / sum(pieces) for n in pieces], abs=1e-4)
    assert strip.how == "equal shares"


def test_only_one_token_counts_for_cls_and_last(trained) -> None:
    for name, place in (("cls", 0), ("last", -1)):
        (strip,) = explain(trained(f"pooler={name}"), TEXTS[1:])
        assert strip.weights[place] == 1.0
        assert sum(map(abs, strip.weights)) == 1.0


@pytest.mark.parametrize(
    "overrides",
    [
        ["pooler=attention"],
        ["pooler=idf_mean", "pooled_tokens=content"],
        ["pooler=max", "layers=last4_mean", "encoder.padding_side=left"],
        ["pooler=conv"],
        ["pooler=gru", "encoder.padding_side=left"],
        ["pooler=max_pool_bert"],
        ["pooler=mean", "encoder.tuning=full"],
    ],
    ids=" ".join,
)
def test_weights_sum_to_one_and_do_not_depend_on_the_batch(trained, overrides) -> None:
    cell = trained(*overrides)
    together = explain(cell, TEXTS)
    for text, strip, scores in zip(TEXTS, together, cell.logits(TEXTS), strict=True):
        assert sum(map(abs, strip.weights)) == pytest.approx(1, abs=2e-3)
        assert strip.label == cell.classes[int(scores.argmax())]
        assert strip.probability == pytest.approx(float(scores.softmax(0).max()), abs=1e-4)
        (alone,) = explain(cell, [text])
        assert alone.words == strip.words
        assert alone.weights == pytest.approx(strip.weights, abs=2e-4)
        if "pooled_tokens=content" in overrides:
            assert {w for w, s in zip(strip.weights, strip.special, strict=True) if s} == {0.0}
    weighs = cell.model.pooler.weighs
    assert {strip.how for strip in together} == {weighs or GRADIENT}
    assert weighs is None or all(weight >= 0 for strip in together for weight in strip.weights)


def test_gradient_times_input_of_a_linear_model_is_what_each_token_adds(trained) -> None:
    """For a mean and a linear head it is known: w_c . x_t / n, which adds up to the logit."""
    model = trained("pooler=mean").model
    (batch,) = trained("pooler=mean").batches(TEXTS)
    with torch.no_grad():
        states = model.encoder(batch)
    logits, weights = _by_gradient(model, states, batch)
    best = logits.argmax(dim=1)
    added = torch.einsum("btd,bd->bt", states[:, :, 0], model.head.classify.weight[best].detach())
    added = added.masked_fill(~batch.attention_mask, 0.0)
    expected = added / added.abs().sum(dim=1, keepdim=True)
    torch.testing.assert_close(weights, expected, atol=1e-5, rtol=1e-4)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, shared_output: Path) -> Path:
    """A small real study of two poolers and three seeds."""
    outputs = tmp_path_factory.mktemp("outputs")
    grid = ["pooler=cls,conv", "seed=0,1,2", "study=shown", f"output_dir={outputs}"]
    planned = sweep.plan(check_command([*SMALL, *tiny_bert(shared_output), *grid], multirun=True))
    sweep.declare_all(planned)
    sweep.run_all(planned)
    return outputs / "shown"


def test_a_study_is_shown_side_by_side(study: Path, capsys, tmp_path: Path) -> None:
    target = tmp_path / "strips.html"
    assert script.main([str(study), "--text", *TEXTS, "--html", str(target)]) == 0
    printed = capsys.readouterr().out
    heads = re.findall(r"^(\w+)  (?:negative|positive) [01]\.\d\d  (.*)$", printed, re.M)
    assert [(name, how.strip()) for name, how in heads] == [
        ("cls", "the first token"),
        ("conv", GRADIENT),
    ] * 2
    assert "[CLS]█ A < b > joy < / b > . [SEP]" in printed, "readable without colour"
    html = target.read_text()
    assert html.count('<div class="strip">') == 4
    assert "A &lt;b&gt;joy&lt;/b&gt;." in html
    assert "<b>joy" not in html
    assert not re.search(r"(src|href)=\"?(https?:)?//", html)


def test_of_a_study_the_asked_seed_else_the_lowest_is_shown(study: Path) -> None:
    for asked, found in ((None, 0), (2, 2)):
        cells = script.cells_of(study, asked)
        assert [cell.parent.name for cell in cells] == ["cls", "conv"]
        assert all(cell.name.startswith(f"seed={found}-") for cell in cells)
        assert script.cells_of(cells[0], asked) == cells[:1]


def test_the_report_shows_what_each_pooler_took_where_they_disagree(study: Path, capsys) -> None:
    without = page(findings_of(study))
    assert f"python scripts/explain.py {study} --disagreements" in without
    assert '<div class="strip">' not in without
    assert script.main([str(study), "--disagreements"]) == 0
    assert f"python scripts/report.py {study}" in capsys.readouterr().out
    explained = read_explained(read_study(study))
    findings = findings_of(study)
    html = page(findings)
    (task,) = findings.tasks
    assert html.count('<div class="strip">') == 2 * len(explained.strips) > 0
    assert "--disagreements" not in html
    for _, _, number in explained.strips:
        for pooler in ("cls", "conv"):
            (strip,) = explained.of(task, pooler, number)
            kept = task.standing(pooler).finished[0].predictions
            assert kept is not None
            assert strip.label == ("negative", "positive")[kept.predictions[number]]
    # Strips of a cell that was trained again are not its own any more.
    whole = (study / EXPLAINED).read_text()
    checksums = {str(c.record["checksum"]) for c in task.standing("conv").finished}
    for checksum in checksums:
        whole = whole.replace(checksum, "another")
    (study / EXPLAINED).write_text(whole)
    assert page(findings).count('<div class="strip">') == len(explained.strips)
    for damaged in ("{", json.dumps({"examples": [{"dataset": 1}]}), "[]"):
        (study / EXPLAINED).write_text(damaged)
        assert page(findings) == without
    (study / EXPLAINED).unlink()


def test_nothing_in_a_text_or_a_name_becomes_markup() -> None:
    bad = "<script>alert('x')</script>"
    strip = Strip(bad, bad, bad, 0.5, (bad, '"'), (False, True), (-0.5, 0.5))
    html = strips_page([bad], [[strip]])
    assert bad not in html
    assert html.count("&lt;script&gt;alert") == 5


def test_a_cell_that_cannot_be_loaded_is_named_and_left_out(study: Path, capsys) -> None:
    weights = next(study.rglob("cls/seed=0*/checkpoints/best.ckpt"))
    hidden = weights.rename(weights.with_suffix(".away"))
    try:
        assert script.main([str(study), "--text", "A film."]) == 0
        printed = capsys.readouterr()
        assert "conv" in printed.out
        assert "left out" in printed.err
        assert script.main([str(weights.parents[1]), "--text", "A film."]) == 2
        assert "best.ckpt is gone" in capsys.readouterr().err
    finally:
        hidden.rename(weights)
    assert script.main([str(study), "--text", "A film.", "--seed", "7"]) == 2
    assert "no finished cell with seed 7" in capsys.readouterr().err


def test_without_a_library_tokenizer_tokens_are_shown_by_their_ids(run) -> None:
    folder = run("encoder=scratch", "pooler=mean")["folder"]
    (strip,) = explain(load(folder), ["A film."])
    assert strip.special == (True, False, False, False, True)
    assert all(word.startswith("#") for word in strip.words)
