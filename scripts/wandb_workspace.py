"""Build the W&B view that sets a study's poolers side by side, and save it.

    python scripts/wandb_workspace.py demo
    python scripts/wandb_workspace.py demo --project poolbench --entity my-team

Runs are grouped by pooler, seeds averaged. Without a login it says what it would save.
Needs wandb-workspaces: pip install "poolbench[workspaces]".
"""

import argparse
import sys
from typing import Any

try:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
except ImportError:
    sys.exit('wandb-workspaces is not installed: pip install "poolbench[workspaces]"')

POOLER = "cell.pooler"  # the configuration key that tells poolers apart


def main(arguments: list[str] | None = None) -> int:
    """0: the view is saved, or told where there is no login."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", help="name of the study: the group of its runs")
    parser.add_argument("--project", default="poolbench")
    parser.add_argument("--entity", help="user or team; yours unless given")
    options = parser.parse_args(arguments)
    entity = options.entity or _own_entity()
    view = comparison_view(options.study, options.project, entity or "your-entity")
    if entity is None:
        print(f"Not logged in to W&B. With a login (wandb login) this would save:\n{told(view)}")
        return 0
    print(f"saved: {view.save().url}")
    return 0


def comparison_view(study: str, project: str, entity: str) -> ws.Workspace:
    """The view of one study, grouped by pooler."""
    group = wr.Config(POOLER)
    mean: dict[str, Any] = {"groupby": group, "groupby_aggfunc": "mean"}
    spread: dict[str, Any] = {**mean, "groupby_rangefunc": "minmax"}

    def bars(title: str, metric: str) -> wr.BarPlot:
        return wr.BarPlot(title=title, metrics=[wr.SummaryMetric(metric)], **spread)

    def lines(title: str, metric: str) -> wr.LinePlot:
        return wr.LinePlot(title=title, x="epoch", y=[metric], **spread)

    def against(title: str, cost: str) -> wr.ScatterPlot:
        accuracy = wr.SummaryMetric("test/accuracy")
        return wr.ScatterPlot(title=title, x=wr.SummaryMetric(cost), y=accuracy, log_x=True)

    quality = [
        bars("Test accuracy", "test/accuracy"),
        bars("Test macro-F1", "test/f1_macro"),
        lines("Validation accuracy", "val/accuracy"),
        lines("Validation loss", "val/loss"),
    ]
    cost = [
        bars("Examples/s while training", "perf/samples_per_sec"),
        bars("Milliseconds of a step, median", "perf/step_ms_p50"),
        bars("Peak memory (MB)", "perf/peak_memory_mb"),
        against("Accuracy against examples/s", "perf/samples_per_sec"),
    ]
    difference = [wr.RunComparer(diff_only=True)]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"{study}: poolers side by side",
        sections=[
            ws.Section(name="Quality", panels=quality, is_open=True),
            ws.Section(name="Cost", panels=cost, is_open=True),
            ws.Section(name="What differs between runs", panels=difference),
        ],
        runset_settings=ws.RunsetSettings(
            filters=[ws.Metric("Group") == study, ws.Metric("JobType") == "train"],
            groupby=[ws.Config(POOLER)],
        ),
        settings=ws.WorkspaceSettings(max_runs=100),
    )


def told(view: ws.Workspace) -> str:
    """A view in words: name, runs, sections and panels."""
    lines = [
        f"  {view.entity}/{view.project}: {view.name}",
        f"  runs: {view.runset_settings.filters}",
    ]
    lines.append(f"  grouped by {POOLER}")
    for section in view.sections:
        titles = (getattr(panel, "title", None) or type(panel).__name__ for panel in section.panels)
        lines.append(f"  {section.name}: {', '.join(titles)}")
    return "\n".join(lines)


def _own_entity() -> str | None:
    """The user's entity; None without a login or a network."""
    import wandb

    try:
        return wandb.Api().default_entity if wandb.login(prompt=False) else None
    except Exception:  # wandb raises many kinds
        return None


if __name__ == "__main__":
    sys.exit(main())
