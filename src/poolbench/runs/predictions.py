"""The predictions of a run: what its arrays look like for each task.

**n** test examples, **C** classes, **K** outputs of one example.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from poolbench.runs.protocol import RANKING, TaskName


class Layout(NamedTuple):
    """The arrays of a task.

    Attributes:
        target: dtype kind of the targets: "i" integers, "f" floats.
        limit: targets are from 0 to below this number; None is the number of classes.
        per_class: whether targets are (n, C), else (n,).
        outputs: number K of outputs of one example; None is the number of classes.
        fewest_classes: that the data of a finished run must name.
    """

    target: str
    limit: float | None = None
    per_class: bool = False
    outputs: int | None = None
    fewest_classes: int = 0


_CLASS = Layout("i", fewest_classes=2)
_SCORE = Layout("f", outputs=1)  # targets may be negative
LAYOUTS: dict[TaskName, Layout] = {
    "classification": _CLASS,
    "pair_classification": _CLASS,
    "multilabel": Layout("i", limit=2, per_class=True, fewest_classes=1),
    "regression": _SCORE,
    "pair_regression": _SCORE,
    "similarity": _SCORE,
    "retrieval": Layout("i", limit=np.inf, outputs=len(RANKING)),
}


@dataclass(frozen=True)
class Predictions:
    """The test examples of a run, in the order of the test split.

    Attributes:
        example_ids: row in the test split, or of all folds (n,).
        targets: class numbers (n,); 1 for each label that applies, else 0 (n, C); scores (n,); of
            retrieval the number of relevant documents (n,).
        outputs: logits (n, C); predicted scores (n, 1); of retrieval the values of the query by
            :data:`RANKING` (n, 5).
        groups: cluster of each example (n,), with ``dataset.group_column``; or numbers of the two
            texts of each pair (n, 2), where pairs share texts.
    """

    example_ids: NDArray[np.int64]
    targets: NDArray[Any]
    outputs: NDArray[np.float32]
    groups: NDArray[np.int64] | None = None

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The class with the highest logit (n,)."""
        return np.asarray(self.outputs.argmax(axis=1))

    def check(self, task: TaskName, classes: int, total: int | None = None) -> None:
        """Raise ValueError unless the arrays belong together.

        ``total`` is the number of examples of all folds; None: these are all examples.
        """
        layout, n = LAYOUTS[task], len(self.example_ids)
        outputs = classes if layout.outputs is None else layout.outputs
        expected: dict[str, tuple[NDArray[Any] | None, str, list[tuple[int, ...]]]] = {
            "example_ids": (self.example_ids, "i", [(n,)]),
            "targets": (self.targets, layout.target, [(n, classes) if layout.per_class else (n,)]),
            "outputs": (self.outputs, "f", [(n, outputs)]),
            "groups": (self.groups, "i", [(n,), (n, 2)]),
        }
        for name, (array, kind, shapes) in expected.items():
            if array is not None and (array.shape not in shapes or array.dtype.kind != kind):
                wanted = f"{' or '.join(map(str, shapes))} of kind {kind}"
                raise ValueError(f"{name}: expected {wanted}, got {array.dtype} {array.shape}")
        last = n if total is None else total
        if np.any(np.diff(self.example_ids, prepend=-1, append=last) < 1):
            raise ValueError("the examples are not those of the test split, in order")
        limit = classes if layout.limit is None else layout.limit
        if layout.target == "i" and n and (self.targets.min() < 0 or self.targets.max() >= limit):
            raise ValueError(f"a target is not from 0 to below {limit}")
        # Logits may be infinite: a classifier may be certain.
        scores = [self.targets] if layout.outputs is None else [self.targets, self.outputs]
        if not all(np.isfinite(array).all() for array in scores):
            raise ValueError("a target or output is not finite")
