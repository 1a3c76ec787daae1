"""Interrupts end the program, wherever it is when they arrive."""

import os
import signal
import sys
import time
import weakref
from collections.abc import Iterator

import pytest

from poolbench.core.errors import Interrupted
from poolbench.training.command import interruptible


@pytest.fixture
def interrupts() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers], sys.unraisablehook
    interruptible()
    yield
    for number, handler in zip(numbers, before[0], strict=True):
        signal.signal(number, handler)
    sys.unraisablehook = before[1]


class Thing:
    pass


def interrupt_in_a_callback(number: signal.Signals) -> None:
    thing = Thing()
    kept = weakref.ref(thing, lambda _: os.kill(os.getpid(), number))
    del thing
    assert kept() is None
    time.sleep(5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_in_a_callback_that_drops_exceptions_still_ends_the_program(
    interrupts: None, number: signal.Signals
) -> None:
    with pytest.raises(Interrupted) as ended:
        interrupt_in_a_callback(number)
    assert ended.value.code == 128 + number
