"""The cells that a benchmark measures, from the same configuration files as ``train.py``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poolbench.runs.record import read_record
from poolbench.training.launch import Asked, check_command
from poolbench.training.run import run_cell
from poolbench.training.session import prepare
from poolbench.training.sweep import plan, shared_loops

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
    (folder,) = _train([asked(overrides)])
    return read_record(folder), folder


def train_sweep(overrides: Sequence[str], seeds: int) -> list[Path]:
    """The folders of the cells of ``train.py -m ... seed=0,1,...``, run one after another.

    Errors come out as they are.
    """
    grid = f"seed={','.join(map(str, range(seeds)))}"
    return _train(check_command([*QUIET, *overrides, grid], multirun=True))


def _train(cells: list[Asked]) -> list[Path]:
    planned = plan(cells)
    shared = shared_loops(planned)
    for one in planned:
        cfg, prepared = one.asked.cfg, prepare(one.asked.cfg)
        run_cell(cfg, one.cell, prepared, shared.of(cfg, one.cell, prepared))
    return [one.cell.folder for one in planned]
