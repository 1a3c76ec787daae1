"""One pass of fine-tuning, ready to run: what each side of ``benchmark.py finetune`` builds."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from rounds import Variant


@dataclass(frozen=True)
class Training:
    """A fresh model and its loop.

    Attributes:
        run: trains one pass; this alone is timed.
        loss: mean cross-entropy of a few training texts as the model is now, dropout off.
    """

    run: Callable[[], object]
    loss: Callable[[], float]


@dataclass(frozen=True)
class Change:
    """The loss of a few training texts before and after the pass."""

    before: float
    after: float


def variant(name: str, build: Callable[[], Training], changes: dict[str, Change]) -> Variant:
    """Builds and runs, seconds of the run alone; the first time the losses are noted as well."""

    def timed_run() -> float:
        training = build()
        noted = name in changes
        before = 0.0 if noted else training.loss()
        started = time.perf_counter()
        training.run()
        seconds = time.perf_counter() - started
        if not noted:
            changes[name] = Change(before, training.loss())
        return seconds

    return timed_run
