"""A small sweep for ``faults.py`` to break: how it is started, broken and checked."""

import contextlib
import ctypes
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.context import ForkProcess as Process
from pathlib import Path
from typing import Any

from poolbench.data.loaders import movie_reviews
from poolbench.runs.record import RecordError, read_record
from poolbench.training import launch
from poolbench.training.lit_module import LitPooledModel

Sabotage = Callable[[], None]
FORK = multiprocessing.get_context("fork")
STEPS = FORK.Value(ctypes.c_long, 0)  # training steps of all processes
GRID = ("pooler=mean,attention", "seed=0,1")
COMMAND = """dataset=files encoder=scratch encoder.tuning=full head=mlp trainer=cpu logger=none
    trainer.max_epochs=3 trainer.enable_progress_bar=false measure=false study=faults"""


class Bench:
    """The sweep, its results without faults, and the number of faults, losses and errors."""

    def __init__(self, root: Path) -> None:
        self.root, self.data = root, root / "data.csv"
        reviews = movie_reviews("rotten_tomatoes", 1000, 2530, 0, max_examples=96)
        reviews["train"].to_pandas().to_csv(self.data, index=False)
        self.faults = self.lost = self.wrong = 0
        self.messages: list[str] = []
        started = time.perf_counter()
        self.expect("no fault", self.run(root / "reference"), 0)
        self.seconds, self.steps = time.perf_counter() - started, STEPS.value
        self.reference = results_of(root / "reference")

    def start(self, output: Path, *overrides: str, sabotage: Sabotage = lambda: None) -> Process:
        """A forked process that runs the sweep: its imports are already done."""
        grid = () if any(o.startswith("pooler=") for o in overrides) else GRID
        paths = (f"dataset.train={self.data}", f"output_dir={output}")

        def sweep() -> None:
            log = (self.root / "log.txt").open("a")
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            on_step(_count)
            sabotage()
            sys.argv = ["train.py", "-m", *grid, *COMMAND.split(), *paths, *overrides]
            launch.main()

        process = FORK.Process(target=sweep)
        process.start()
        return process

    def run(self, output: Path, *overrides: str, sabotage: Sabotage = lambda: None) -> int:
        """The exit code of the sweep."""
        return exit_code(self.start(output, *overrides, sabotage=sabotage))

    def signalled(self, output: Path, number: int, share: float) -> int:
        """The exit code of a sweep that gets a signal after a share of its usual time."""
        process = self.start(output)
        process.join(share * self.seconds)
        if process.is_alive():
            os.kill(process.pid, number)
        return exit_code(process)

    def check(self, what: str, right: bool) -> None:
        if not right:
            self.wrong += 1
            self.messages.append(what)

    def expect(self, what: str, code: int, *codes: int) -> None:
        self.check(f"{what}: exit code {code}, expected {codes}", code in codes)

    def compare(self, what: str, output: Path, *overrides: str, only: str = "") -> None:
        """Run the sweep again; then every run must equal the one without faults, bit by bit."""
        self.faults += 1
        if sys.stdout.isatty():
            print(f"{self.faults} faults so far: {what:60}", end="\r", flush=True)
        self.expect(f"{what}, run again", self.run(output, "retry_failed=true", *overrides), 0)
        results = results_of(output)
        for run, result in self.reference.items():
            if only in run:
                self.lost += run not in results
                self.check(f"{what}: {run} differs", results.get(run, result) == result)


def results_of(output: Path) -> dict[str, str]:
    """Run -> all of its result that must not depend on faults."""
    results = {}
    for path in (output / "faults").rglob("record.json"):
        with contextlib.suppress(RecordError):
            record = read_record(path.parent)
            if record.ok:
                metrics = {k: v for k, v in record.metrics.items() if not k.startswith("perf/")}
                kept = [metrics, record.history, record.digests.model_dump(), record.test_details]
                logits = record.predictions.logits.tobytes().hex()
                results[str(path.parent.relative_to(output))] = json.dumps(kept) + logits
    return results


def exit_code(process: Process) -> int:
    """The exit code of a process, once it has ended; negative if a signal ended it."""
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def on_step(action: Callable[[LitPooledModel], None]) -> None:
    """Do something at the start of every training step."""
    original = LitPooledModel.training_step

    def step(self: LitPooledModel, batch: Any, index: int) -> Any:
        action(self)
        return original(self, batch, index)

    LitPooledModel.training_step = step


def _count(_: LitPooledModel) -> None:
    with STEPS.get_lock():
        STEPS.value += 1


def raising(error: BaseException) -> Sabotage:
    """Runs with the mean pooler raise in their first step."""

    def action(module: LitPooledModel) -> None:
        if type(module.model.pooler).__name__ == "MeanPooler":
            raise error

    return lambda: on_step(action)


def exit_at(nth: int, calls: Any) -> Sabotage:
    """The process ends at its nth fsync, rename or file creation, without any cleanup."""

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls.value += 1
            if calls.value == nth:
                os._exit(137)
            return original(*args, **kwargs)

        return call

    def sabotage() -> None:
        os.fsync, os.replace = counted(os.fsync), counted(os.replace)
        tempfile.mkstemp = counted(tempfile.mkstemp)

    return sabotage


def disk_full(bytes_per_file: int) -> Sabotage:
    """No file may grow beyond so many bytes."""

    def sabotage() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        silent = os.open(os.devnull, os.O_WRONLY)  # the limit holds for the log too
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_per_file, bytes_per_file))

    return sabotage


def damage(path: Path, how: str, draw: random.Random) -> None:
    """Flip one bit, cut the file in half, or empty it."""
    content = bytearray(path.read_bytes())
    if how == "flip":
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes({"empty": b"", "truncate": content[: len(content) // 2]}.get(how, content))
