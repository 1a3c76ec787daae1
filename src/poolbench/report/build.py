"""From a study folder to its report: HTML, Markdown and CSV, written beside the cells."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from poolbench.core.errors import BadInput
from poolbench.core.io import replacing
from poolbench.report.markdown import markdown
from poolbench.report.page import page
from poolbench.report.selection import select
from poolbench.report.spreadsheet import cells_csv, comparison_csv
from poolbench.report.summary import Findings, find
from poolbench.runs.study import Study, read_study
from poolbench.stats.protocol import Protocol

DECLARED = ("reference", "metric", "margin", "looks")


def findings_of(folder: Path, keys: Sequence[str] = (), **changed: Any) -> Findings:
    """What the study in ``folder`` found; ``keys`` are those to select on.

    ``changed`` are fields of the protocol that replace what the study declared.

    Raises:
        BadInput: no study is there, its choices make no verdict, or budgets differ.
    """
    study = read_study(folder)
    return find(study, protocol_of(study, **changed), select(study, keys) if keys else None)


def write_report(findings: Findings) -> list[Path]:
    """Write ``report.html``, ``report.md``, ``comparison.csv`` and ``cells.csv``.

    Raises:
        BadInput: the study's folder cannot be written.
    """
    contents = {
        "report.html": page(findings),
        "report.md": markdown(findings),
        "comparison.csv": comparison_csv(findings),
        "cells.csv": cells_csv(findings),
    }
    written = []
    for name, content in contents.items():
        path = findings.study.folder / name
        try:
            with replacing(path) as file:
                file.write(content.encode())
        except OSError as error:
            raise BadInput(f"cannot write {path}: {error.strerror}") from error
        written.append(path)
    return written


def protocol_of(study: Study, **changed: Any) -> Protocol:
    """The protocol a study declared, with what a reader asks for in its place.

    Raises:
        BadInput: no verdict can be made with these choices.
    """
    declared = {key: study.comparison[key] for key in DECLARED if key in study.comparison}
    known = {field.name for field in fields(Protocol)}
    choices = declared | {key: value for key, value in changed.items() if value is not None}
    if "looks" in choices:
        choices["looks"] = tuple(choices["looks"])
    try:
        return replace(Protocol(), **{k: v for k, v in choices.items() if k in known})
    except (ValueError, TypeError) as error:
        raise BadInput(str(error)) from error
