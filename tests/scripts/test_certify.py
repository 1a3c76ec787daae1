"""``scripts/certify.py`` measures the contract without training."""

from pathlib import Path

from scripts import certify
from tests.conftest import SMALL, TINY


def test_a_correct_pooler_passes_and_a_pitfall_fails(tmp_path: Path, capsys) -> None:
    small = [*SMALL[1:], *TINY, f"output_dir={tmp_path}"]
    assert certify.main([*small, "pooler=mean"]) == 0
    printed = capsys.readouterr().out
    assert "passed" in printed
    assert "FAILED" not in printed
    assert certify.main([*small, "pooler=mean,pitfall/unmasked_mean"]) == 1
    mean, unmasked = capsys.readouterr().out.split("pitfall/unmasked_mean")
    assert "FAILED" not in mean
    assert "FAILED" in unmasked
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_command_ends_in_one_line(capsys) -> None:
    assert certify.main(["pooler=nope"]) == 2
    error = capsys.readouterr().err
    assert "unknown pooler 'nope'" in error
    assert error.count("\n") == 1
