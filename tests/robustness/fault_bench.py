"""A small sweep that ``scripts/faults.py`` breaks: how it is started, broken and checked."""

import ctypes
import itertools
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkProcess as Process
from pathlib import Path
from typing import Any

from poolbench.data.loaders import movie_reviews
from poolbench.runs.study import read_records
from poolbench.training import command
from poolbench.training.lit_module import LitPooledModel
from tests.conftest import curves
from tests.tiny_bert import REVIEWS

Sabotage = Callable[[], None]  # called in the process of the sweep before it starts
FORK = multiprocessing.get_context("fork")
STEPS, WRITES = (FORK.Value(ctypes.c_long, 0) for _ in range(2))  # of all processes
GRID = ("pooler=mean,attention", "encoder.tuning=full,frozen")
ONE = ("pooler=attention", "encoder.tuning=frozen")
COMMAND = """dataset=files encoder=scratch head=mlp trainer=cpu trainer.max_epochs=3 study=faults
    trainer.enable_progress_bar=false logger=none measure=false rerun=failed"""


class Bench:
    """A small sweep, its results without faults, and the number of faults, losses and errors.

    ``what`` is a few words for messages; the sweep writes to the folder of this name.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        reviews = movie_reviews("rotten_tomatoes", **REVIEWS, max_examples=96)
        reviews["train"].to_pandas().to_csv(root / "data.csv", index=False)
        self.faults = self.lost = self.wrong = 0
        self.messages: list[str] = []
        started = time.perf_counter()
        self.run("reference")
        self.seconds, self.steps = time.perf_counter() - started, STEPS.value
        self.reference = self.results("reference")

    def start(self, what: str, *overrides: str, sabotage: Sabotage = lambda: None) -> Process:
        """A forked process that runs the sweep: its imports are already done."""
        grid = () if set(ONE) <= set(overrides) else GRID
        paths = (f"dataset.train={self.root / 'data.csv'}", f"output_dir={self.root / what}")

        def sweep() -> None:
            log = (self.root / "log.txt").open("a")
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            on_step(count)
            sabotage()
            sys.argv = ["train.py", "-m", *grid, *COMMAND.split(), *paths, *overrides]
            sys.exit(command.main())

        process = FORK.Process(target=sweep)
        process.start()
        return process

    def run(
        self,
        what: str,
        *overrides: str,
        expect: Sequence[int] = (0,),
        kill: tuple[int, float] | None = None,
        **how: Any,
    ) -> int:
        """The exit code of the sweep (-n: ended by signal n), which is wrong if not expected.

        ``kill`` is a signal, and the share of the usual time after which it is sent.
        """
        process = self.start(what, *overrides, **how)
        process.join(kill and kill[1] * self.seconds)
        if kill and process.is_alive():
            os.kill(process.pid, kill[0])
        process.join()
        self.check(
            f"{what}: exit code {process.exitcode}, expected {expect}", process.exitcode in expect
        )
        return process.exitcode

    def check(self, what: str, right: bool) -> None:
        if not right:
            self.wrong += 1
            self.messages.append(what)

    def fault(self, what: str, *overrides: str, **how: Any) -> None:
        """Run the sweep with a fault, and compare."""
        self.run(what, *overrides, **how)
        self.compare(what, *overrides)

    def compare(self, what: str, *overrides: str) -> None:
        """Run the sweep again; then every run must equal the one without faults, bit by bit."""
        self.faults += 1
        if sys.stdout.isatty():
            print(f"{self.faults} faults so far: {what:60}", end="\r", flush=True)
        self.run(what, *overrides)
        results = self.results(what)
        for run in self.results("one") if overrides == ONE else self.reference:
            self.lost += run not in results
            right = results.get(run, self.reference[run]) == self.reference[run]
            self.check(f"{what}: {run} differs", right)

    def results(self, what: str) -> dict[str, str]:
        """Run -> all of its result that must not depend on faults."""
        results = {}
        for record in read_records(self.root / what / "faults")[0]:
            if record.ok:
                metrics = {k: v for k, v in record.metrics.items() if not k.startswith("perf/")}
                kept = [metrics, curves(record), record.digests.model_dump(), record.test_details]
                logits = record.predictions.outputs.tobytes().hex()
                results[str(record.folder.relative_to(self.root / what))] = (
                    json.dumps(kept) + logits
                )
        return results

    def damage(self, what: str, pattern: str, how: str, draw: random.Random) -> None:
        """Flip one bit of a file of the sweep, cut it in half, or empty it."""
        path = draw.choice(sorted((self.root / what).rglob(pattern)))
        content = bytearray(path.read_bytes())
        if how == "flip":
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes({"cut": content[: len(content) // 2], "empty": b""}.get(how, content))


def on_step(action: Callable[[LitPooledModel], None]) -> None:
    """Do something at the start of every training step of a run; planning trains a step too."""
    original = LitPooledModel.training_step

    def step(self: LitPooledModel, batch: Any, index: int) -> Any:
        if not self.trainer.fast_dev_run:
            action(self)
        return original(self, batch, index)

    LitPooledModel.training_step = step


def count(_: LitPooledModel) -> None:
    with STEPS.get_lock():
        STEPS.value += 1


def raising(error: BaseException) -> Sabotage:
    """Runs with the mean pooler raise in their first step."""

    def action(module: LitPooledModel) -> None:
        if type(module.model.pooler).__name__ == "MeanPooler":
            raise error

    return lambda: on_step(action)


def killed_at_step(nth: int) -> Sabotage:
    """The process is killed at its nth training step."""
    steps = itertools.count(1)

    def action(_: LitPooledModel) -> None:
        if next(steps) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: on_step(action)


def exit_at_write(nth: int) -> Sabotage:
    """The process ends at its nth fsync, rename or file creation, without any cleanup."""

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            WRITES.value += 1
            if WRITES.value == nth:
                os._exit(137)
            return original(*args, **kwargs)

        return call

    def sabotage() -> None:
        WRITES.value = 0
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


def no_network() -> None:
    os.environ |= {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
