"""Reports of studies whose outcome is known, whole and broken."""

import csv
import io
import itertools
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from poolbench.errors import BadInput
from poolbench.results import gallery
from poolbench.results.answer import answer, caveats, missing
from poolbench.results.blocks import as_script
from poolbench.results.examples import class_f1, disagreement, length_bins
from poolbench.results.findings import Findings
from poolbench.results.page import page
from poolbench.results.record import PREDICTIONS, RECORD
from poolbench.results.report import findings_of, write_report
from poolbench.results.verdict import Word
from scripts.report import main
from tests.results.written import EXAMPLES, declare, keep_texts, write_cell, write_study

CLEAR = {"cls": 0.6, "attention": 0.9, "conv": 0.9}


class Tags(HTMLParser):
    """The elements of a page, and its text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self.tags[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


def headline(findings: Findings) -> str:
    (task,) = findings.tasks
    return answer(task, findings.protocol.metric).headline


def reason(findings: Findings) -> str:
    (task,) = findings.tasks
    return answer(task, findings.protocol.metric).reason


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_study_becomes_four_files_whose_first_sentence_answers(tmp_path: Path, capsys) -> None:
    study = write_study(tmp_path / "clear", CLEAR)
    assert main([str(study)]) == 0
    assert capsys.readouterr().out.startswith("Use attention on reviews x tiny.")
    html, markdown = (study / "report.html").read_text(), (study / "report.md").read_text()
    assert "Use attention on reviews x tiny." in Tags(html).text
    assert markdown.startswith("**Use attention on reviews x tiny.**")
    comparison = rows((study / "comparison.csv").read_text())
    words = {row["first"]: row["word"] for row in comparison if row["family"] == "reference"}
    assert words == {"attention": "better", "conv": "better"}
    assert [row["family"] for row in comparison].count("pairs") == 3
    cells = rows((study / "cells.csv").read_text())
    assert len(cells) == 15
    assert {row["status"] for row in cells} == {"ok"}


def test_the_cheapest_of_the_top_group_is_recommended(tmp_path: Path) -> None:
    by_parameters = findings_of(write_study(tmp_path / "a", CLEAR))
    assert set(by_parameters.tasks[0].top) == {"attention", "conv"}
    assert "Use attention" in headline(by_parameters)
    assert "5,130 parameters" in reason(by_parameters)
    for pooler, accuracy in CLEAR.items():
        milliseconds = {"cls": 0.1, "attention": 3.0, "conv": 1.0}[pooler]
        for seed in range(5):
            metrics = {"test/accuracy": accuracy, "perf/pooler_ms": milliseconds}
            write_cell(tmp_path / "b", pooler, seed, accuracy, metrics=metrics)
    by_time = findings_of(tmp_path / "b")
    assert "Use conv" in headline(by_time)
    assert "1 ms" in reason(by_time)


def test_poolers_that_cannot_be_told_apart_are_said_to_be(tmp_path: Path) -> None:
    findings = findings_of(write_study(tmp_path / "same", {"cls": 0.8, "mean": 0.8, "max": 0.8}))
    assert "no pooler is shown to beat another" in reason(findings)


def test_an_unfinished_study_says_what_is_missing(tmp_path: Path) -> None:
    study = tmp_path / "unfinished"
    planned = [{"pooler": p, "seed": s} for p in CLEAR for s in range(5)]
    declare(study, planned, reference="cls")
    for cell in planned:
        if (cell["pooler"], cell["seed"]) not in {("conv", 3), ("conv", 4)}:
            write_cell(study, cell["pooler"], cell["seed"], CLEAR[cell["pooler"]])
    findings = findings_of(study)
    assert missing(findings) == ["missing: conv on reviews x tiny, seeds 3, 4"]
    words = {c.first: c.word for c in findings.tasks[0].against}
    assert words == {"attention": Word.BETTER, "conv": Word.NONE}
    assert headline(findings) == "Use attention on reviews x tiny."
    assert "No verdict on conv" in reason(findings)
    write_report(findings)
    assert "13 of 15 cells have a result" in (study / "report.html").read_text()
    assert "13 of 15 cells have a result" in (study / "report.md").read_text()
    left = [r for r in rows((study / "cells.csv").read_text()) if r["status"] == "missing"]
    assert [r["command"] for r in left] == [
        "python train.py pooler=conv seed=3",
        "python train.py pooler=conv seed=4",
    ]


def test_a_study_without_a_single_result_has_a_report(tmp_path: Path) -> None:
    declare(tmp_path / "planned", [{"pooler": p, "seed": 0} for p in ("cls", "mean")])
    findings = findings_of(tmp_path / "planned")
    assert "No recommendation" in headline(findings)
    assert "No cell has finished" in reason(findings)
    write_report(findings)


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_cell_that_ended_badly_is_counted_and_takes_its_verdict_along(
    tmp_path: Path, status: str
) -> None:
    study = write_study(tmp_path / "bad", CLEAR, seeds=range(4))
    for pooler in ("cls", "attention"):
        write_cell(study, pooler, 4, CLEAR[pooler])
    write_cell(study, "conv", 4, status=status)
    findings = findings_of(study)
    assert missing(findings) == [
        f"{status}: conv on reviews x tiny, seed 4: ValueError: on purpose"
    ]
    words = {c.first: c.word for c in findings.tasks[0].against}
    assert words == {"attention": Word.BETTER, "conv": Word.NONE}
    write_report(findings)
    assert status in Tags((study / "report.html").read_text()).text


@pytest.mark.parametrize("file", [RECORD, PREDICTIONS])
def test_a_damaged_cell_is_named_and_never_read(tmp_path: Path, file: str) -> None:
    study = write_study(tmp_path / "damaged", CLEAR)
    place = study / "reviews/tiny/conv/seed=2-d0" / file
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    findings = findings_of(study)
    (told,) = missing(findings)
    assert told.startswith("damaged: conv on reviews x tiny, seed 2: reviews/tiny/conv")
    assert {c.first: c.word for c in findings.tasks[0].against}["conv"] is Word.NONE
    write_report(findings)


def test_a_record_from_elsewhere_that_lacks_everything_is_a_damaged_cell(tmp_path: Path) -> None:
    from poolbench.results.record import write_record

    study = write_study(tmp_path / "strange", CLEAR)
    write_record(study / "reviews/tiny/conv/seed=7-d0", {"status": "ok"}, None)
    findings = findings_of(study)
    assert findings.study.count("damaged") == 1
    write_report(findings)


@pytest.mark.parametrize(("seeds", "why"), [(1, "single seed"), (3, "3 of the 5 seeds")])
def test_few_seeds_give_a_description_and_no_recommendation(
    tmp_path: Path, seeds: int, why: str
) -> None:
    findings = findings_of(write_study(tmp_path / "few", CLEAR, seeds=range(seeds)))
    assert "No recommendation" in headline(findings)
    assert why in headline(findings)
    assert "a description, not a claim" in reason(findings)
    write_report(findings)


def test_a_single_pooler_has_a_report_without_comparisons(tmp_path: Path) -> None:
    study = write_study(tmp_path / "alone", {"mean": 0.8})
    findings = findings_of(study)
    assert headline(findings).startswith("Nothing to compare")
    assert "cls is not in this study" in caveats(findings)[0]
    write_report(findings)
    assert rows((study / "comparison.csv").read_text()) == []


def test_a_reference_that_is_not_there_is_replaced_aloud(tmp_path: Path) -> None:
    findings = findings_of(write_study(tmp_path / "r", {"max": 0.8, "mean": 0.8}))
    assert findings.protocol.reference == "max"
    assert "The reference cls is not in this study: max" in caveats(findings)[0]


def test_what_was_declared_counts_and_the_reader_may_ask_otherwise(tmp_path: Path) -> None:
    study = write_study(tmp_path / "declared", CLEAR)
    cells = [{"pooler": p, "seed": s} for p in CLEAR for s in range(5)]
    declare(study, cells, reference="conv", metric="f1_macro", margin=2.0, looks=[5])
    declared = findings_of(study).protocol
    assert (declared.reference, declared.metric) == ("conv", "f1_macro")
    assert (declared.margin, declared.looks) == (2.0, (5,))
    asked = findings_of(study, reference="attention", margin=1.0, metric="accuracy").protocol
    assert (asked.reference, asked.metric, asked.margin) == ("attention", "accuracy", 1.0)
    write_report(findings_of(study))


def test_an_unplanned_number_of_seeds_is_exploratory(tmp_path: Path) -> None:
    findings = findings_of(write_study(tmp_path / "seven", CLEAR, seeds=range(7)))
    assert headline(findings).startswith("Exploratory: ")
    assert any("7 seeds are not among the planned looks" in line for line in caveats(findings))


def test_a_finished_cell_that_nobody_declared_is_pointed_out(tmp_path: Path) -> None:
    study = write_study(tmp_path / "more", CLEAR)
    declare(study, [{"pooler": p, "seed": s} for p in ("cls", "conv") for s in range(5)])
    told = "\n".join(caveats(findings_of(study)))
    assert "5 records here belong to no declared cell" in told


def test_variants_without_a_choice_get_no_verdict_but_the_key_to_choose_by(tmp_path: Path) -> None:
    study = tmp_path / "variants"
    for digest, lr in (("d0", 0.1), ("d1", 0.2)):
        write_study(study, CLEAR, digest=digest, config={"optimizer": {"lr": lr}})
    findings = findings_of(study)
    assert {c.word for c in findings.tasks[0].against} == {Word.NONE}
    assert "--select optimizer.lr" in caveats(findings)[0]


def test_several_datasets_have_an_answer_each_and_one_overall(tmp_path: Path) -> None:
    study = tmp_path / "many"
    for dataset in ("news", "reviews"):
        write_study(study, CLEAR, dataset=dataset)
    findings = findings_of(study)
    assert [task.name for task in findings.tasks] == ["news x tiny", "reviews x tiny"]
    assert {(a.first, a.wins) for a in findings.across} == {("attention", 2), ("conv", 2)}
    text = Tags(page(findings)).text
    assert "Over all datasets and encoders" in text
    assert text.count("Use attention on") == 2
    assert [figure.name for figure in gallery.of_all(findings)] == [
        f"forest-{a.first}" for a in findings.across
    ]


def test_a_dataset_without_the_reference_is_reported_all_the_same(tmp_path: Path) -> None:
    study = write_study(tmp_path / "uneven", CLEAR)
    write_study(study, {"conv": 0.9, "attention": 0.6}, dataset="news")
    findings = findings_of(study)
    news, _ = findings.tasks
    assert {c.why for c in news.against} == {"missing: cls has no run"}
    assert news.top == ("conv",)
    write_report(findings)


HOSTILE = "<script>window.pwned=1</script>"
ENDING = "</script><img src=x onerror=window.pwned=1>"


def hostile_study(folder: Path) -> Path:
    texts = keep_texts(folder, [f"{ENDING} {i}" for i in range(EXAMPLES)])
    data = {
        "classes": [HOSTILE, "=HYPERLINK(1)"],
        "test_texts": texts,
        "test_tokens": [3 + i % 40 for i in range(EXAMPLES)],
    }
    for pooler, accuracy in (("cls", 0.6), ("<img src=x onerror=window.pwned=1>", 0.9)):
        for seed in range(5):
            write_cell(folder, pooler, seed, accuracy, data=data, caveats=[HOSTILE])
    for pooler in ("=cmd()", "@sum", "-1+1"):
        write_cell(folder, pooler, 0, data=data)
    return folder


def test_names_and_texts_of_the_user_cannot_become_markup(tmp_path: Path) -> None:
    study = hostile_study(tmp_path / "hostile")
    write_report(findings_of(study))
    html = (study / "report.html").read_text()
    tags = Tags(html)
    assert "img" not in tags.tags
    figures = tags.tags.count("figure")
    assert tags.tags.count("script") == figures + 2
    assert HOSTILE in tags.text
    assert ENDING in tags.text
    markdown = (study / "report.md").read_text()
    assert "<script" not in markdown
    assert "<img" not in markdown


def test_data_in_a_script_cannot_end_it() -> None:
    written = as_script({"name": ENDING})
    assert "<" not in written
    assert json.loads(written) == {"name": ENDING}


def test_no_cell_of_a_spreadsheet_is_a_formula(tmp_path: Path) -> None:
    study = hostile_study(tmp_path / "formulas")
    write_report(findings_of(study))
    for name in ("cells.csv", "comparison.csv"):
        found = rows((study / name).read_text())
        for value in (value for row in found for value in row.values()):
            assert not value.startswith(("=", "@", "+"))
            assert not value.startswith("-") or float(value) < 0
        assert "'=cmd()" in {row.get("pooler") or row.get("first") for row in found}


def test_texts_outside_the_study_are_not_read(tmp_path: Path) -> None:
    keep_texts(tmp_path, ["secret"] * EXAMPLES)
    data = {"test_texts": "../texts.json", "classes": ["a", "b"]}
    study = write_study(tmp_path / "inside", CLEAR, data=data)
    assert findings_of(study).tasks[0].texts is None


def test_texts_that_do_not_fit_the_predictions_are_not_shown(tmp_path: Path) -> None:
    study = tmp_path / "misfit"
    data = {"test_texts": keep_texts(study, ["one too few"] * (EXAMPLES - 1))}
    assert findings_of(write_study(study, CLEAR, data=data)).tasks[0].texts is None


def test_the_padding_certificate_shows_the_worst_cell(tmp_path: Path) -> None:
    study = tmp_path / "certified"
    for seed in range(5):
        write_cell(study, "cls", seed, certificate={"padding content": 0.0})
        write_cell(study, "mean", seed, certificate={"padding content": 1e-8 * seed})
    text = Tags(page(findings_of(study))).text
    assert "4.0e-08" in text
    assert "padding content" in text


def test_two_reports_of_one_study_are_the_same_bytes(tmp_path: Path) -> None:
    study = write_study(tmp_path / "twice", CLEAR)
    first = {path.name: path.read_bytes() for path in write_report(findings_of(study))}
    assert {path.name: path.read_bytes() for path in write_report(findings_of(study))} == first


def test_every_figure_is_one_that_plotly_knows(tmp_path: Path) -> None:
    study = tmp_path / "figures"
    metrics = {"test/accuracy": 0.8, "perf/pooler_ms": 1.0, "perf/samples_per_sec": 5.0}
    for dataset in ("news", "reviews"):
        for digest, lr in (("d0", 0.1), ("d1", 0.2)):
            config = {"optimizer": {"lr": lr}}
            more = {"metrics": metrics | {"best/val_accuracy": lr}, "config": config}
            write_study(study, CLEAR, dataset=dataset, digest=digest, **more)
    findings = findings_of(study, ["optimizer.lr"])
    drawn = [*gallery.of_all(findings)]
    for task in findings.tasks:
        parts = gallery.of_task(task, findings)
        assert all(parts.values()), [part for part, found in parts.items() if not found]
        drawn += [figure for found in parts.values() for figure in found]
    for figure in drawn:
        go.Figure(figure.data, figure.layout)  # raises for what plotly does not know
    assert len({figure.name for figure in drawn}) == 12


def test_length_bins_hold_every_example_once(tmp_path: Path) -> None:
    (task,) = findings_of(write_study(tmp_path / "lengths", CLEAR)).tasks
    bins = length_bins(task)
    assert sorted(np.concatenate([b.rows for b in bins])) == list(range(EXAMPLES))
    assert all(a.last < b.first for a, b in itertools.pairwise(bins))


def test_disagreements_are_counted_over_all_examples(tmp_path: Path) -> None:
    (task,) = findings_of(write_study(tmp_path / "disagree", CLEAR)).tasks
    right = {}
    for name in ("conv", "cls"):
        kept = [cell.predictions for cell in task.standing(name).finished]
        right[name] = np.mean([k.predictions == k.labels for k in kept], axis=0) > 0.5
    found = disagreement(task, "conv", "cls")
    assert found.only_first == int((right["conv"] & ~right["cls"]).sum())
    assert found.only_second == int((right["cls"] & ~right["conv"]).sum())
    assert len(found.won) == 5
    assert all(right["conv"][e.number] and not right["cls"][e.number] for e in found.won)


def test_the_f1_of_a_class_is_the_one_of_its_confusion_counts(tmp_path: Path) -> None:
    study = write_study(tmp_path / "f1", {"cls": 0.7}, seeds=[0])
    (task,) = findings_of(study).tasks
    (cell,) = task.standing("cls").finished
    kept = cell.predictions
    for k, f1 in enumerate(class_f1(task.standing("cls"))):
        precision = (kept.labels[kept.predictions == k] == k).mean()
        recall = (kept.predictions[kept.labels == k] == k).mean()
        assert f1 == pytest.approx(2 * precision * recall / (precision + recall))


def test_what_cannot_be_reported_is_one_line_and_code_2(tmp_path: Path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/study.json").write_text("{")
    study = write_study(tmp_path / "fine", CLEAR)
    for arguments, expected in (
        ([str(tmp_path / "nowhere")], "is not a folder"),
        ([str(tmp_path / "empty")], "train first"),
        ([str(tmp_path / "broken")], "is damaged"),
        ([str(study), "--margin", "-1"], "expected more than 0 points"),
        ([str(study), "--select", "optimizer.lr"], "every cell has the same value"),
    ):
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert expected in said
        assert said.count("\n") == 1


def test_a_report_needs_no_torch(tmp_path: Path) -> None:
    study = write_study(tmp_path / "light", CLEAR)
    heavy = {"torch", "pytorch_lightning", "wandb", "hydra", "transformers", "datasets"}
    code = (
        "import sys; from scripts.report import main; assert main(sys.argv[1:]) == 0; "
        f"assert not {heavy} & sys.modules.keys(), {heavy} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code, study], check=True)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    study = write_study(tmp_path / "closed", CLEAR)
    findings = findings_of(study)
    (study / "report.html").mkdir()
    with pytest.raises(BadInput, match=r"cannot write .*report\.html"):
        write_report(findings)
