"""Inject faults into a sweep, run it again, and compare with a sweep without faults.

    python scripts/faults.py            a few minutes
    python scripts/faults.py --quick    one fault of each kind

Real processes, signals and files. The last line counts the faults, the runs lost, the runs wrong
(any metric, prediction or digest that is not bit-identical), and the work done twice. Exit code 1
if anything is lost or wrong.
"""

import argparse
import ctypes
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from poolbench.runs.record import read_record
from scripts import fault_bench as fb

HOW = ("flip", "truncate", "empty")


def kills(bench: fb.Bench, draw: random.Random, rounds: int) -> float:
    """Kill a sweep three times in each round; the share of training steps done twice."""
    before = fb.STEPS.value
    for i in range(rounds):
        for _ in range(3):
            bench.signalled(bench.root / f"kill{i}", signal.SIGKILL, draw.uniform(0.1, 1.1))
        bench.faults += 2
        bench.compare("kill -9", bench.root / f"kill{i}")
    return (fb.STEPS.value - before) / (rounds * bench.steps) - 1


def signals(bench: fb.Bench, draw: random.Random, rounds: int) -> None:
    for i in range(rounds):
        for number in (signal.SIGTERM, signal.SIGINT):
            output = bench.root / f"{number.name}{i}"
            code = bench.signalled(output, number, draw.uniform(0.3, 0.8))
            bench.expect(number.name, code, 128 + number, 0)
            bench.compare(number.name, output)


def writes(bench: fb.Bench, stride: int) -> None:
    one = ("pooler=attention", "seed=1")
    total, calls = (fb.FORK.Value(ctypes.c_long, 0) for _ in range(2))
    bench.run(bench.root / "count", *one, sabotage=fb.exit_at(-1, total))
    for nth in range(1, total.value + 1, stride):
        what, output, calls.value = f"exit at write {nth}", bench.root / f"write{nth}", 0
        bench.expect(what, bench.run(output, *one, sabotage=fb.exit_at(nth, calls)), 137)
        bench.compare(what, output, *one, only="attention/seed=1")


def together(bench: fb.Bench, counts: tuple[int, ...]) -> None:
    for n in counts:
        what, output, before = f"{n} processes", bench.root / f"together{n}", fb.STEPS.value
        for process in [bench.start(output) for _ in range(n)]:
            bench.expect(what, fb.exit_code(process), 0)
        bench.compare(what, output)
        bench.check(f"{what}: trained twice", fb.STEPS.value - before == bench.steps)


def damaged_files(bench: fb.Bench, draw: random.Random) -> None:
    for pattern in ("record.json", "predictions.npz", "study.json", "*.states", "cache/*.json"):
        frozen = ["encoder.tuning=frozen"] if "*" in pattern else []
        for how in HOW:
            what, output = f"{how} {pattern}", bench.root / f"damage{bench.faults}"
            bench.run(output, *frozen)
            reference, paths = fb.results_of(output), sorted(output.rglob(pattern))
            for record in output.rglob("record.json") if frozen else ():
                record.unlink()  # finished runs do not read the cache
            fb.damage(draw.choice(paths), how, draw)
            bench.faults += 1
            code = bench.run(output, *frozen)
            if pattern == "study.json" and code == 2:  # rejected with the advice to remove it
                paths[0].unlink()
                code = bench.run(output, *frozen)
            bench.expect(what, code, 0)
            bench.check(f"{what}: results differ", fb.results_of(output) == reference)


def damaged_checkpoints(bench: fb.Bench, draw: random.Random) -> None:
    for how in HOW:
        output = bench.root / f"checkpoint-{how}"
        for _ in range(20):  # until a sweep is killed that has left a checkpoint
            shutil.rmtree(output, ignore_errors=True)
            bench.signalled(output, signal.SIGKILL, draw.uniform(0.4, 0.9))
            if list(output.rglob("epoch=*.ckpt")):
                break
        for path in output.rglob("epoch=*.ckpt"):
            fb.damage(path, how, draw)
        bench.compare(f"{how} a checkpoint", output)


def failing_runs(bench: fb.Bench) -> None:
    for error in (RuntimeError("planted"), SystemExit(5), MemoryError("planted")):
        what, output = type(error).__name__, bench.root / type(error).__name__
        bench.expect(what, bench.run(output, sabotage=fb.raising(error)), 1)
        others = sum("attention" in run for run in fb.results_of(output))
        bench.check(f"{what} stopped the other runs", others == 2)
        bench.compare(what, output)
    output = bench.root / "nan"
    bench.expect("NaN", bench.run(output, "optimizer.lr=1e30"), 1)
    statuses = {read_record(path.parent).status for path in output.rglob("record.json")}
    bench.faults += 1
    bench.check(f"NaN losses gave {statuses}", statuses == {"diverged"})


def full_disks(bench: fb.Bench) -> None:
    for size in (200, 20_000, 1_000_000):
        output = bench.root / f"full{size}"
        bench.expect("disk full", bench.run(output, sabotage=fb.disk_full(size)), 1, 2)
        bench.compare("disk full", output)
    (bench.root / "file").write_text("not a folder")
    bench.expect("a folder that cannot be written", bench.run(bench.root / "file"), 2)
    bench.faults += 1


def no_network(bench: fb.Bench) -> None:
    def sabotage() -> None:
        os.environ |= {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}

    code = bench.run(bench.root / "wandb", "logger=wandb", sabotage=sabotage)
    bench.expect("no network", code, 0)
    bench.compare("no network", bench.root / "wandb")


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 1 if a run is lost or wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one fault of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of times and bits")
    options = parser.parse_args(arguments)
    draw, quick = random.Random(options.seed), options.quick
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        bench = fb.Bench(Path(folder))
        redone = kills(bench, draw, 1 if quick else 6)
        signals(bench, draw, 1 if quick else 2)
        writes(bench, stride=7 if quick else 1)
        together(bench, (2,) if quick else (2, 3, 4))
        damaged_files(bench, draw)
        damaged_checkpoints(bench, draw)
        failing_runs(bench)
        full_disks(bench)
        no_network(bench)
        if bench.messages:
            print(*bench.messages, (bench.root / "log.txt").read_text()[-3000:], sep="\n")
    print(
        f"{bench.faults} faults injected, {bench.lost} lost, {bench.wrong} wrong, "
        f"{100 * redone:.0f} % of work redone"
    )
    return int(bench.lost + bench.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
