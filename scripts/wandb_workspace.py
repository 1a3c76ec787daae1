"""Save a W&B view that compares the poolers of a study.

    python scripts/wandb_workspace.py demo
    python scripts/wandb_workspace.py demo --project poolbench --entity my-team
    python scripts/wandb_workspace.py verses --metric ndcg@10

Runs are grouped by pooler within dataset and encoder; seeds are averaged. Without a login the view
is described and not saved. Needs: pip install "poolbench[workspaces]".
"""

import argparse
import sys
from typing import get_args

from poolbench.runs.protocol import METRIC_NAMES, Metric

try:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
except ImportError:
    print('error: wandb-workspaces: pip install "poolbench[workspaces]"', file=sys.stderr)
    sys.exit(2)

GROUPS = ("run.dataset", "run.encoder", "run.pooler")
COST = {
    # Examples/s in training are left out: those of different runs cannot be compared.
    "Inference examples/s relative to mean": "perf/relative_throughput",
    "Pooler, forward and backward (ms)": "perf/pooler_train_ms",
    "Peak memory (MB)": "perf/peak_memory_mb",
}


def main(arguments: list[str] | None = None) -> int:
    """Save the view, or describe it if there is no login."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("study", help="name of the study: the group of its runs")
    parser.add_argument("--metric", choices=get_args(Metric), default="accuracy")
    parser.add_argument("--project", default="poolbench")
    parser.add_argument("--entity", help="user or team; default: yours")
    options = parser.parse_args(arguments)
    entity = options.entity or _own_entity()
    view = comparison_view(options.study, options.project, entity or "your-entity", options.metric)
    if entity:
        print(f"saved: {view.save().url}")
        return 0
    print("Not logged in to W&B. After wandb login this saves:")
    print(f"  {view.project}: {view.name}", f"  runs: {view.runset_settings.filters}", sep="\n")
    print(f"  grouped by {', '.join(GROUPS)}")
    for section in view.sections:
        titles = (getattr(panel, "title", None) or type(panel).__name__ for panel in section.panels)
        print(f"  {section.name}: {', '.join(titles)}")
    return 0


def comparison_view(
    study: str, project: str, entity: str, metric: Metric = "accuracy"
) -> ws.Workspace:
    """The view of one study, by a metric that its runs have."""
    name = METRIC_NAMES[metric]
    bars_of = {"Quality": {f"Test {name}": f"test/{metric}"}, "Cost": COST}
    curves = {f"Validation {name}": f"val/{metric}", "Validation loss": "val/loss"}
    # Panels have no grouping of their own, which would average over datasets: they have that of
    # the runs.
    mean = {"groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}
    panels = {
        section: [
            wr.BarPlot(title=t, metrics=[wr.SummaryMetric(m)], **mean) for t, m in bars.items()
        ]
        for section, bars in bars_of.items()
    }
    panels["Quality"] += [wr.LinePlot(title=t, x="epoch", y=[m], **mean) for t, m in curves.items()]
    speed, quality = map(wr.SummaryMetric, ("perf/relative_throughput", f"test/{metric}"))
    title = f"Test {name} against relative throughput"
    panels["Cost"].append(wr.ScatterPlot(title=title, x=speed, y=quality, log_x=True))
    panels["Differences between runs"] = [wr.RunComparer(diff_only=True)]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"{study}: poolers compared",
        sections=[ws.Section(name=n, panels=p, is_open=n in bars_of) for n, p in panels.items()],
        runset_settings=ws.RunsetSettings(
            filters=[ws.Metric("Group") == study, ws.Metric("JobType") == "train"],
            groupby=[ws.Config(key) for key in GROUPS],
        ),
        settings=ws.WorkspaceSettings(max_runs=100),
    )


def _own_entity() -> str | None:
    """The user's entity; None without a login or a network."""
    import wandb

    try:
        return wandb.Api().default_entity if wandb.login(prompt=False) else None
    except Exception:  # wandb raises many kinds
        return None


if __name__ == "__main__":
    sys.exit(main())
