"""The leaderboard as files: every name and failure is told, nothing of the user becomes markup."""

from pathlib import Path

from poolbench.report.controls import EXPLAINED, MARK
from poolbench.report.leaderboard import read_leaderboard
from poolbench.report.leaderboard_page import leaderboard_markdown, leaderboard_page
from poolbench.runs.record import PREDICTIONS, RECORD
from scripts.leaderboard import main
from tests.report.reading import Tags, run_without_heavy_imports
from tests.report.written import HOSTILE, declare, write_cell, write_study


def test_what_has_no_result_is_counted_and_named(tmp_path: Path) -> None:
    write_study(tmp_path / "fine", {"mean": 0.8})
    declare(tmp_path / "fine", [{"pooler": "mean", "seed": seed} for seed in range(6)])
    write_cell(tmp_path / "bad", "conv", 0, status="failed")
    write_cell(tmp_path / "bad", "conv", 1, status="diverged")
    (write_cell(tmp_path / "bad", "conv", 2) / RECORD).write_text("{")
    (write_cell(tmp_path / "bad", "conv", 3) / PREDICTIONS).unlink()
    write_cell(tmp_path / "bad", "conv", 4, examples=1)
    (tmp_path / "bad/study.json").write_text("{")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/study.json").write_text('{"comparison": {}, "cells": [3, {"pooler": "x"}]}')
    (tmp_path / "record.json").write_text("[]")
    assert main([str(tmp_path)]) == 0
    html, markdown = ((tmp_path / f"leaderboard.{kind}").read_text() for kind in ("html", "md"))
    board = read_leaderboard(tmp_path)
    assert len(board.without) == 7
    for told in (Tags(html).text, markdown.replace("\\", "")):
        assert "1 row from 5 finished cells" in told
        assert "7 cells without a result: 4 damaged, 1 diverged, 1 failed, 1 missing." in told
        assert "failed: bad/reviews/tiny/conv/seed=0-d0: ValueError: on purpose" in told
        assert "missing: fine/reviews/tiny/mean/seed=5-d0" in told
        assert "bad/study.json is damaged" in told
        assert "odd/study.json is damaged" in told
        assert "fewer than 2 test examples" in told


def test_only_failures_are_a_leaderboard_too(tmp_path: Path) -> None:
    write_cell(tmp_path, "conv", 0, status="failed")
    assert main([str(tmp_path)]) == 0


def test_it_goes_where_it_is_told_and_leaves_the_root_alone(tmp_path: Path) -> None:
    write_study(tmp_path / "root/a", {"mean": 0.8})
    before = sorted((tmp_path / "root").rglob("*"))
    assert main([str(tmp_path / "root"), "--out", str(tmp_path / "new/place")]) == 0
    assert sorted((tmp_path / "root").rglob("*")) == before
    assert {p.name for p in (tmp_path / "new/place").iterdir()} == {
        "leaderboard.html",
        "leaderboard.md",
    }


def test_every_line_of_the_markdown_table_has_the_same_cells(tmp_path: Path) -> None:
    write_study(tmp_path / "a", {"me|an": 0.8, "`c`": 0.7, HOSTILE: 0.6}, seeds=[0, 1])
    text = leaderboard_markdown(read_leaderboard(tmp_path))
    lines = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 5
    assert len({line.count("|") for line in lines}) == 1
    assert "<script" not in text


def test_names_of_the_user_cannot_become_markup(tmp_path: Path) -> None:
    study = tmp_path / "hostile"
    config = {"optimizer": {"lr": HOSTILE}}
    cell = {"pooler": "<img src=x>", "seed": 0}
    write_cell(study, "<img src=x>", 0, config=config)
    write_cell(study, "mean", 0, config={"optimizer": {"lr": 1}})
    write_cell(study, "conv", 0, status="failed", error=HOSTILE)
    declare(study, [{**cell, "command": f"python train.py {HOSTILE}"}])
    tags = Tags(leaderboard_page(read_leaderboard(tmp_path)))
    assert "img" not in tags.tags
    assert tags.tags.count("script") == 1
    assert tags.text.count(HOSTILE) == 3


def test_what_cannot_be_ranked_is_one_line_and_code_2(tmp_path: Path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    write_study(tmp_path / "fine", {"mean": 0.8})
    (tmp_path / "file").write_text("")
    for arguments, expected in (
        ([str(tmp_path / "nowhere")], "is not a folder"),
        ([str(tmp_path / "empty")], "train first"),
        ([str(tmp_path / "fine"), "--out", str(tmp_path / "file")], "cannot write"),
    ):
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert expected in said
        assert said.count("\n") == 1


def test_a_leaderboard_needs_no_torch(tmp_path: Path) -> None:
    write_study(tmp_path / "light", {"mean": 0.8})
    run_without_heavy_imports("leaderboard", tmp_path)


def test_controls_are_marked_and_explained_where_there_are_any(tmp_path: Path) -> None:
    write_study(tmp_path / "a", {"mean": 0.8})
    board = read_leaderboard(tmp_path)
    assert EXPLAINED not in Tags(leaderboard_page(board)).text
    write_study(tmp_path / "b", {"pitfall-sum": 0.7})
    board = read_leaderboard(tmp_path)
    assert EXPLAINED in Tags(leaderboard_page(board)).text
    assert f">{MARK} pitfall-sum</a>" in leaderboard_page(board)
    assert f"| {MARK} pitfall-sum |" in leaderboard_markdown(board)
