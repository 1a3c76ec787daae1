"""The script as a person calls it, on little data."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="session")
def script() -> Any:
    """``scripts/benchmark.py`` as a module."""
    spec = importlib.util.spec_from_file_location("benchmark", ROOT / "scripts/benchmark.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def benchmark(script: Any, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run the script and give the file that it writes."""

    def run(*arguments: str) -> dict[str, Any]:
        file = tmp_path / "measured.json"
        assert script.main([*arguments, "--json", str(file)]) == 0
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    return run
