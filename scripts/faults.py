"""Break a sweep in every way that machines break, run it again, and compare with an unbroken one.

    python scripts/faults.py            a few minutes
    python scripts/faults.py --quick    one of each kind

Real processes, real kills, real files. Ends with one line: faults injected, cells lost, cells
wrong (any figure, prediction or digest that is not bit-identical to the unbroken run's), and the
share of training steps that were done twice. Exits with 1 if anything was lost or wrong.
"""

import argparse
import contextlib
import ctypes
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).parents[1]))

from poolbench.runs.record import read_record
from scripts.fault_bench import Bench, digest_of, wait
from scripts.sabotage import (
    STEPS,
    damage,
    die_at,
    disk_full,
    raising,
)


def kills(bench: Bench, draw: random.Random, rounds: int, seconds: float) -> Iterator[str]:
    for i in range(rounds):
        yield f"kill -9, round {i + 1}"
        output, before = bench.root / f"kill{i}", STEPS.value
        for _ in range(3):
            pid = bench.start(output)
            time.sleep(draw.uniform(0.1, 1.1) * seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            wait(pid)
        bench.faults += 2
        bench.compare("kill -9", output)
        bench.extra_steps += STEPS.value - before - bench.needed_steps


def signals(bench: Bench, draw: random.Random, rounds: int, seconds: float) -> Iterator[str]:
    for i in range(rounds):
        for number in (signal.SIGTERM, signal.SIGINT):
            yield f"{number.name}, round {i + 1}"
            output = bench.root / f"{number.name}{i}"
            pid = bench.start(output)
            time.sleep(draw.uniform(0.3, 0.8) * seconds)
            os.kill(pid, number)
            bench.expect(number.name, wait(pid), 128 + number, 0)
            bench.compare(number.name, output)


def crash_points(bench: Bench, stride: int) -> Iterator[str]:
    one = ["pooler=attention", "seed=1"]
    reference = {c: d for c, d in bench.reference.items() if "attention/seed=1" in c}
    counter = multiprocessing.Value(ctypes.c_long, 0)
    bench.run(bench.root / "count", *one, sabotage=die_at(-1, counter))
    for nth in range(1, counter.value + 1, stride):
        yield f"dies at write point {nth} of {counter.value}"
        output = bench.root / f"point{nth}"
        calls = multiprocessing.Value(ctypes.c_long, 0)
        code = bench.run(output, *one, sabotage=die_at(nth, calls))
        bench.expect(f"write point {nth}", code, 137)
        bench.faults += 1
        bench.expect(f"after write point {nth}", bench.run(output, *one), 0)
        results = digest_of(output)
        bench.lost += sum(cell not in results for cell in reference)
        bench.wrong += sum(
            results.get(cell, digest) != digest for cell, digest in reference.items()
        )


def together(bench: Bench, counts: tuple[int, ...]) -> Iterator[str]:
    for n in counts:
        yield f"{n} processes on one study"
        output, before = bench.root / f"together{n}", STEPS.value
        pids = [bench.start(output) for _ in range(n)]
        for pid in pids:
            bench.expect(f"{n} processes", wait(pid), 0)
        bench.compare(f"{n} processes", output)
        if STEPS.value - before != bench.needed_steps:
            bench.unexpected.append(f"{n} processes: a cell was trained twice")
            bench.wrong += 1


def damaged_files(bench: Bench, draw: random.Random) -> Iterator[str]:
    for pattern in ("record.json", "predictions.npz", "study.json", "*.states", "states.json"):
        for how in ("flip", "truncate", "empty"):
            yield f"{how} {pattern}"
            output = bench.root / f"damage-{pattern.strip('*.')}-{how}"
            frozen = ["encoder.tuning=frozen"] if "states" in pattern else []
            bench.run(output, *frozen)
            reference = digest_of(output)
            paths = sorted(output.rglob("*.json" if pattern == "states.json" else pattern))
            if "states" in pattern:
                paths = [p for p in paths if p.parent.name == "cache"]
                for record in output.rglob("record.json"):
                    record.unlink()
            damage(draw.choice(paths), how, draw)
            bench.faults += 1
            bench.expect(f"{how} {pattern}", bench.run(output, *frozen), 0)
            if digest_of(output) != reference:
                bench.wrong += 1
                bench.unexpected.append(f"{how} {pattern}: results differ")


def damaged_checkpoints(bench: Bench, draw: random.Random, seconds: float) -> Iterator[str]:
    for how in ("flip", "truncate", "empty"):
        yield f"{how} a checkpoint"
        output = bench.root / f"checkpoint-{how}"
        for _ in range(20):
            pid = bench.start(output)
            time.sleep(draw.uniform(0.5, 0.8) * seconds)
            os.kill(pid, signal.SIGKILL)
            wait(pid)
            paths = sorted(output.rglob("epoch=*.ckpt"))
            if paths:
                break
            shutil.rmtree(output, ignore_errors=True)
        for path in paths:
            damage(path, how, draw)
        bench.compare(f"{how} a checkpoint", output)


def failing_cells(bench: Bench) -> Iterator[str]:
    for error in (RuntimeError("planted"), SystemExit(5), MemoryError("planted")):
        yield f"a cell raises {type(error).__name__}"
        output = bench.root / f"raise-{type(error).__name__}"
        bench.expect("a failing cell", bench.run(output, sabotage=raising(error, "MeanPooler")), 1)
        if sum("attention" in cell for cell in digest_of(output)) != 2:
            bench.lost += 1
            bench.unexpected.append(f"{error!r} stopped the other cells")
        bench.compare("a failing cell", output)
    yield "the loss is no number"
    output = bench.root / "nan"
    bench.expect("NaN", bench.run(output, "optimizer.lr=1e30"), 1)
    statuses = {read_record(p.parent)["status"] for p in output.rglob("record.json")}
    bench.faults += 1
    if statuses != {"diverged"}:
        bench.wrong += 1
        bench.unexpected.append(f"NaN losses gave {statuses}")


def full_disks(bench: Bench) -> Iterator[str]:
    for size in (200, 20_000, 1_000_000):
        yield f"no file may grow beyond {size} bytes"
        output = bench.root / f"full{size}"
        bench.expect("disk full", bench.run(output, sabotage=disk_full(size)), 1, 2)
        bench.compare("disk full", output)
    yield "a folder that cannot be written"
    (bench.root / "file").write_text("in the way")
    bench.expect("read-only", bench.run(bench.root / "file"), 2)
    bench.faults += 1


def no_network(bench: Bench) -> Iterator[str]:
    yield "a W&B key and no network"

    def sabotage() -> None:
        os.environ["WANDB_API_KEY"] = "0" * 40
        os.environ["WANDB_BASE_URL"] = "http://127.0.0.1:9"

    output = bench.root / "wandb"
    bench.expect("no network", bench.run(output, "logger=wandb", sabotage=sabotage), 0)
    bench.compare("no network", output)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and bits to break")
    args = parser.parse_args()
    draw, quick = random.Random(args.seed), args.quick
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, Progress(transient=True) as progress:
        bench = Bench(Path(folder))
        task = progress.add_task("an unbroken run", total=None)
        started, before = time.perf_counter(), STEPS.value
        assert bench.run(Path(folder) / "reference") == 0, (Path(folder) / "log.txt").read_text()
        seconds = time.perf_counter() - started
        bench.needed_steps = STEPS.value - before
        bench.reference = digest_of(Path(folder) / "reference")
        rounds = 1 if quick else 6
        for kind in (
            kills(bench, draw, rounds, seconds),
            signals(bench, draw, rounds // 3 or 1, seconds),
            crash_points(bench, stride=7 if quick else 1),
            together(bench, (2,) if quick else (2, 3, 4)),
            damaged_files(bench, draw),
            damaged_checkpoints(bench, draw, seconds),
            failing_cells(bench),
            full_disks(bench),
            no_network(bench),
        ):
            for what in kind:
                progress.update(task, description=f"{bench.faults} faults so far: {what}")
        if bench.unexpected:
            print(*bench.unexpected, (Path(folder) / "log.txt").read_text()[-3000:], sep="\n")
    redone = 100 * bench.extra_steps / max(bench.needed_steps * rounds, 1)
    print(
        f"{bench.faults} faults injected, {bench.lost} lost, {bench.wrong} wrong, "
        f"{redone:.0f} % of work redone"
    )
    return 1 if bench.lost or bench.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
