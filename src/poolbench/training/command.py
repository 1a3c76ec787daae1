"""The entry point: help and first checks, then Hydra, whose import takes half of a short answer."""

import signal
import sys

from poolbench.core.errors import Interrupted, command
from poolbench.training.arguments import check_arguments, check_first_words
from poolbench.training.help import help_text


@command
def main(arguments: list[str]) -> int:
    """Entry point of ``train.py`` and ``python -m poolbench``.

    Exit codes: 0, every run has a result; 1, some runs failed or diverged; 2, the configuration or
    the data is unusable and nothing was started; 130 and 143, interrupted.
    """
    interruptible()
    if "--help" in arguments or "-h" in arguments:
        print(help_text(arguments))
        return 0
    check_arguments(arguments)
    check_first_words(arguments)
    from poolbench.training import launch

    launch.start(arguments)
    return 0


def interruptible() -> None:
    """Let Ctrl-C and SIGTERM end the program by ``Interrupted``, wherever it is."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    sys.unraisablehook = _raise_again


def _interrupt(number: int, _: object) -> None:
    print("interrupted: the same command continues from here", file=sys.stderr)
    raise Interrupted(128 + number)


def _raise_again(dropped: "sys.UnraisableHookArgs") -> None:
    # Python drops an exception that is raised in a destructor or in the callback of a weak
    # reference, and tells this hook: an interrupt has to leave those first.
    error = dropped.exc_value
    if not isinstance(error, Interrupted):
        sys.__unraisablehook__(dropped)
        return

    def interrupt(*_: object) -> None:
        raise Interrupted(error.code)

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
