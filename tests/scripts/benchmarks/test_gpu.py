"""The checks and timings of the GPU script, in small on the CPU and whole on a GPU."""

import os
import subprocess
import sys

import gpu
import pytest
import torch

from tests.conftest import ROOT

ABSENT = ("hydra", "omegaconf", "datasets", "wandb", "plotly", "beartype")
BLOCK = f"import sys; sys.modules.update(dict.fromkeys({ABSENT}))\n"


def without_packages(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python code in which some packages cannot be imported."""
    return subprocess.run(
        [sys.executable, "-c", BLOCK + script, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}/src:{ROOT}/scripts/benchmarks"},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_script_runs_without_the_packages_that_a_gpu_machine_lacks() -> None:
    script = "import gpu; sys.exit(gpu.main(sys.argv[1:]))"
    done = without_packages(script, "--device", "cpu", "--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("passed") == 5
    assert "0 checks failed" in done.stdout
    for words in ("HF Trainer, grouped by length", "TFLOP/s in bf16", "fraction of limit"):
        assert words in done.stdout
    for pooler in ("attention", "max_pool_bert", "control/projected_mean"):
        assert f"\n  {pooler} " in done.stdout


@pytest.mark.slow
def test_the_tests_for_a_gpu_are_collected_without_these_packages(monkeypatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # Hydra has a plugin for pytest
    options = ["-o", "addopts=--import-mode=importlib", "-m", "gpu", "-p", "no:cacheprovider"]
    script = f"import pytest; sys.exit(pytest.main({[*options, 'tests']}))"
    done = without_packages(script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "error" not in done.stdout
    assert torch.cuda.is_available() or " skipped" in done.stdout


def test_a_check_fails_above_its_limit_and_without_a_number(capsys) -> None:
    checks = gpu.Checks()
    for found in (0.1, 2.0, float("nan")):
        checks.add("name", found, 1.0)
    assert not checks.attempt("kernel", lambda: 1 / 0)
    assert checks.failed == 3
    assert capsys.readouterr().out.count("failed") == 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_pooled_vectors_on_a_gpu_are_those_of_the_cpu() -> None:
    assert gpu.main(["--checks"]) == 0
