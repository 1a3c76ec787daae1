"""Test texts on which poolers disagree, and the weights that explain single predictions.

``scripts/explain.py`` writes the explanations; a report shows them where they exist.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from poolbench.report.rendering import render_page
from poolbench.report.summary import Standing, Task
from poolbench.runs.explanations import Explanation, Explanations

FAINT = 0.02  # of the largest weight of a text: smaller bars are not drawn
SHOWN = 5  # texts on each side of a disagreement


class Disagreement(NamedTuple):
    """Test examples (k,) that most seeds of one pooler get right and most of the other wrong."""

    first: Standing
    second: Standing
    won: NDArray[np.int64]
    lost: NDArray[np.int64]

    def clearest(self, rows: NDArray[np.int64]) -> list[int]:
        """Some of the examples, those with the largest difference first."""
        # Shuffled: equally clear examples would otherwise come in the order of the data.
        rows = np.random.default_rng(0).permutation(rows)
        gap = np.abs(self.first.right[rows] - self.second.right[rows])
        return [int(i) for i in rows[np.argsort(-gap, kind="stable")][:SHOWN]]

    def describe(self, example: int) -> str:
        """The class of an example, and how many seeds of each pooler predict it."""
        record = self.first.finished[0]
        label = record.data.classes[record.predictions.targets[example]]
        right = ", ".join(
            f"{s.pooler} {round(len(s.finished) * s.right[example])} of {len(s.finished)}"
            for s in (self.first, self.second)
        )
        return f"{label}; seeds that are right: {right}"


def disagreements(task: Task) -> list[Disagreement]:
    """Where each pooler disagrees with the reference, best mean first.

    Poolers that were not tested on the same examples are left out.
    """
    scored = {s.pooler: s for s in task.standings if len(s.right)}
    targets = {s.pooler: s.finished[0].predictions.targets for s in scored.values()}
    b = scored.get(task.reference)
    found = []
    for a in (scored[c.first] for c in task.against if c.first in scored):
        if b and np.array_equal(targets[a.pooler], targets[b.pooler]):
            won = np.flatnonzero((a.right > 0.5) & (b.right < 0.5))
            lost = np.flatnonzero((a.right < 0.5) & (b.right > 0.5))
            found.append(Disagreement(a, b, won, lost))
    return found


def disagreed(task: Task) -> dict[str, set[int]]:
    """Pooler -> the test examples that a report shows of it."""
    wanted: dict[str, set[int]] = defaultdict(set)
    for found in disagreements(task):
        for pooler in (found.first.pooler, found.second.pooler):
            wanted[pooler].update(found.clearest(found.won), found.clearest(found.lost))
    return wanted


def of_example(
    explanations: Explanations, task: Task, found: Disagreement, example: int
) -> list[Explanation]:
    """The explanations of one test example: of each pooler that of its lowest explained seed."""
    wanted, shown = (task.dataset, task.encoder, example), []
    for e in (e for e in explanations.examples if (e.dataset, e.encoder, e.example) == wanted):
        for s in (found.first, found.second):
            keys = [k for r in s.finished if (k := r.predictions_sha256) in e.explanations]
            shown += [e.explanations[key] for key in keys[:1]]
    return shown


def legend(explanations: Iterable[Explanation]) -> str:
    """How to read the bars."""
    text = (
        "The bar under a word shows its weight in the pooled vector, relative to the largest "
        "weight of the row; the weights of the pieces of a word are added. A hidden state, above "
        "all that of [CLS], already contains information from the whole text."
    )
    if any(weight < 0 for e in explanations for _, weight, _ in e.words):
        text += " With gradient × input, a striped bar counts against the predicted class."
    return text


def strips_page(texts: Sequence[str], groups: Sequence[Sequence[Explanation]]) -> str:
    """A page with the explanations of every pooler for each text."""
    how = legend(e for group in groups for e in group)
    return render_page("strips.html", rows=list(zip(texts, groups, strict=True)), how=how)
