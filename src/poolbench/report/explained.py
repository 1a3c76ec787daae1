"""What a pooler took from a text, as ``scripts/explain.py`` found it, and how a page shows it.

A study keeps it in ``explained.json``; the report reads that file where it is there, and needs no
torch for it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from poolbench.core.errors import BadInput
from poolbench.core.io import replacing
from poolbench.report.document import document
from poolbench.report.examples import disagreement
from poolbench.report.summary import Task
from poolbench.runs.study import Study

EXPLAINED = "explained.json"
GRADIENT = "gradient x input of the predicted logit"
# Of the row's largest weight: below it a bar would be a line of noise.
FAINT = 0.02


@dataclass(frozen=True)
class Strip:
    """One text as one pooler reads it.

    Attributes:
        pooler: its name.
        how: what the weights are.
        label: the predicted class.
        probability: of that class.
        words: of the text; a special token such as [CLS] is one too.
        special: is the word a special token?
        weights: of each word; their absolute values sum to 1. Below 0 it speaks against the class.
    """

    pooler: str
    how: str
    label: str
    probability: float
    words: tuple[str, ...]
    special: tuple[bool, ...]
    weights: tuple[float, ...]

    @property
    def heights(self) -> list[float]:
        """The weights as parts of the largest one, from -1 to 1."""
        largest = max(map(abs, self.weights), default=0.0)
        return [weight / largest if largest else 0.0 for weight in self.weights]


@dataclass(frozen=True)
class Explained:
    """The strips of a study.

    Attributes:
        strips: (dataset, encoder, test example) -> checksum of a record -> what that cell takes.
    """

    strips: Mapping[tuple[str, str, int], Mapping[str, Strip]] = field(default_factory=dict)

    def of(self, task: Task, pooler: str, example: int) -> list[Strip]:
        """What a pooler took from a test example: one strip, or none where its cells are others."""
        found = self.strips.get((task.dataset, task.encoder, example), {})
        checksums = (str(c.record.get("checksum")) for c in task.standing(pooler).finished)
        return [found[checksum] for checksum in checksums if checksum in found][:1]


def disagreed(task: Task, reference: str) -> dict[str, set[int]]:
    """Pooler -> the test examples that a report shows of it, where it and another one disagree."""
    wanted: dict[str, set[int]] = {}
    for comparison in task.against:
        found = disagreement(task, comparison.first, reference)
        if found is not None:
            numbers = {example.number for example in (*found.won, *found.lost)}
            for pooler in (found.first, found.second):
                wanted.setdefault(pooler, set()).update(numbers)
    return wanted


def write_explained(study: Path, explained: Explained) -> Path:
    """Write ``explained.json`` into a study's folder.

    Raises:
        BadInput: it cannot be written.
    """
    told = [
        {
            "dataset": dataset,
            "encoder": encoder,
            "example": example,
            "strips": {checksum: asdict(strip) for checksum, strip in strips.items()},
        }
        for (dataset, encoder, example), strips in explained.strips.items()
    ]
    path = study / EXPLAINED
    try:
        with replacing(path) as file:
            file.write(json.dumps({"version": 1, "examples": told}, ensure_ascii=False).encode())
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}") from error
    return path


def read_explained(study: Study) -> Explained:
    """What the study's folder has of the cells that are in it now; nothing where that is damaged.

    Strips of cells that were trained again since are left out.
    """
    current = {str(cell.record.get("checksum")) for cell in study.cells}
    try:
        told = json.loads((study.folder / EXPLAINED).read_bytes())
        strips = {
            (str(e["dataset"]), str(e["encoder"]), int(e["example"])): {
                checksum: _strip(strip)
                for checksum, strip in e["strips"].items()
                if checksum in current
            }
            for e in told["examples"]
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Explained()  # a help to the reader: without it a report is still right
    return Explained({example: found for example, found in strips.items() if found})


def strip_html(strip: Strip) -> str:
    """One row: the pooler, what it predicts, and every word with its weight as a bar behind it."""
    words = "".join(
        _word(*word)
        for word in zip(strip.words, strip.special, strip.weights, strip.heights, strict=True)
    )
    return (
        f'<div class="strip"><p class="taken"><b>{escape(strip.pooler)}</b> '
        f"{escape(strip.label)} {strip.probability:.2f} "
        f'<span class="quiet">{escape(strip.how)}</span></p>'
        f'<p class="words">{words}</p></div>'
    )


def strips_page(texts: Sequence[str], groups: Sequence[Sequence[Strip]]) -> str:
    """A page of its own: for each text a row of each pooler."""
    told = "".join(
        f"<section><h2>{escape(text)}</h2>{''.join(map(strip_html, group))}</section>"
        for text, group in zip(texts, groups, strict=True)
    )
    read = escape(legend(strip for group in groups for strip in group))
    body = (
        f'<header><h1>What did it pool?</h1><p class="quiet">{read}</p></header><main>{told}</main>'
    )
    return document("What did it pool?", body, figures=False)


def legend(strips: Iterable[Strip]) -> str:
    """How the bars are to be read."""
    told = (
        "The thicker the bar under a word, the more of the pooled vector the word makes up; the "
        "thickest bar is the largest weight of its row. The pieces of a word are added up. In the "
        "encoder every token, [CLS] above all, has already read the whole text."
    )
    if any(weight < 0 for strip in strips for weight in strip.weights):
        told += " With gradient x input, a striped bar speaks against the predicted class."
    return told


def _word(word: str, special: bool, weight: float, height: float) -> str:
    against = height < -FAINT
    kind = " ".join(["special"] * special + ["against"] * against)
    share = f"{100 * weight:.1f} %".replace("-", "\N{MINUS SIGN}")
    height = abs(height) if abs(height) >= FAINT else 0.0
    return f'<span class="{kind}" style="--w:{height:.3f}" title="{share}">{escape(word)}</span> '


def _strip(told: Mapping[str, Any]) -> Strip:
    strip = Strip(
        pooler=str(told["pooler"]),
        how=str(told["how"]),
        label=str(told["label"]),
        probability=float(told["probability"]),
        words=tuple(map(str, told["words"])),
        special=tuple(map(bool, told["special"])),
        weights=tuple(map(float, told["weights"])),
    )
    if not len(strip.words) == len(strip.special) == len(strip.weights):
        raise ValueError("words, marks and weights of different lengths")
    return strip
