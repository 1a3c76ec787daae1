"""The files of a leaderboard: what has no result, where they are written, hostile names."""

from pathlib import Path

from poolbench.report.controls import CONTROLS_EXPLAINED
from poolbench.report.leaderboard import leaderboard_files, read_leaderboard
from poolbench.runs.record import PREDICTIONS, RECORD
from scripts.leaderboard import main
from tests.report.studies import HOSTILE, Tags, declare, spec_of, write_run, write_study


def test_runs_without_a_result_are_counted_and_named(tmp_path: Path) -> None:
    fine, bad = tmp_path / "fine", tmp_path / "bad"
    write_study(fine, {"mean": 0.8})
    declare(fine, [spec_of(fine, "mean", seed) for seed in range(6)])
    write_run(bad, "conv", 0, status="failed")
    write_run(bad, "conv", 1, status="diverged")
    (write_run(bad, "conv", 2).folder / RECORD).write_text("{")
    (write_run(bad, "conv", 3).folder / PREDICTIONS).unlink()
    write_run(bad, "conv", 4, examples=1)
    (bad / "study.json").write_text("{")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/study.json").write_text('{"runs": [3, {"pooler": "x"}]}')
    (tmp_path / "record.json").write_text("[]")
    assert main([str(tmp_path)]) == 0
    html, markdown = ((tmp_path / f"leaderboard.{kind}").read_text() for kind in ("html", "md"))
    assert len(read_leaderboard(tmp_path).without) == 7
    for text in (Tags(html).text, markdown.replace("\\", "")):
        assert "1 row from 5 finished runs" in text
        assert "7 runs without a result: 4 damaged, 1 diverged, 1 failed, 1 missing." in text
        assert "failed: bad/reviews/tiny/conv/seed=0-d0: ValueError: on purpose" in text
        assert "missing: fine/reviews/tiny/mean/seed=5-d0" in text
        assert "bad/study.json is damaged" in text
        assert "odd/study.json is damaged" in text
        assert "fewer than 2 test examples" in text


def test_a_leaderboard_of_failures_only_is_written(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "conv", 0, status="failed")
    assert main([str(tmp_path)]) == 0


def test_another_output_folder_leaves_the_root_unchanged(tmp_path: Path) -> None:
    write_study(tmp_path / "root/a", {"mean": 0.8})
    before = sorted((tmp_path / "root").rglob("*"))
    assert main([str(tmp_path / "root"), "--out", str(tmp_path / "new/place")]) == 0
    assert sorted((tmp_path / "root").rglob("*")) == before
    names = {path.name for path in (tmp_path / "new/place").iterdir()}
    assert names == {"leaderboard.html", "leaderboard.md"}


def test_names_cannot_become_markup_or_break_the_table(tmp_path: Path) -> None:
    study = tmp_path / "hostile"
    spec = {"config": {"optimizer": {"lr": HOSTILE}}, "command": f"python train.py {HOSTILE}"}
    write_run(study, "<img src=x>", 0, spec=spec)
    write_run(study, "me|an", 0, spec={"config": {"optimizer": {"lr": 1}}})
    write_run(study, "conv", 0, status="failed", error=HOSTILE)
    files = leaderboard_files(read_leaderboard(tmp_path))
    tags = Tags(files["leaderboard.html"])
    assert "img" not in tags.tags
    assert tags.tags.count("script") == 1
    assert tags.text.count(HOSTILE) == 4
    lines = files["leaderboard.md"].replace("\\|", "").splitlines()
    table = [line.count("|") for line in lines if line.startswith("|")]
    assert len(table) == 4
    assert len(set(table)) == 1
    # A command is an indented code block, in which nothing is markup.
    assert all(line.startswith("    python") for line in lines if "<script" in line)


def test_controls_are_marked_and_explained_if_there_are_any(tmp_path: Path) -> None:
    write_study(tmp_path / "a", {"mean": 0.8})
    assert (
        CONTROLS_EXPLAINED not in leaderboard_files(read_leaderboard(tmp_path))["leaderboard.html"]
    )
    write_study(tmp_path / "b", {"pitfall-sum": 0.7})
    files = leaderboard_files(read_leaderboard(tmp_path))
    assert CONTROLS_EXPLAINED in files["leaderboard.html"]
    assert ">† pitfall-sum<" in files["leaderboard.html"]
    assert "| † pitfall-sum |" in files["leaderboard.md"]
