"""Write the report of a study into its folder: HTML, Markdown and CSV.

    python scripts/report.py outputs/demo
    python scripts/report.py outputs/demo --reference mean --margin 1 --metric f1_macro
    python scripts/report.py outputs/tuned --select optimizer.lr
    python scripts/report.py outputs/demo --wandb

Takes seconds, needs neither torch nor a GPU, and works on a study that is not finished.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from poolbench.core.errors import BadInput
from poolbench.report import gallery
from poolbench.report.build import findings_of, write_report
from poolbench.report.drawing import Figure
from poolbench.report.narrative import answer
from poolbench.report.spreadsheet import comparison_rows
from poolbench.report.summary import Findings, Task
from poolbench.runs.study import Study
from poolbench.stats.protocol import METRICS


def main(arguments: list[str] | None = None) -> int:
    """0: the report is written; 2: it cannot be, for the reason in one line."""
    options = _parser().parse_args(arguments)
    try:
        findings = findings_of(
            options.study,
            options.select,
            reference=options.reference,
            margin=options.margin,
            metric=options.metric,
            alpha=options.alpha,
        )
        written = write_report(findings)
        if options.wandb:
            written.append(log_to_wandb(findings))
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for task in findings.tasks:
        print(_told(task, findings))
    print(*(f"  {path}" for path in written), sep="\n")
    return 0


def log_to_wandb(findings: Findings) -> str:
    """Log the verdict table and the figures to a summary run of the study's group.

    Returns:
        Where the run is: its address, or how to upload it.

    Raises:
        BadInput: wandb is not installed.
    """
    try:
        import wandb
    except ImportError as error:
        raise BadInput("wandb is not installed: pip install wandb") from error
    import plotly.graph_objects as go

    study = findings.study
    with _start(study) as run:
        rows = comparison_rows(findings)
        columns = list(rows[0]) if rows else []
        data = [[row[name] for name in columns] for row in rows]
        figures = {name: go.Figure(f.data, f.layout) for name, f in _figures(findings)}
        run.log({"report/verdicts": wandb.Table(columns=columns, data=data), **figures})
        run.config.update({"comparison": vars(findings.protocol)})
        run.summary.update({f"answer/{t.name}": _told(t, findings) for t in findings.tasks})
    folder = os.path.relpath(Path(run.dir).parent)
    return f"W&B run kept offline; to upload: wandb sync {folder}" if run.offline else str(run.url)


def _start(study: Study) -> Any:
    """A run in the study's group: online where there is a login and a network, else offline."""
    import wandb

    logger = next((c.setting("logger") for c in study.cells if c.setting("logger.project")), {})

    def start(mode: Literal["online", "offline"]) -> Any:
        return wandb.init(
            project=logger.get("project", "poolbench"),
            entity=logger.get("entity"),
            mode=mode,
            dir=study.folder.resolve().parent,
            group=study.name,
            job_type="report",
            name=f"report {study.name}",
            settings=wandb.Settings(console="off", silent=True),
        )

    try:
        if os.environ.get("WANDB_MODE") != "offline" and wandb.login(prompt=False):
            return start("online")
    except Exception as error:  # wandb raises many kinds; none of them may stop a report
        print(f"W&B: {error}", file=sys.stderr)
    return start("offline")


def _figures(findings: Findings) -> Iterator[tuple[str, Figure]]:
    for figure in gallery.of_all(findings):
        yield f"report/{figure.name}", figure
    for task in findings.tasks:
        for found in gallery.of_task(task, findings).values():
            for figure in found:
                yield f"{task.name}/{figure.name}", figure


def _told(task: Task, findings: Findings) -> str:
    found = answer(task, findings.protocol.metric)
    return f"{found.headline} {found.reason}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path, help="folder of a study: outputs/<study>")
    parser.add_argument("--reference", help="pooler that the others are compared with")
    parser.add_argument("--margin", type=float, help="points that would not matter")
    parser.add_argument("--metric", choices=METRICS)
    parser.add_argument("--alpha", type=float, help="chance of any false win, 0.05")
    parser.add_argument(
        "--select",
        nargs="+",
        default=(),
        metavar="KEY",
        help="keys that were swept to tune every pooler: choose on validation, compare on test",
    )
    parser.add_argument("--wandb", action="store_true", help="log the findings to a W&B run too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
