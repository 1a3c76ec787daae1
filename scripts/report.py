"""Write the report of a study into its folder: HTML, Markdown and CSV.

    python scripts/report.py outputs/demo
    python scripts/report.py outputs/demo --reference mean --margin 1 --metric f1_macro
    python scripts/report.py outputs/tuned --select optimizer.lr
    python scripts/report.py outputs/demo --figures
    python scripts/report.py outputs/demo --wandb
    python scripts/report.py outputs/demo --serve

Takes seconds, needs neither torch nor a GPU, and works on an unfinished study.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any, get_args

from poolbench.core.errors import command
from poolbench.report.build import figures_of, findings_of, write_figures, write_report
from poolbench.report.narrative import answers
from poolbench.report.serve import PORT, LiveReport
from poolbench.report.summary import Findings
from poolbench.report.tables import comparison_frame
from poolbench.runs.protocol import Metric


@command
def main(arguments: list[str]) -> int:
    """Exit code 0: the report is written; 2: it cannot be, with the reason in one line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("study", type=Path, help="folder of a study: outputs/<study>")
    parser.add_argument("--reference", help="pooler that the others are compared with")
    parser.add_argument("--margin", type=float, help="difference in points that does not matter")
    parser.add_argument("--metric", choices=get_args(Metric))
    parser.add_argument("--alpha", type=float, help="probability of any false win, 0.05")
    tuned = "settings swept to tune every pooler: select on validation, compare on test"
    parser.add_argument("--select", nargs="+", default=(), metavar="KEY", help=tuned)
    images = "also write each figure as PNG and SVG; needs poolbench[figures] and Chrome"
    parser.add_argument("--figures", action="store_true", help=images)
    parser.add_argument("--wandb", action="store_true", help="also log the findings to W&B")
    served = "show the report in a browser and follow the study while it runs"
    parser.add_argument("--serve", nargs="?", type=int, const=PORT, metavar="PORT", help=served)
    options = vars(parser.parse_args(arguments))
    study, keys, images, wandb, port = (
        options.pop(name) for name in ("study", "select", "figures", "wandb", "serve")
    )
    if port is not None:
        build = lambda: write_report(findings_of(study, keys, **options))[0]  # noqa: E731
        LiveReport(study, build, port).run()
        return 0
    findings = findings_of(study, keys, **options)
    written = [str(path) for path in write_report(findings)]
    written += [f"{len(write_figures(findings))} images in {study / 'figures'}"] if images else []
    written += [log_to_wandb(findings)] if wandb else []
    print(*answers(findings).values(), *(f"  {path}" for path in written), sep="\n")
    return 0


def log_to_wandb(findings: Findings) -> str:
    """Log verdicts and figures to a run of the study's group; its address, or how to upload it."""
    import wandb

    frame = comparison_frame(findings)
    logged: dict[str, Any] = {
        f"{name}/{figure.name}": figure.plot
        for name, sections in figures_of(findings).items()
        for drawn in sections.values()
        for figure in drawn
    }
    logged["report/verdicts"] = wandb.Table(columns=list(frame), data=frame.values.tolist())
    study = findings.study
    loggers = [r.run.setting("logger") for r in study.runs if r.run.setting("logger.project")]
    logger = loggers[0] if loggers else {}
    settings: dict[str, Any] = {
        "project": logger.get("project", "poolbench"),
        "entity": logger.get("entity"),
        "dir": study.folder.resolve().parent,
        "group": study.name,
        "job_type": "report",
        "name": f"report {study.name}",
        "settings": wandb.Settings(console="off", silent=True),
    }
    try:
        online = os.environ.get("WANDB_MODE") != "offline" and wandb.login(prompt=False)
        started = wandb.init(mode="online" if online else "offline", **settings)
    except Exception as error:  # wandb raises many kinds; none of them may stop a report
        print(f"W&B: {error}", file=sys.stderr)
        started = wandb.init(mode="offline", **settings)
    with started as run:
        run.log(logged)
        run.config.update({"comparison": findings.protocol.model_dump()})
        run.summary.update({f"answer/{name}": text for name, text in answers(findings).items()})
    folder = os.path.relpath(Path(run.dir).parent)
    return f"W&B run kept offline; to upload: wandb sync {folder}" if run.offline else str(run.url)


if __name__ == "__main__":
    sys.exit(main())
