"""The means of a study next to the published table that it repeats, and whether they agree."""

from collections.abc import Sequence

from poolbench.report.cells import Table, frame_of, interval_cell
from poolbench.report.layers import layer_of
from poolbench.report.summary import Findings, Task
from poolbench.runs.identity import format_setting
from poolbench.runs.protocol import PublishedTable, PublishedValue, scaled_name
from poolbench.runs.record import RunRecord
from poolbench.stats.means import Mean, mean_of
from poolbench.stats.verdict import plural


def published_tables(findings: Findings) -> list[tuple[Table, list[str]]]:
    """For each dataset and encoder the comparison with the published table, and its notes."""
    published = findings.protocol.published
    return [_repeated(published, task) for task in findings.tasks] if published else []


def _repeated(published: PublishedTable, task: Task) -> tuple[Table, list[str]]:
    runs = [record for s in task.standings for record in s.finished]
    seeds = plural(published.seeds, "seed") if published.seeds else "an unknown number of seeds"
    theirs = f"{published.dataset} × {published.encoder}"
    notes = []
    if theirs != task.name:
        notes.append(f"We ran {task.name}, they ran {theirs}: the difference has no meaning.")
    if any(record.run.setting("dataset.max_examples") for record in runs):
        notes.append("Our runs use only a part of the data (dataset.max_examples).")
    comparable = not notes
    notes.append(f"Source: {published.source}, over {seeds}.")
    notes += [f"Deviation: {deviation}" for deviation in published.deviations]
    rows = [_row(value, published, runs, comparable) for value in published.values]
    frame = frame_of(rows)
    if not frame["settings"].any():
        frame = frame.drop(columns="settings")
    styles = {"settings": "code", "agreement": "why", "difference": "+.2f", "theirs": ".2f"}
    styles[f"our {scaled_name(published.metric)}"] = ".2f"
    return Table(f"Published, {task.name}", frame, styles), notes


def _row(
    value: PublishedValue, published: PublishedTable, runs: Sequence[RunRecord], comparable: bool
) -> dict[str, object]:
    ours = [
        r
        for r in runs
        if value.pooler in (r.run.pooler, (layer_of(r.run.pooler) or [""])[0])
        and all(r.run.setting(key) == wanted for key, wanted in value.settings.items())
    ]
    theirs = None if value.low is None or value.high is None else (value.low, value.high)
    repeated = len({r.run.seed for r in ours}) < len(ours)
    mean = mean_of(ours, published.metric) if ours and not repeated else None
    agreement = "several runs of ours at one seed: select one variant" if ours else "no result yet"
    if mean:
        agreement = _agreement(mean, value.value, theirs) if comparable else "not comparable"
    return {
        "pooler": value.pooler,
        "settings": ", ".join(format_setting(k, v) for k, v in value.settings.items()),
        f"our {scaled_name(published.metric)}": mean and mean.value,
        "theirs": value.value,
        "difference": mean and mean.value - value.value,
        "agreement": agreement,
        "our 95 % interval": mean and interval_cell(mean.interval),
        "their interval": interval_cell(theirs),
        "our seeds": len(ours) or None,
    }


def _agreement(ours: Mean, theirs: float, interval: tuple[float, float] | None) -> str:
    """Whether each mean lies inside the interval of the other."""

    def place(value: float, low: float, high: float) -> str:
        return "inside" if low <= value <= high else "outside"

    text = "one seed of ours, no interval"
    if ours.interval is not None:
        text = f"theirs {place(theirs, *ours.interval)} our interval"
    if interval is None:
        return f"{text}; none was published"
    return f"{text}; ours {place(ours.value, *interval)} theirs"
