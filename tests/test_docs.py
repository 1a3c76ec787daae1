"""What the documentation shows is what the program does: its code runs, its messages are real."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from poolbench.training.launch import CONF, compose_runs

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EXECUTED = [
    pytest.param("README.md", marks=pytest.mark.slow),  # trains a small sweep
    "CONTRIBUTING.md",
    "docs/shape_errors.md",
]
# A Python block and, directly below it, the error that it raises.
EXAMPLE = re.compile(
    r"^( *)```python\n(.*?)^ *```\n(?:\n^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL
)
# A command in a block: alone on its lines, with a prompt or after another command.
COMMAND = re.compile(r"^ *(?:\$ |.*&& )?python (?:train\.py|-m poolbench) (.*)$", re.MULTILINE)
# Options of Hydra, a plugin that is an extra of its own, and a package that does not exist.
NOT_COMPOSED = ("--", "launcher=ray", "mypackage")


def commands(page: Path) -> list[list[str]]:
    """The words after ``python train.py`` of every command of a page."""
    found = COMMAND.findall(page.read_text().replace("\\\n", " "))
    words = [shlex.split(command, comments=True) for command in found]
    return [w for w in words if not any(part in word for word in w for part in NOT_COMPOSED)]


@pytest.mark.parametrize("page", EXECUTED)
def test_every_example_runs_and_raises_what_is_written_below_it(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": page}
    examples = EXAMPLE.findall((ROOT / page).read_text())
    assert examples
    for indent, code, expected in examples:
        message = ""
        try:
            exec(re.sub(f"^{indent}", "", code, flags=re.MULTILINE), names)
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
        assert message.split() == expected.split(), code


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] * (page.name != "README.md"), id=page.name)
        for page in PAGES
        if commands(page)
    ],
)
def test_every_command_composes(page: Path) -> None:
    for words in commands(page):
        runs = compose_runs(*(word for word in words if word != "-m"))
        several = "-m" in words or any(word.startswith("experiment=") for word in words)
        assert several or len(runs) == 1, words


@pytest.mark.parametrize("group", ["pooler", "encoder", "layers", "dataset", "experiment"])
def test_the_readme_names_every_choice(group: str) -> None:
    readme = (ROOT / "README.md").read_text()
    assert [p.stem for p in (CONF / group).glob("*.yaml") if f"`{p.stem}`" not in readme] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r'(?:\]\(|src=")([^)"#:]+)[#)"]', page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
