"""What the documentation shows is what the program does: its code runs, its messages are real."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poolbench.training.launch import check_command

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = ["shape_errors.md"]


def blocks(page: str) -> list[tuple[int, str, str]]:
    """(line, language, content) of every fenced block."""
    text = (DOCS / page).read_text()
    return [(text[: m.start()].count("\n") + 2, m[1], m[2]) for m in BLOCK.finditer(text)]


def examples(page: str) -> Iterator[tuple[int, str, str | None]]:
    """(line, code, the message below it or None) of every Python block."""
    found = blocks(page)
    for (line, language, code), (_, below, message) in zip(
        found, [*found[1:], (0, "", "")], strict=True
    ):
        if language == "python":
            yield line, code, message if below == "text" else None


def said_by(code: str, names: dict[str, Any], where: str) -> str | None:
    """How the last line of a traceback would read, None where nothing is raised."""
    try:
        exec(compile(code, where, "exec"), names)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize("page", SHOWN)
def test_every_example_says_what_is_written_below_it(page: str) -> None:
    names: dict[str, Any] = {"__name__": page}
    for line, code, message in examples(page):
        with contextlib.redirect_stdout(io.StringIO()):
            said = said_by(code, names, f"{page}:{line}")
        expected = None if message is None else " ".join(message.split())
        assert (said and " ".join(said.split())) == expected, f"{page}:{line}"


@pytest.mark.parametrize("page", SHOWN)
def test_every_command_is_one_the_program_takes(page: str) -> None:
    commands = [
        command.removeprefix("$ python train.py").split()
        for _, language, content in blocks(page)
        if language == "console"
        for command in content.replace("\\\n", " ").splitlines()
    ]
    assert commands
    for command in commands:
        check_command([part for part in command if part != "-m"], multirun="-m" in command)


def typed(page: Path) -> Iterator[list[str]]:
    """The words after ``train.py`` of every command in a plain fenced block."""
    for block in re.findall(r"^```\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for command in line.split("&&"):
                _, typed, overrides = command.partition("python train.py ")
                if typed and overrides != "--help":
                    yield shlex.split(overrides, comments=True)


@pytest.mark.parametrize(
    "page", ["README.md", "docs/dashboards.md", "docs/guide.md", "docs/scaling.md"]
)
def test_every_command_in_a_plain_block_is_one_the_program_takes(page: str) -> None:
    commands = list(typed(DOCS.parent / page))
    assert commands
    for command in commands:
        if not any("launcher=ray" in word for word in command):  # its plugin is an extra of its own
            check_command([w for w in command if w != "-m"], multirun="-m" in command)
