"""From the folder of a study to its report: HTML, Markdown and CSV, written into that folder."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import plotly.io
from pydantic import ValidationError

from poolbench.core.errors import UserError
from poolbench.core.io import atomic_write
from poolbench.report import (
    curves,
    explained,
    figures,
    narrative,
    overview,
    predicted,
    provenance,
    tables,
    vectors,
)
from poolbench.report.caveats import caveats
from poolbench.report.cells import to_csv
from poolbench.report.controls import control
from poolbench.report.figures import Figure
from poolbench.report.heatmap import layers_by_poolers
from poolbench.report.naming import named_by_settings
from poolbench.report.published import published_tables
from poolbench.report.rendering import render, render_page
from poolbench.report.selection import select
from poolbench.report.summary import Findings, find
from poolbench.runs.explanations import Explanations, read_explanations
from poolbench.runs.protocol import METRICS, Protocol
from poolbench.runs.schema import RecordError, first_error
from poolbench.runs.study import notes_on, read_study
from poolbench.stats.verdict import format_percent

ACROSS = "all tasks"
IMAGES = (".png", ".svg")
WIDTH = 700  # of an image, in CSS pixels


def findings_of(folder: Path, keys: Sequence[str] = (), **changed: Any) -> Findings:
    """Findings of the study in ``folder``, with one variant of each pooler selected on ``keys``.

    ``changed`` are fields of the protocol that replace the declared ones; None keeps them.

    Raises:
        UserError: no study is there, its protocol is invalid, or tuning budgets differ.
    """
    study = named_by_settings(read_study(folder), keys)
    wanted = {key: value for key, value in changed.items() if value is not None}
    try:
        protocol = Protocol.model_validate(study.protocol.model_dump() | wanted)
    except ValidationError as error:
        raise UserError(first_error(error)) from error
    findings = find(study, protocol, select(study, keys) if keys else None)
    return replace(findings, notes=findings.notes + notes_on(study.damaged, study.runs))


def figures_of(findings: Findings) -> dict[str, dict[str, list[Figure]]]:
    """Name of a task -> section of the report -> figures; without those that have no data."""
    metric, selection = findings.protocol.metric, findings.selection
    poolers = [record.run.pooler for record in findings.study.runs]
    looks = figures.looks(poolers, findings.protocol.reference)
    found: dict[str, dict[str, list[Figure | None]]] = {
        task.name: {
            "seeds": [
                figures.every_seed(task, looks, metric) if task.trained else None,
                figures.differences(task, looks),
            ],
            "costs": [curves.against_cost(task, looks, metric, cost) for cost in task.costs],
            "tuning": [curves.sensitivity(task, looks, metric, selection)] if selection else [],
            "learning": [
                curves.learning(task, looks, name) for name in (METRICS[task.kind][0], "loss")
            ],
            "lengths": [curves.by_length(task, looks)],
            "classes": [predicted.by_class(task, looks), predicted.confusion(task)],
            "certainty": [predicted.calibration(task, looks), predicted.roc(task, looks)],
        }
        for task in findings.tasks
    }
    for task in (task for task in findings.tasks if task.layered):
        found[task.name]["layers"] = [layers_by_poolers(task, metric)]
    for task in findings.tasks:
        if figure := vectors.by_bytes(task, looks):
            found[task.name]["vectors"] = [figure]
    found[ACROSS] = {"forest": [*figures.forests(findings.across, looks)]}
    return {
        name: {section: [f for f in drawn if f] for section, drawn in sections.items()}
        for name, sections in found.items()
    }


def report_files(findings: Findings) -> dict[str, str]:
    """Names and contents of the files of a report."""
    try:
        explanations = read_explanations(findings.study.folder)
    except RecordError as error:
        explanations = Explanations()
        findings = replace(findings, notes=[*findings.notes, f"{error}: it is left out."])
    findings = replace(findings, notes=[*findings.notes, *vectors.unusable(findings)])
    context = {"findings": findings, "tables": tables, "narrative": narrative, "vectors": vectors}
    context |= {"caveats": caveats, "provenance": provenance}
    answers = [narrative.answer(task, findings.protocol.metric) for task in findings.tasks]
    controls = any(control(s.pooler) for task in findings.tasks for s in task.standings)
    context |= {"answers": answers, "controls": controls, "overview": overview.overview}
    context |= {"published": published_tables(findings)}
    current = {record.predictions_sha256 for record in findings.study.runs}
    every = [e for x in explanations.examples for k, e in x.explanations.items() if k in current]
    page = {"figures": figures_of(findings), "explained": explained, "explanations": explanations}
    page |= {"across": ACROSS, "legend": explained.legend(every) if every else ""}
    page |= {"folder": shlex.quote(findings.study.folder.as_posix()), "percent": format_percent}
    return {
        "report.html": render_page("page.html", plotly=True, **page, **context),
        "report.md": render("report.md", **context),
        "comparison.csv": to_csv(tables.comparison_frame(findings)),
        "runs.csv": to_csv(tables.runs_frame(findings)),
    }


def write_files(folder: Path, contents: dict[str, str]) -> list[Path]:
    """Write each file in one step; the folder is created if it does not exist.

    Raises:
        UserError: a file cannot be written.
    """
    for name, content in contents.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(folder / name) as file:
                # The name of a folder need not be Unicode.
                file.write(content.encode(errors="backslashreplace"))
        except OSError as error:
            raise UserError(f"cannot write {folder / name}: {error.strerror}") from error
    return [folder / name for name in contents]


def write_figures(findings: Findings) -> list[Path]:
    """Write each figure as PNG and SVG into ``figures/`` in the folder of the study.

    Raises:
        UserError: kaleido or Chrome is not installed, or a file cannot be written.
    """
    if find_spec("kaleido") is None:
        raise UserError("--figures needs kaleido: pip install 'poolbench[figures]'")
    places = {task.name: Path(task.dataset, task.encoder) for task in findings.tasks}
    drawn = [
        (figure.plot, findings.study.folder / "figures" / places.get(name, "") / figure.name)
        for name, sections in figures_of(findings).items()
        for figures in sections.values()
        for figure in figures
    ]
    files = {path.with_name(path.name + kind): plot for plot, path in drawn for kind in IMAGES}
    try:
        for path, plot in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            plot.layout.updatemenus = ()  # an image has no buttons
        plotly.io.write_images([*files.values()], [*files], width=WIDTH, scale=2)
    except Exception as error:  # kaleido, its browser and the file system raise many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"the figures cannot be written: {reason:.300}") from error
    return [*files]


def write_report(findings: Findings) -> list[Path]:
    """Write report.html, report.md, comparison.csv and runs.csv into the folder of the study."""
    return write_files(findings.study.folder, report_files(findings))
