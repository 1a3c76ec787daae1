"""Save a W&B view that compares the poolers of a study.

    python scripts/wandb_workspace.py demo
    python scripts/wandb_workspace.py demo --project poolbench --entity my-team

Runs are grouped by pooler within dataset and encoder; seeds are averaged. Without a login the view
is described and not saved. Needs: pip install "poolbench[workspaces]".
"""

import argparse
import sys

try:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
except ImportError:
    print('error: wandb-workspaces: pip install "poolbench[workspaces]"', file=sys.stderr)
    sys.exit(2)

GROUPS = ("run.dataset", "run.encoder", "run.pooler")
BARS = {
    "Quality": {"Test accuracy": "test/accuracy", "Test macro-F1": "test/f1_macro"},
    "Cost": {
        # Examples/s in training are left out: those of different runs cannot be compared.
        "Inference examples/s relative to mean": "perf/relative_throughput",
        "Pooler, forward and backward (ms)": "perf/pooler_train_ms",
        "Peak memory (MB)": "perf/peak_memory_mb",
    },
}
CURVES = {"Validation accuracy": "val/accuracy", "Validation loss": "val/loss"}


def main(arguments: list[str] | None = None) -> int:
    """Save the view, or describe it if there is no login."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("study", help="name of the study: the group of its runs")
    parser.add_argument("--project", default="poolbench")
    parser.add_argument("--entity", help="user or team; default: yours")
    options = parser.parse_args(arguments)
    entity = options.entity or _own_entity()
    view = comparison_view(options.study, options.project, entity or "your-entity")
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


def comparison_view(study: str, project: str, entity: str) -> ws.Workspace:
    """The view of one study."""
    # Panels have no grouping of their own, which would average over datasets: they have that of
    # the runs.
    mean = {"groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}
    panels = {
        section: [
            wr.BarPlot(title=t, metrics=[wr.SummaryMetric(m)], **mean) for t, m in bars.items()
        ]
        for section, bars in BARS.items()
    }
    panels["Quality"] += [wr.LinePlot(title=t, x="epoch", y=[m], **mean) for t, m in CURVES.items()]
    speed, accuracy = (wr.SummaryMetric(m) for m in ("perf/relative_throughput", "test/accuracy"))
    title = "Accuracy against relative throughput"
    panels["Cost"].append(wr.ScatterPlot(title=title, x=speed, y=accuracy, log_x=True))
    panels["Differences between runs"] = [wr.RunComparer(diff_only=True)]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"{study}: poolers compared",
        sections=[ws.Section(name=n, panels=p, is_open=n in BARS) for n, p in panels.items()],
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
