"""The study that the tests of damaged files share."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Imported here: this file is read also where the packages of a report are missing.
    from tests.robustness.whole_study import write_whole_study

    return write_whole_study(tmp_path_factory.mktemp("outputs") / "whole")


@pytest.fixture
def copied(study: Path, tmp_path: Path) -> Path:
    return shutil.copytree(study, tmp_path / "whole")
