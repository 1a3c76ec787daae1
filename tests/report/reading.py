"""What a report says, read back from its files and its findings."""

import csv
import io
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

from poolbench.report.narrative import answer
from poolbench.report.summary import Findings


class Tags(HTMLParser):
    """The elements of a page, and its text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self.tags[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


def headline(findings: Findings) -> str:
    (task,) = findings.tasks
    return answer(task, findings.protocol.metric).headline


def reason(findings: Findings) -> str:
    (task,) = findings.tasks
    return answer(task, findings.protocol.metric).reason


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def run_without_heavy_imports(script: str, folder: Path) -> None:
    """Run ``scripts/<script>.py`` on a folder in a new process and look what it imported."""
    heavy = {"torch", "pytorch_lightning", "wandb", "hydra", "transformers", "datasets"}
    code = (
        f"import sys; from scripts.{script} import main; assert main(sys.argv[1:]) == 0; "
        f"assert not {heavy} & sys.modules.keys(), {heavy} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code, folder], check=True)
