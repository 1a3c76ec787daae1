"""Ways to break a process from inside: what ``faults.py`` plants before it lets a sweep run."""

import ctypes
import multiprocessing
import os
import random
import resource
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poolbench.training.lit_module import Classification

STEPS = multiprocessing.Value(ctypes.c_long, 0)
"""Training steps of all processes together."""
Sabotage = Callable[[], None]


def count_steps() -> None:
    original = Classification.training_step

    def step(self: Classification, batch: Any, index: int) -> Any:
        with STEPS.get_lock():
            STEPS.value += 1
        return original(self, batch, index)

    Classification.training_step = step


def die_at(nth: int, calls: Any) -> Sabotage:
    """The process dies at its nth fsync, rename or file creation, as if its plug were pulled."""

    def sabotage() -> None:
        def dying(original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                calls.value += 1
                if calls.value == nth:
                    os._exit(137)
                return original(*args, **kwargs)

            return call

        os.fsync, os.replace = dying(os.fsync), dying(os.replace)
        tempfile.mkstemp = dying(tempfile.mkstemp)

    return sabotage


def raising(error: BaseException, pooler: str) -> Sabotage:
    """Cells with this pooler raise in their first step."""

    def sabotage() -> None:
        original = Classification.training_step

        def step(self: Classification, batch: Any, index: int) -> Any:
            if type(self.model.pooler).__name__ == pooler:
                raise error
            return original(self, batch, index)

        Classification.training_step = step

    return sabotage


def disk_full(bytes_per_file: int) -> Sabotage:
    """The kernel refuses to let any file grow beyond so many bytes."""

    def sabotage() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        # What is printed would meet the limit too.
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_per_file, bytes_per_file))

    return sabotage


def damage(path: Path, how: str, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if how == "flip":
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes({"empty": b"", "truncate": content[: len(content) // 2]}.get(how, content))
