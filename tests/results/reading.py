"""What a report says, read back from its files and its findings."""

import csv
import io
from html.parser import HTMLParser

from poolbench.results.answer import answer
from poolbench.results.findings import Findings


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
