"""Pairs of texts with known answers, for the choice of pair features; see ``synthetic``."""

import datasets
import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from poolbench.core.errors import UserError
from poolbench.data.needs import Columns
from poolbench.data.synthetic import Rows, Size, build

LENGTH = 12


def multisets(
    train_size: Size,
    validation_size: Size,
    test_size: Size,
    data_seed: NonNegativeInt = 0,
    max_examples: PositiveInt | None = None,
    columns: Columns = Columns(),
) -> datasets.DatasetDict:
    """Do two texts consist of the same words, each equally often?

    A text has 12 tokens: ``red`` k times and ``blue`` 12 - k times, k = 1..11, in random order.
    Four pairs follow each other, made of two different numbers a and b: (a, a) and (b, b), class
    ``equal``, then (a, b) and (b, a), class ``different``; each text is shuffled anew. Let u and v
    be the pooled vectors of both texts.

    * **(u, v) with a linear head is no better than a constant in cross-entropy, and at most 3/4 in
      accuracy, with any permutation-invariant pooler.** The scores are s(a, b) = f(a) + g(b), so
      s(a, a) + s(b, b) = s(a, b) + s(b, a): the margins of the four pairs (the score, with the sign
      of the class) add up to zero. By convexity their mean cross-entropy is at least log 2, which
      weights of zero reach; and at most three of the margins are positive. f = -g with a small bias
      for class ``equal`` comes near 3/4: ``equal`` is always right, ``different`` half of the time.
    * **mean and sum with |u - v| separate.** u - v = (a - b) / 12 (e(red) - e(blue)) is zero in
      class ``equal``, and at least 1/12 |e(red) - e(blue)| in each dimension in the other.
    * **max and min are at exactly 1/2** with any pair features and any head: all texts have the
      same two words, so that they have one vector.
    * **cls and last reach 1/2 + 11/144 = .576** in expectation, by whether the two tokens that they
      see are equal: with p = k/12, that has probability 1/2 + 2 var(p) in class ``equal`` and 1/2 +
      2 cov(p, p') in the other, var(p) = 10/144 and cov(p, p') = -1/144 (a, b without replacement).
    """
    if columns != Columns(2, "class"):
        raise UserError("multisets has pairs of texts of two classes: set task=pair_classification")

    def rows(draw: np.random.Generator, split: str, size: int) -> Rows:
        found: Rows = {"text": [], "text_b": [], "label": [1, 1, 0, 0] * (size // 4)}
        for _ in range(size // 4):
            a, b = (draw.permutation(LENGTH - 1)[:2] + 1).tolist()
            for first, second in ((a, a), (b, b), (a, b), (b, a)):
                found["text"].append(_text(draw, first))
                found["text_b"].append(_text(draw, second))
        return found

    sizes = {"train": train_size, "validation": validation_size, "test": test_size}
    return build(rows, ("different", "equal"), sizes, max_examples, data_seed, "multisets")


def _text(draw: np.random.Generator, red: int) -> str:
    words = np.array(["red"] * red + ["blue"] * (LENGTH - red))
    return " ".join(words[draw.permutation(LENGTH)].tolist())
