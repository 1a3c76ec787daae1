"""How a study was run, and which of its runs have no result."""

from collections import Counter

from poolbench.report.summary import Findings
from poolbench.report.tables import DIGITS, runs_frame
from poolbench.runs.protocol import METRIC_NAMES
from poolbench.runs.record import RunRecord
from poolbench.stats.verdict import format_percent, plural

# Groups of columns that describe how runs were made, and what a column of each is called.
DESCRIBED = {
    "data/examples": "examples",
    "hardware": "",
    "versions": "version",
    "digests": "digest",
}


def missing(findings: Findings) -> list[str]:
    """Runs without a result, one line for each status and pooler."""
    groups: dict[tuple[str, ...], list[RunRecord]] = {}
    for status in ("missing", "failed", "diverged", "damaged"):
        for r in findings.study.runs:
            if r.status == status:
                place = status, r.run.pooler, r.run.dataset, r.run.encoder
                groups.setdefault(place, []).append(r)
    return [
        f"{status}: {pooler} on {dataset} × {encoder}, seed{'s' * (len(group) > 1)} "
        f"{', '.join(str(r.run.seed) for r in group)}"
        + next((f": {r.error}" for r in group if r.error), "")
        for (status, pooler, dataset, encoder), group in groups.items()
    ]


def run_facts(findings: Findings) -> dict[str, str]:
    """How the study was run; where runs differ, each value with its number of runs."""
    protocol, frame = findings.protocol, runs_frame(findings)
    planned, trained = protocol.looks, any(task.trained for task in findings.tasks)
    looks = f"tests at {', '.join(map(str, planned))} seeds" if planned else "one test"
    facts = {
        "runs": ", ".join(f"{n} {status}" for status, n in frame["status"].value_counts().items()),
        "seeds": ", ".join(map(str, sorted(frame["seed"].unique()))) if trained else "none",
        "metric": METRIC_NAMES[protocol.metric],
        "reference": protocol.reference,
        "margin": f"{protocol.margin:g} points",
        "alpha": f"{format_percent(protocol.alpha)}, {looks}",
    }
    if findings.selection:
        chosen = findings.selection
        facts["tuned"] = f"{', '.join(chosen.keys)}, {len(chosen.grid)} settings per pooler"
        for (dataset, encoder, pooler), values in chosen.selected.items():
            facts[f"selected for {pooler} on {dataset} × {encoder}"] = chosen.format(values)
    if written := sorted({str(r.written.date()) for r in findings.study.finished}):
        facts["dates"] = " to ".join(dict.fromkeys((written[0], written[-1])))
    frame = frame[~frame["status"].isin(["missing", "damaged"])]
    if "seconds/wall" in frame:
        name = "training time" if trained else "time"
        facts[name] = f"{frame['seconds/wall'].sum() / 60:,.1f} min in all"
    for column in frame:
        group, _, name = column.rpartition("/")
        if column in ("encoder tuning", "revision") or group in DESCRIBED:
            known = [f"{v:g}" if isinstance(v, float) else str(v) for v in frame[column].dropna()]
            counts = Counter(value[:DIGITS] if group == "digests" else value for value in known)
            counts["not recorded"] = len(frame) - len(known) + counts.pop("", 0)
            found = {value: n for value, n in counts.most_common() if n}
            each = [f"{value} ({plural(n, 'run')})" for value, n in found.items()]
            facts[f"{name} {DESCRIBED.get(group, '')}"] = ", ".join(each if each[1:] else found)
    return {name.strip(): value for name, value in facts.items() if value != "not recorded"}
