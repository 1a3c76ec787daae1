"""Every exception ends a command with one line and an exit code."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from poolbench.core.errors import DEBUG, Interrupted, UserError, command


def raising(error: BaseException) -> Callable[..., int]:
    @command
    def main(arguments: list[str]) -> int:
        raise error

    return main


def test_an_error_of_the_user_is_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = raising(UserError("row 3:\n no label\x00"))([]), capsys.readouterr().err
    assert (code, printed) == (2, "error: row 3: no label\N{REPLACEMENT CHARACTER}\n")


def test_another_exception_is_one_line_and_its_traceback_a_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, printed = raising(KeyError("x"))([]), capsys.readouterr().err
    assert code == 2
    assert printed.count("\n") == 1
    place = re.search(r"traceback: (\S+),", printed)
    assert place is not None
    log = Path(place[1])
    assert "Traceback" in log.read_text()
    log.unlink()


def test_debug_prints_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEBUG, "")
    with pytest.raises(KeyError):
        raising(KeyError("x"))(["--debug"])


def test_an_interrupt_keeps_its_code() -> None:
    assert raising(KeyboardInterrupt())([]) == 130
    with pytest.raises(SystemExit, match="143"):
        raising(Interrupted(143))([])


def test_a_closed_pipe_is_no_error() -> None:
    script = (
        "from poolbench.core.errors import command\n"
        "command(lambda _: [print('x' * 100) for _ in range(10_000)] and 0)()"
    )
    command = f'{sys.executable} -c "{script}" | head -1'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout == "x" * 100 + "\n"
