"""What a sweep prints: a line for each run with the time left, and a table at the end."""

import re
from pathlib import Path

from poolbench.runs.record import Parameters, RunRecord
from poolbench.training.console import print_summary
from poolbench.training.sweep_progress import Progress
from tests.conftest import train
from tests.training.breaking import planned


def test_progress_counts_and_estimates_the_time_left(tmp_path: Path, capsys) -> None:
    train(planned(tmp_path, "pooler=mean,max", "seed=0,1", "study=lines"))
    lines = capsys.readouterr().out.splitlines()
    one = r"seed (0|1): accuracy 0\.\d{4}"
    assert re.fullmatch(rf"\[1/4, about \d+ s left\] mean, {one}", lines[0])
    assert re.fullmatch(rf"\[4/4\] max, {one}", lines[3])
    assert lines[-1].strip() == f"report: python scripts/report.py {tmp_path / 'lines'}"
    assert all(line == line.rstrip() for line in lines)


def test_time_left_is_that_of_the_variant_or_of_the_others(tmp_path: Path, capsys) -> None:
    specs = planned(tmp_path, "pooler=cls,conv", "seed=0,1,2")
    progress = Progress(specs)
    for spec, wall in zip(specs, [10.0, 20.0, 30.0, 600.0, 660.0], strict=False):
        record = RunRecord.model_construct(
            run=spec, status="ok", metrics={"test/accuracy": 0.5}, seconds={"wall": wall}
        )
        progress.finish(spec, record)
    left = [line.partition("]")[0] for line in capsys.readouterr().out.splitlines()]
    assert left == [
        "[1/6, about 50 s left",
        "[2/6, about 1 min 00 s left",
        "[3/6, about 1 min 00 s left",
        "[4/6, about 20 min 00 s left",
        "[5/6, about 10 min 30 s left",
    ]


def test_the_table_names_what_differs_and_fits_a_terminal(tmp_path: Path, capsys) -> None:
    specs = planned(tmp_path, "pooler=soft_max,mean", "optimizer.lr=1e-3,1e-2", "seed=0,1")
    records = [
        RunRecord.model_construct(
            run=spec,
            status="ok",
            metrics={"test/accuracy": 0.5, "test/f1_macro": 0.5, "perf/relative_throughput": 0.97},
            parameters=Parameters(pooler=1_234_567),
            notes=[],
        )
        for spec in specs
    ]
    assert print_summary(list(zip(specs, records, strict=True)))
    table = capsys.readouterr().out.splitlines()
    assert sum("optimizer.lr=0.01" in line for line in table) == 2
    assert sum("0.97 × mean" in line for line in table) == 4
    assert all(len(line) <= 80 and line == line.rstrip() for line in table[:-1])
    records[0] = RunRecord.model_construct(run=specs[0], status="failed", error="x", folder=None)
    assert not print_summary(list(zip(specs, records, strict=True)))
    assert "1 of 8 runs have no result; report of the others" in capsys.readouterr().out
