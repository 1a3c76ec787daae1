"""The published tables in conf: swept as they were published, and compared in the report."""

from pathlib import Path

import pytest

from poolbench.report.build import findings_of, report_files
from poolbench.report.published import published_tables
from poolbench.runs.identity import flatten
from poolbench.training import sweep
from poolbench.training.launch import compose_runs
from poolbench.training.session import Session
from tests.conftest import ROOT, SMALL, TINY, scored_pairs, train
from tests.report.studies import Tags

FOLDER = ROOT / "conf/experiment/published"
TABLES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
STAND_IN = [*SMALL, *TINY, "dataset=rotten_tomatoes", "encoder.layers=4", "trainer.max_epochs=1"]


@pytest.mark.parametrize("table", TABLES)
def test_the_sweep_contains_every_published_value(table: str) -> None:
    requests = compose_runs(f"experiment=published/{table}")
    published = requests[0].config.comparison.published
    assert published.deviations
    seeds = {request.config.seed for request in requests}
    assert published.seeds in (None, len(seeds))
    runs = [
        (r.names["pooler"].replace("/", "-"), dict(flatten(r.config.model_dump())))
        for r in requests
    ]
    header = (FOLDER / f"{table}.yaml").read_text().partition("defaults:")[0]
    for value in published.values:
        same = [
            pooler == value.pooler and all(run.get(k) == v for k, v in value.settings.items())
            for pooler, run in runs
        ]
        assert sum(same) == len(seeds), value
        assert f"{value.value:.2f}" in header


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
def test_it_ends_in_a_report_with_the_comparison(table: str, tmp_path: Path) -> None:
    command = [f"experiment=published/{table}", *STAND_IN, "seed=0,1", f"output_dir={tmp_path}"]
    if "Similarity" in compose_runs(*command)[0].config.task["_target_"]:
        command += ["dataset=files", f"dataset.train={scored_pairs(tmp_path)}"]
    session = Session()
    specs = sweep.plan(compose_runs(*command), session)
    train(specs, session)
    findings = findings_of(tmp_path / f"published_{table}")
    ((shown, notes),) = published_tables(findings)
    assert set(shown.frame["our seeds"]) == {len({spec.seed for spec in specs})}
    assert set(shown.frame["agreement"]) == {"not comparable"}
    files = report_files(findings)
    published = findings.protocol.published
    for text in (Tags(files["report.html"]).text, files["report.md"].replace("\\", "")):
        assert all(note in text for note in notes)
        assert all(f"{value.value:.2f}" in text for value in published.values)
