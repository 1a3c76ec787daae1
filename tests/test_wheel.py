"""The wheel holds the code, the configuration and the templates, and works outside a checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT, TINY


def python(cwd: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": str(cwd / "installed")}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
def test_a_wheel_trains_and_reports_outside_a_checkout(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), "."]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("poolbench-*.whl"))) as wheel:
        wheel.extractall(tmp_path / "installed")
    small = [*TINY, "dataset.max_examples=40", "trainer.max_epochs=1", "logger=none"]
    trained = python(tmp_path, "-m", "poolbench", "pooler=mean", *small)
    assert trained.returncode == 0, trained.stderr
    assert "test accuracy" in trained.stdout
    assert (tmp_path / "outputs/default").is_dir()
    where = python(tmp_path, "-m", "poolbench", "--info", "searchpath")
    assert str(tmp_path / "installed/poolbench/conf") in where.stdout
    report = "import pathlib as p, poolbench.report.build as b;"
    report += "b.write_report(b.findings_of(p.Path('outputs/default')))"
    assert python(tmp_path, "-c", report).returncode == 0
    assert (tmp_path / "outputs/default/report.html").stat().st_size > 1_000_000
