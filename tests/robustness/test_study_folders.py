"""Foreign, copied and missing files and folders of a study are left out or named."""

import os
import shutil
from pathlib import Path

import pytest

from poolbench.report.build import findings_of
from poolbench.report.leaderboard import read_leaderboard
from poolbench.runs.explanations import EXPLANATIONS
from poolbench.runs.record import PREDICTIONS, RECORD
from poolbench.runs.study import STUDY, read_study
from tests.report.studies import write_run
from tests.robustness.mutations import EXAMPLES, RUN, both, pages


@pytest.mark.parametrize("name", [RECORD, PREDICTIONS, STUDY, EXPLANATIONS, "texts.json"])
@pytest.mark.parametrize("kind", ["folder", "loop", "broken link", "NUL", "nothing"])
def test_files_of_any_kind(copied: Path, name: str, kind: str) -> None:
    path = copied / (RUN / name if name in (RECORD, PREDICTIONS) else name)
    path.unlink()
    if kind == "folder":
        path.mkdir()
        (path / RECORD).mkdir()
    elif kind == "NUL":
        path.write_bytes(b"\0" * 100)
    elif kind != "nothing":
        path.symlink_to(path.name if kind == "loop" else "nowhere")
    both(copied)


def test_folders_of_any_shape(copied: Path) -> None:
    deep = copied.joinpath(*"abcdefghij")
    deep.mkdir(parents=True)
    (deep / RECORD).write_text("[]")
    for name in (RECORD, "seed=x-y", os.fsdecode(b"\xff"), "a\nb"):
        (copied / name).mkdir()
        (copied / name / RECORD).write_text("{}")
    (copied / "loop").symlink_to(copied)
    (copied / "reviews/tiny/conv" / "seed=99999999999999999999-d0").mkdir()
    (copied / "reviews/tiny/conv" / "seed=99999999999999999999-d0" / RECORD).touch()
    study = read_study(copied)
    assert len(study.damaged) == 7
    assert len(study.finished) == 10
    assert any("7 files are damaged and left out" in note for note in findings_of(copied).notes)
    pages(copied)


def test_a_moved_record_counts_and_a_copy_does_not(copied: Path) -> None:
    shutil.copytree(copied / RUN, copied / "backup/conv")
    shutil.move(copied / "reviews/tiny/cls/seed=0-d0", copied / "elsewhere")
    study = read_study(copied)
    assert study.damaged == {"backup/conv": f"a copy of {RUN}"}
    assert [run.status for run in study.runs].count("ok") == 10
    assert "1 file is damaged and left out: backup/conv: a copy" in str(findings_of(copied).notes)
    both(copied)


def test_records_of_another_schema_or_study(copied: Path) -> None:
    (copied / RUN / RECORD).write_text('{"schema_version": 1, "checksum": "x", "cell": {}}')
    foreign = copied.parent / "other/reviews/tiny/gru/seed=0-d0"
    write_run(copied.parent / "other", "gru", 0, examples=EXAMPLES)
    shutil.copytree(foreign, copied / "reviews/tiny/gru/seed=0-d0")
    study = read_study(copied)
    assert "schema 1, this version of poolbench reads 3" in study.damaged[RUN.as_posix()]
    assert study.undeclared == ("reviews/tiny/gru/seed=0-d0",)
    both(copied.parent)
    both(copied)


def test_runs_of_other_code_are_marked(copied: Path) -> None:
    (note,) = [note for note in findings_of(copied).notes if "other code" in note]
    assert "10 of 11 runs were made by other code (digest c;" in note
    assert "rerun=stale" in note
    assert note.partition(" of ")[0] in str(read_leaderboard(copied).notes)
    assert all(run.is_stale == run.ok for run in read_study(copied).runs)
