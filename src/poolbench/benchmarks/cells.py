"""The cells that a benchmark measures, from the same configuration files as ``train.py``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poolbench.command import Asked, check_command
from poolbench.experiment import run_cell
from poolbench.prepare import prepare
from poolbench.results.record import read_record
from poolbench.sweep import plan

# The certificate of a pooler is measured once and is no part of a training.
QUIET = ("logger=none", "trainer.enable_progress_bar=false", "certify=false")


def asked(overrides: Sequence[str]) -> Asked:
    """One cell, without a logger, a progress bar or a certificate.

    Raises:
        BadInput: an override that ``train.py`` would refuse.
    """
    return check_command([*QUIET, *overrides], multirun=False)[0]


def train_cell(overrides: Sequence[str]) -> tuple[dict[str, Any], Path]:
    """The record of one cell, run as ``train.py`` runs it, and its folder.

    Errors come out as they are, where a sweep would note them down and go on.
    """
    one = asked(overrides)
    cell = plan([one])[0].cell
    run_cell(one.cfg, cell, prepare(one.cfg))
    return read_record(cell.folder), cell.folder
