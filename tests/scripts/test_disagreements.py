"""``scripts/explain.py --disagreements`` where there is nothing to explain."""

from pathlib import Path

from scripts import explain
from tests.conftest import TINY, plan, train


def test_a_study_without_disagreements_ends_in_one_line(tmp_path: Path, capsys) -> None:
    train(plan(tmp_path, *TINY, "pooler=mean", "study=one"))
    assert explain.main([str(tmp_path / "one"), "--disagreements"]) == 2
    error = capsys.readouterr().err
    assert error.endswith("no two poolers disagree on texts that the study has kept\n")
