"""What can go wrong with a sweep: each function injects some faults and compares the results."""

import random
import shutil
import signal
from collections.abc import Sequence

from poolbench.runs.study import read_records
from tests.robustness.fault_bench import (
    ONE,
    STEPS,
    WRITES,
    Bench,
    disk_full,
    exit_at_write,
    killed_at_step,
    no_network,
    raising,
)


def kills(bench: Bench, draw: random.Random, rounds: int) -> float:
    """Kill a sweep three times in each round; the share of training steps done twice."""
    before = STEPS.value
    for i in range(rounds):
        for _ in range(3):
            kill = (signal.SIGKILL, draw.uniform(0.1, 1.1))
            bench.run(f"kill{i}", kill=kill, expect=(-signal.SIGKILL, 0))
        bench.faults += 2
        bench.compare(f"kill{i}")
    return (STEPS.value - before) / (rounds * bench.steps) - 1


def signals(bench: Bench, draw: random.Random, rounds: int) -> None:
    for i in range(rounds):
        for number in (signal.SIGTERM, signal.SIGINT):
            what, kill = f"{number.name}{i}", (number, draw.uniform(0.3, 0.8))
            bench.fault(what, kill=kill, expect=(128 + number, 0))


def writes(bench: Bench, stride: int) -> None:
    bench.run("one", *ONE, sabotage=exit_at_write(-1))
    for nth in range(1, WRITES.value + 1, stride):
        bench.fault(f"write{nth}", *ONE, sabotage=exit_at_write(nth), expect=(137,))


def together(bench: Bench, counts: Sequence[int]) -> None:
    for n in counts:
        what, before = f"together{n}", STEPS.value
        processes = [bench.start(what) for _ in range(n)]
        for process in processes:
            process.join()
        codes = [process.exitcode for process in processes]
        bench.check(f"{what}: exit codes {codes}", not any(codes))
        bench.compare(what)
        bench.check(f"{what}: trained twice", STEPS.value - before == bench.steps)


def damages(bench: Bench, draw: random.Random) -> None:
    """Damaged files of a finished sweep, and checkpoints of one that was killed."""
    for pattern in ("record.json", "predictions.npz", "study.json", "*.states", "cache/*.json"):
        for how in ("flip", "cut", "empty"):
            what = f"{how}{bench.faults}"
            shutil.copytree(bench.root / "reference", bench.root / what)
            for record in (bench.root / what).rglob("record.json") if "*" in pattern else ():
                record.unlink()  # finished runs do not read the cache
            bench.damage(what, pattern, how, draw)
            if pattern == "study.json" and bench.run(what, expect=(0, 2)):
                next((bench.root / what).rglob(pattern)).unlink()  # as the message says
            bench.compare(what)
    for how in ("flip", "cut", "empty"):
        what = f"{how}-checkpoint"
        bench.run(what, sabotage=killed_at_step(5), expect=(-signal.SIGKILL,))
        bench.damage(what, "epoch=*.ckpt", how, draw)
        bench.compare(what)


def failing_runs(bench: Bench) -> None:
    for error in (RuntimeError("planted"), SystemExit(5), MemoryError("planted")):
        what = type(error).__name__
        bench.run(what, sabotage=raising(error), expect=(1,))
        others = sum("attention" in run for run in bench.results(what))
        bench.check(f"{what} stopped the other runs", others == 2)
        bench.compare(what)
    bench.run("nan", "optimizer.lr=1e30", expect=(1,))
    statuses = {record.status for record in read_records(bench.root / "nan")[0]}
    bench.check(f"NaN losses gave {statuses}", statuses == {"diverged"})
    bench.faults += 1


def environment(bench: Bench) -> None:
    """Full disks, a folder that cannot be written, no network."""
    for size in (200, 20_000, 1_000_000):
        bench.fault(f"full{size}", sabotage=disk_full(size), expect=(1, 2))
    (bench.root / "file").write_text("not a folder")
    bench.run("file", expect=(2,))
    bench.faults += 1
    bench.fault("wandb", "logger=wandb", sabotage=no_network)
