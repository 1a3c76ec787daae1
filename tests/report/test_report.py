"""A study becomes a report: its files, its choices, and what cannot be reported."""

import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poolbench.core.errors import UserError
from poolbench.report.build import figures_of, findings_of, write_report
from poolbench.report.narrative import caveats, missing
from poolbench.runs.record import PREDICTIONS, RECORD
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
    assert capsys.readouterr().out.startswith("Use attention on reviews × tiny.")
    assert "Use attention on reviews × tiny." in Tags((study / "report.html").read_text()).text
    assert (study / "report.md").read_text().startswith("**Use attention on reviews × tiny.**")
    comparison = pd.read_csv(study / "comparison.csv")
    with_reference = comparison[comparison.compared_with == "reference"].set_index("first")
    assert with_reference.word.to_dict() == {"attention": "better", "conv": "better"}
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
    table = "\n".join(line for line in lines if line.startswith("|"))
    frame = pd.read_csv(StringIO(table), sep="|")
    assert len(frame) == 4
    assert not frame.isna().all(axis=1).any()


def test_indistinguishable_poolers_are_not_ranked(tmp_path: Path) -> None:
    findings = findings_of(write_study(tmp_path / "same", {"cls": 0.8, "mean": 0.8, "max": 0.8}))
    assert "no pooler is shown to beat another" in reason(findings)


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


def test_several_datasets_have_an_answer_each_and_one_overall(tmp_path: Path) -> None:
    study = tmp_path / "many"
    for dataset in ("news", "reviews"):
        write_study(study, CLEAR, spec={"dataset": dataset})
    findings = findings_of(study)
    assert [task.name for task in findings.tasks] == ["news × tiny", "reviews × tiny"]
    assert {(a.first, a.counts["wins"]) for a in findings.across} == {("attention", 2), ("conv", 2)}
    text = Tags(write_report(findings)[0].read_text()).text
    assert "Over all datasets and encoders" in text
    assert text.count("Use attention on") == 2


def test_a_dataset_without_the_reference_is_reported(tmp_path: Path) -> None:
    study = write_study(tmp_path / "uneven", CLEAR)
    write_study(study, {"conv": 0.9, "attention": 0.6}, spec={"dataset": "news"})
    news, _ = findings_of(study).tasks
    assert {c.why for c in news.against} == {"missing: cls has no run"}
    assert news.top == ["conv"]
    write_report(findings_of(study))


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


# Unfinished studies


def test_an_unfinished_study_lists_what_is_missing(tmp_path: Path) -> None:
    study = tmp_path / "unfinished"
    specs = [spec_of(study, pooler, seed) for pooler in CLEAR for seed in range(5)]
    declare(study, specs)
    for spec in specs:
        if (spec.pooler, spec.seed) not in {("conv", 3), ("conv", 4)}:
            write_run(study, spec.pooler, spec.seed, CLEAR[spec.pooler])
    findings = findings_of(study)
    assert missing(findings) == ["missing: conv on reviews × tiny, seeds 3, 4"]
    words = {c.first: c.word for c in findings.tasks[0].against}
    assert words == {"attention": Word.BETTER, "conv": Word.NONE}
    assert headline(findings) == "Use attention on reviews × tiny."
    assert "No verdict on conv" in reason(findings)
    write_report(findings)
    for name in ("report.html", "report.md"):
        assert "13 of 15 runs have a result" in (study / name).read_text()
    runs = pd.read_csv(study / "runs.csv")
    assert list(runs[runs.status == "missing"].command) == [
        "python train.py pooler=conv seed=3",
        "python train.py pooler=conv seed=4",
    ]


def test_a_study_without_any_result_has_a_report(tmp_path: Path) -> None:
    study = tmp_path / "planned"
    declare(study, [spec_of(study, pooler, 0) for pooler in ("cls", "mean")])
    findings = findings_of(study)
    assert "No recommendation" in headline(findings)
    assert "No run has finished." in reason(findings)
    write_report(findings)


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_failed_run_is_counted_and_leaves_no_verdict(tmp_path: Path, status: str) -> None:
    study = write_study(tmp_path / "bad", CLEAR)
    write_run(study, "conv", 4, status=status)
    findings = findings_of(study)
    (line,) = missing(findings)
    assert line == f"{status}: conv on reviews × tiny, seed 4: ValueError: on purpose"
    words = {c.first: c.word for c in findings.tasks[0].against}
    assert words == {"attention": Word.BETTER, "conv": Word.NONE}
    assert line in Tags(write_report(findings)[0].read_text()).text


@pytest.mark.parametrize("file", [RECORD, PREDICTIONS])
def test_a_damaged_run_is_named_and_not_read(tmp_path: Path, file: str) -> None:
    study = write_study(tmp_path / "damaged", CLEAR)
    place = study / "reviews/tiny/conv/seed=2-d0" / file
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    findings = findings_of(study)
    (line,) = missing(findings)
    assert line.startswith("damaged: conv on reviews × tiny, seed 2: reviews/tiny/conv")
    assert {c.first: c.word for c in findings.tasks[0].against}["conv"] is Word.NONE
    write_report(findings)


def test_a_record_of_another_schema_or_one_test_example_is_damaged(tmp_path: Path) -> None:
    study = write_study(tmp_path / "strange", CLEAR)
    (write_run(study, "conv", 7).folder / RECORD).write_text('{"status": "ok"}')
    write_run(study, "attention", 8, examples=1)
    findings = findings_of(study)
    assert [r.status for r in findings.study.runs].count("damaged") == 2
    assert any("fewer than 2 test examples" in line for line in missing(findings))
    write_report(findings)


@pytest.mark.parametrize(("seeds", "why"), [(1, "single seed"), (3, "3 of the 5 seeds")])
def test_few_seeds_give_a_description_and_no_recommendation(
    tmp_path: Path, seeds: int, why: str
) -> None:
    findings = findings_of(write_study(tmp_path / "few", CLEAR, range(seeds)))
    assert "No recommendation" in headline(findings)
    assert why in headline(findings)
    assert "descriptive, not tested" in reason(findings)
    write_report(findings)


def test_a_single_pooler_has_a_report_without_comparisons(tmp_path: Path) -> None:
    study = write_study(tmp_path / "alone", {"mean": 0.8})
    findings = findings_of(study)
    assert headline(findings).startswith("Nothing to compare")
    write_report(findings)
    assert (study / "comparison.csv").read_text().strip() == ""


def test_an_undeclared_number_of_seeds_is_exploratory(tmp_path: Path) -> None:
    findings = findings_of(write_study(tmp_path / "seven", CLEAR, range(7)))
    assert headline(findings).startswith("Exploratory: ")
    assert any("7 seeds, not one of the planned looks" in line for line in caveats(findings))


def test_an_undeclared_run_is_pointed_out(tmp_path: Path) -> None:
    study = write_study(tmp_path / "more", CLEAR)
    declare(study, [spec_of(study, pooler, s) for pooler in ("cls", "conv") for s in range(5)])
    assert any("Undeclared runs: 5" in line for line in caveats(findings_of(study)))


def test_variants_without_a_selection_have_no_verdict_and_no_mean(tmp_path: Path) -> None:
    study = tmp_path / "variants"
    for digest, lr in (("d0", 0.1), ("d1", 0.2)):
        spec = {"digest": digest, "config": {"optimizer": {"lr": lr}}}
        write_study(study, CLEAR, spec=spec)
    findings = findings_of(study)
    (task,) = findings.tasks
    assert {c.word for c in task.against} == {Word.NONE}
    assert "--select optimizer.lr" in caveats(findings)[0]
    # Which variant would be the score of a seed? None is shown, drawn or averaged.
    assert {s.mean for s in task.standings} == {None}
    assert "a seed has several runs" in reason(findings)
    assert not any(figures_of(findings)[task.name].values())
    write_report(findings)


# Texts


def test_texts_outside_the_study_or_of_another_length_are_not_shown(tmp_path: Path) -> None:
    from tests.report.studies import keep_texts

    keep_texts(tmp_path, ["secret"] * EXAMPLES)
    outside = write_study(tmp_path / "inside", CLEAR, data={"test_texts": "../texts.json"})
    study = tmp_path / "misfit"
    data = keep_texts(study, ["one too few"] * (EXAMPLES - 1))
    for folder in (outside, write_study(study, CLEAR, data=data)):
        assert findings_of(folder).tasks[0].texts is None
