"""Exceptions for user errors and interrupts, and the one place that prints them."""

import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

DEBUG = "POOLBENCH_DEBUG"  # environment variable that --debug sets: print tracebacks


class UserError(ValueError):
    """Configuration, data or files that cannot be used; ends the program with exit code 2."""


class DivergedError(RuntimeError):
    """The training loss is no longer finite."""


class Interrupted(SystemExit):
    """A signal ended the program; its code is 130 for Ctrl-C and 143 for SIGTERM."""


def run_command(main: Callable[[], int | None]) -> None:
    """Run the main function of a command and exit with its code; errors are one line each."""
    if "--debug" in sys.argv:
        sys.argv.remove("--debug")
        os.environ[DEBUG] = "1"
    with errors_in_one_line():
        sys.exit(main())


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Print an exception in one line and exit with code 2.

    The traceback of an exception that is not a UserError is kept in a temporary file.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader of the output has left: keep Python from complaining at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        message = one_line(error)
        if not isinstance(error, UserError):
            _, path = tempfile.mkstemp(".log", "poolbench-")
            Path(path).write_text("".join(traceback.format_exception(error)), errors="replace")
            message = f"{type(error).__name__}: {message} (traceback: {path}, or add --debug)"
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2) from error


def one_line(error: BaseException) -> str:
    """The message of an exception in one printable line."""
    lines = " ".join(str(error).split()) or type(error).__name__
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in lines)
