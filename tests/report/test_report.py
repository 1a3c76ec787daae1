"""A study becomes a report: its files, its choices, and what cannot be reported."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from io import StringIO
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poolbench.core.errors import UserError
from poolbench.report import build
from poolbench.report.build import figures_of, findings_of, write_figures, write_report
from poolbench.report.caveats import caveats
from poolbench.report.tables import verdict_table
from poolbench.runs.record import RECORD, write_record
from poolbench.stats.verdict import Word
from scripts import leaderboard, report
from tests.report.studies import (
    CLEAR,
    EXAMPLES,
    Tags,
    declare,
    headline,
    reason,
    spec_of,
    write_run,
    write_study,
)


def test_a_study_becomes_four_files_with_one_answer(tmp_path: Path, capsys) -> None:
    study = write_study(tmp_path / "clear", CLEAR)
    assert report.main([str(study)]) == 0
    assert capsys.readouterr().out.startswith("Not decided on reviews × tiny: conv")
    assert "Not decided on reviews × tiny" in Tags((study / "report.html").read_text()).text
    assert (study / "report.md").read_text().startswith("**Not decided on reviews × tiny: ")
    comparison = pd.read_csv(study / "comparison.csv")
    with_reference = comparison[comparison.compared_with == "reference"].set_index("first")
    for metric in ("accuracy", "brier"):
        words = with_reference[with_reference.metric == metric].word.to_dict()
        assert words == {"attention": "better", "conv": "better"}
    assert (comparison.compared_with == "all pairs").sum() == 3
    runs = pd.read_csv(study / "runs.csv")
    assert set(runs.status) == {"ok"}
    assert len(runs) == 15


def test_two_reports_of_one_study_are_the_same_bytes(tmp_path: Path) -> None:
    study = write_study(tmp_path / "twice", CLEAR)
    first = {path.name: path.read_bytes() for path in write_report(findings_of(study))}
    assert {path.name: path.read_bytes() for path in write_report(findings_of(study))} == first


def test_markdown_tables_have_equal_columns_in_every_row(tmp_path: Path) -> None:
    study = write_study(tmp_path / "md", {"cls": 0.8, "me|an": 0.7, "`c`": 0.6})
    write_report(findings_of(study))
    lines = (study / "report.md").read_text().replace("\\|", "").splitlines()
    tables = [[*rows] for is_row, rows in groupby(lines, lambda x: x.startswith("|")) if is_row]
    frames = [pd.read_csv(StringIO("\n".join(rows)), sep="|") for rows in tables]
    # A rule, three poolers and two baselines; the other metrics have no baselines.
    assert [len(frame) for frame in frames] == [6, 4]
    assert not any(frame.isna().all(axis=1).any() for frame in frames)


def test_a_clear_winner_is_to_be_used_and_the_dates_are_shown(tmp_path: Path) -> None:
    study = write_study(tmp_path / "won", {"cls": 0.6, "attention": 0.95, "conv": 0.7})
    findings = findings_of(study)
    assert headline(findings) == "Decided on reviews × tiny: use attention."
    assert "Every other pooler is worse by" in reason(findings)
    assert "Cannot be ruled out as best: attention." in reason(findings)
    for path in study.rglob(RECORD):
        os.utime(path, (0, 86_400 * int("seed=4" in path.parent.name)))
    assert "1970-01-01 to 1970-01-02" in Tags(write_report(findings)[0].read_text()).text


def test_nothing_is_recommended_where_nothing_beats_the_majority_class(tmp_path: Path) -> None:
    findings = findings_of(write_study(tmp_path / "chance", {"cls": 0.55, "mean": 0.5}))
    assert "no pooler is shown to be better than the majority class" in headline(findings)
    rows = verdict_table(findings.tasks[0], findings).frame.set_index("pooler")["accuracy (%)"]
    assert rows["majority class"] == pytest.approx(55.25)
    assert rows["chance"] == 50


def test_the_answer_has_what_a_reader_must_know(tmp_path: Path) -> None:
    notes = ["It was trained with mean pooling."]
    findings = findings_of(write_study(tmp_path / "noted", CLEAR, notes=notes))
    assert reason(findings).endswith("Note: It was trained with mean pooling.")


def test_probabilities_get_a_verdict_of_their_own(tmp_path: Path) -> None:
    """conv predicts the same classes as cls, and is surer of the right ones."""
    labels = np.random.default_rng(0).integers(0, 2, EXAMPLES)
    for seed in range(5):
        predictions = np.where(
            np.random.default_rng(seed).random(EXAMPLES) < 0.2, 1 - labels, labels
        )
        for pooler, scale in (("cls", 1.0), ("conv", 3.0)):
            record = write_run(tmp_path, pooler, seed, predictions=predictions)
            predicted = record.model_copy(update={"folder": record.folder}).predictions
            logits = np.where((predictions == labels)[:, None], scale, 1.0) * predicted.outputs
            write_record(record, replace(predicted, outputs=logits.astype(np.float32)))
    (task,) = findings_of(tmp_path).tasks
    assert task.against[0].word is Word.TIED
    assert task.probabilities[0].word is Word.BETTER
    assert "points Brier score" in task.probabilities[0].sentence
    row = verdict_table(task, findings_of(tmp_path)).frame.set_index("pooler").loc["conv"]
    assert row["by Brier score"].text == "▲ better"


def test_indistinguishable_poolers_are_not_ranked(tmp_path: Path) -> None:
    findings = findings_of(write_study(tmp_path / "same", {"cls": 0.8, "mean": 0.8, "max": 0.8}))
    assert "No pooler can be ruled out as best" in reason(findings)


def test_declared_choices_count_and_options_replace_them(tmp_path: Path) -> None:
    study = write_study(tmp_path / "declared", CLEAR)
    specs = [spec_of(study, pooler, seed) for pooler in CLEAR for seed in range(5)]
    declare(study, specs, reference="conv", metric="f1_macro", margin=2.0, looks=[5])
    declared = findings_of(study).protocol
    assert (declared.reference, declared.metric, declared.margin) == ("conv", "f1_macro", 2.0)
    asked = findings_of(study, reference="attention", margin=1.0, metric="accuracy").protocol
    assert (asked.reference, asked.metric, asked.margin) == ("attention", "accuracy", 1.0)
    assert asked.looks == [5]
    write_report(findings_of(study))


def test_an_absent_reference_is_replaced_with_a_note(tmp_path: Path) -> None:
    findings = findings_of(write_study(tmp_path / "r", {"max": 0.8, "mean": 0.8}))
    assert findings.protocol.reference == "max"
    assert "The reference cls is not in this study: max" in caveats(findings)[0]


def test_what_cannot_be_reported_is_one_line_and_exit_code_2(tmp_path: Path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/study.json").write_text("{")
    study = write_study(tmp_path / "fine", CLEAR)
    for main, arguments, expected in (
        (report.main, [str(tmp_path / "nowhere")], "is not a folder"),
        (report.main, [str(tmp_path / "empty")], "train first"),
        (report.main, [str(tmp_path / "broken")], "is damaged"),
        (report.main, [str(study), "--margin", "-1"], "margin: Input should be greater than 0"),
        (report.main, [str(study), "--select", "optimizer.lr"], "every run has the same value"),
        (leaderboard.main, [str(tmp_path / "nowhere")], "is not a folder"),
        (leaderboard.main, [str(tmp_path / "empty")], "train first"),
        (leaderboard.main, [str(study), "--out", str(study / "study.json/x")], "cannot write"),
    ):
        (study / "study.json").touch()
        if main is report.main:
            (study / "study.json").unlink()
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert expected in error
        assert error.count("\n") == 1


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    study = write_study(tmp_path / "closed", CLEAR)
    (study / "report.html").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*report\.html"):
        write_report(findings_of(study))


@pytest.mark.parametrize("script", ["report", "leaderboard"])
def test_neither_torch_nor_a_training_library_is_imported(tmp_path: Path, script: str) -> None:
    study = write_study(tmp_path / "light", CLEAR)
    heavy = {"torch", "pytorch_lightning", "wandb", "hydra", "transformers", "datasets"}
    code = (
        f"import sys; from scripts.{script} import main; assert main(sys.argv[1:]) == 0; "
        f"assert not {heavy} & sys.modules.keys(), {heavy} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code, study], check=True)


def test_poolers_that_still_improve_are_named(tmp_path: Path) -> None:
    """The written runs improve in each of three epochs: with three allowed they were cut short."""
    for pooler, epochs in (("cut", 3), ("stopped", 9)):
        config = {"trainer": {"max_epochs": epochs}}
        write_study(tmp_path / "rising", {pooler: 0.8}, range(3), spec={"config": config})
    (line,) = [line for line in caveats(findings_of(tmp_path / "rising")) if "improving" in line]
    assert ": cut." in line
    assert "stopped" not in line


@pytest.mark.parametrize(("lead", "mentioned"), [("hair", False), ("tenth", True)])
def test_a_lead_that_is_shown_as_zero_is_not_mentioned(tmp_path: Path, lead, mentioned) -> None:
    """One answer in 15,000 is nothing; at every seed 9 of 3,000 won and 6 lost are a tenth."""
    labels = np.random.default_rng(0).integers(0, 2, 3000)
    for seed in range(5):
        own = np.random.default_rng(seed).random(3000) > 0.8
        predictions = np.where(own, 1 - labels, labels)
        write_run(tmp_path, "cls", seed, examples=3000, predictions=predictions)
        wins, losses = (9, 6) if lead == "tenth" else (seed == 0, 0)
        changed = [*np.flatnonzero(own)[:wins], *np.flatnonzero(~own)[:losses]]
        predictions = predictions.copy()
        predictions[changed] = 1 - predictions[changed]
        write_run(tmp_path, "conv", seed, examples=3000, predictions=predictions)
    assert ("conv has the highest mean" in reason(findings_of(tmp_path))) == mentioned


# Texts


def test_texts_outside_the_study_or_of_another_length_are_not_shown(tmp_path: Path) -> None:
    from tests.report.studies import keep_texts

    keep_texts(tmp_path, ["secret"] * EXAMPLES)
    outside = write_study(tmp_path / "inside", CLEAR, data={"test_texts": "../texts.json"})
    study = tmp_path / "misfit"
    data = keep_texts(study, ["one too few"] * (EXAMPLES - 1))
    for folder in (outside, write_study(study, CLEAR, data=data)):
        assert findings_of(folder).tasks[0].texts is None


# Images


def test_figures_without_their_extra_are_one_line(tmp_path: Path, capsys, monkeypatch) -> None:
    study = write_study(tmp_path / "plain", CLEAR)
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    assert report.main([str(study), "--figures"]) == 2
    assert "pip install 'poolbench[figures]'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.browser
def test_each_figure_becomes_two_images(tmp_path: Path) -> None:
    pytest.importorskip("kaleido")
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        pytest.skip("chromium is not installed")
    study = write_study(tmp_path / "drawn", CLEAR, range(1))
    findings = findings_of(study)
    drawn = [
        f for sections in figures_of(findings).values() for of in sections.values() for f in of
    ]
    paths = write_figures(findings)
    assert len(paths) == 2 * len(drawn)
    for path in paths:
        assert path.parent == study / "figures/reviews/tiny"
        start = {".png": b"\x89PNG", ".svg": b"<svg"}[path.suffix]
        assert path.read_bytes().startswith(start)
