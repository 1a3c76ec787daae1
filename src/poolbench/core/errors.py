"""Exceptions for user errors and interrupts, and the one place that prints them."""

import difflib
import functools
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

DEBUG = "POOLBENCH_DEBUG"  # environment variable that --debug sets: print tracebacks


class UserError(ValueError):
    """Configuration, data or files that cannot be used; ends the program with exit code 2.

    The message is one line, also if it quotes a text with line breaks.
    """

    def __init__(self, message: object) -> None:
        super().__init__(" ".join(str(message).split()))


class DivergedError(RuntimeError):
    """The training loss is no longer finite."""


class Interrupted(SystemExit):
    """A signal ended the program; its code is 130 for Ctrl-C and 143 for SIGTERM."""


def command(main: Callable[[list[str]], int]) -> Callable[..., int]:
    """Decorate the main function of a command, from arguments to exit code.

    Any exception is printed in one line, and the exit code is 2. ``--debug`` raises it instead.
    """

    @functools.wraps(main)
    def run(arguments: list[str] | None = None) -> int:
        given = sys.argv[1:] if arguments is None else list(arguments)
        if "--debug" in given:
            given.remove("--debug")
            os.environ[DEBUG] = "1"
        try:
            return main(given)
        except (Exception, KeyboardInterrupt) as error:
            return report(error)

    return run


def report(error: BaseException) -> int:
    """Print an exception in one line; the exit code.

    The traceback of an exception that is not a UserError is kept in a temporary file.
    """
    if os.environ.get(DEBUG):
        raise error
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, BrokenPipeError):
        # The reader of the output has left: keep Python from complaining at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    message = one_line(error)
    if not isinstance(error, UserError):
        _, path = tempfile.mkstemp(".log", "poolbench-")
        Path(path).write_text("".join(traceback.format_exception(error)), errors="replace")
        message = f"{type(error).__name__}: {message} (traceback: {path}, or add --debug)"
    print(f"error: {message}", file=sys.stderr)
    return 2


def one_line(error: BaseException) -> str:
    """The message of an exception in one printable line."""
    lines = " ".join(str(error).split()) or type(error).__name__
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in lines)


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: the nearest known one."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f", did you mean {near[0]}?" if near else ""
