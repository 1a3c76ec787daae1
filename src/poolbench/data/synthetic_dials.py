"""Generated datasets with a setting that changes what a pooler can reach; see ``synthetic``."""

import math
from typing import Annotated, Literal

import datasets
import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from poolbench.core.errors import UserError
from poolbench.data.needs import Columns
from poolbench.data.synthetic import FILLERS, Rows, Size, build

Share = Annotated[float, Field(ge=0.2, le=0.9)]
Factor = Annotated[int, Field(ge=3, le=128)]
TOKENS = 40
RELIABILITY = 0.7  # probability that an informative token names the class
SHORT = 8
# More words than most small encoders have dimensions: no readout of their mean ignores them all.
NOUNS = """
    anchor apple arrow autumn bakery barrel basket beach blanket bottle bridge bronze bucket butter
    button cabin candle canvas carpet castle cellar cherry circle coffee copper corner cotton desert
    dinner doctor engine falcon family farmer feather finger flower forest garden garlic ginger
    glove guitar hammer harbor honey island jacket kettle ladder lantern leather lemon letter marble
    market meadow mirror morning mountain needle notebook ocean orange orchard paper pencil pepper
    pillow planet pocket potato rabbit railway river saddle salmon shadow silver sister spring
    stable station street summer sunset table temple ticket timber tower tunnel valley velvet
    village violin wagon water whistle window winter wood
"""


def distractors(
    share: Share,
    train_size: Size,
    validation_size: Size,
    test_size: Size,
    data_seed: NonNegativeInt = 0,
    max_examples: PositiveInt | None = None,
    columns: Columns = Columns(),
) -> datasets.DatasetDict:
    """Which of two words prevails, among a ``share`` of tokens that carry no information?

    40 tokens in random order. m = 40 (1 - share), rounded, are informative: each is ``red`` or
    ``blue``, and names the class with probability p = .7. The others are random fillers. Examples
    2i and 2i + 1 are twins, with ``red`` and ``blue`` exchanged. All accuracies are expectations.

    * **mean and sum reach the Bayes accuracy**, that of the majority of m votes
      (:func:`bayes_accuracy`: .990 for a share of .2, .784 for .9): the readout red = 1, blue = -1
      and 0 for fillers is the difference of both counts, which is all that the text says.
    * **max and min reach at most 1/2 + (p^m - (1 - p)^m) / 2** (.500 and .616): they depend on the
      set of words, which says something only if one of both words is missing.
    * **cls and last reach 1/2 + (1 - share) (p - 1/2)** (.660 and .520): they see one token, which
      is informative with probability m / 40.
    """
    _check("distractors", columns)
    informative = informative_tokens(share)

    def rows(draw: np.random.Generator, split: str, size: int) -> Rows:
        texts = []
        for _ in range(size // 2):
            right = draw.random(informative) < RELIABILITY
            order = draw.permutation(TOKENS)
            others = draw.choice(FILLERS, TOKENS - informative).tolist()
            for word, other in (("red", "blue"), ("blue", "red")):
                words = [*np.where(right, word, other).tolist(), *others]
                texts.append(" ".join(words[place] for place in order))
        return {"text": texts, "label": [0, 1] * (size // 2)}

    sizes = {"train": train_size, "validation": validation_size, "test": test_size}
    stream = f"distractors {informative}"
    return build(rows, ("red", "blue"), sizes, max_examples, data_seed, stream)


def informative_tokens(share: float) -> int:
    """Number of tokens of a text that are no distractors."""
    return round(TOKENS * (1 - share))


def bayes_accuracy(share: float) -> float:
    """Accuracy of the majority of the informative tokens, which no classifier can exceed.

    Example:
        >>> [round(bayes_accuracy(share), 3) for share in (0.2, 0.9)]
        [0.99, 0.784]
    """
    m, p = informative_tokens(share), RELIABILITY
    votes = [math.comb(m, k) * p**k * (1 - p) ** (m - k) for k in range(m + 1)]
    return sum(v * (0.5 if 2 * k == m else 2 * k > m) for k, v in enumerate(votes))


def dilution(
    factor: Factor,
    train_size: Size,
    validation_size: Size,
    test_size: Size,
    fillers: Literal["silent", "nouns"] = "silent",
    data_seed: NonNegativeInt = 0,
    max_examples: PositiveInt | None = None,
    columns: Columns = Columns(),
) -> datasets.DatasetDict:
    """Is there a ``signal``? Training texts are short, those of the test split are longer.

    8 words in train and validation, 8 ``factor`` in test, one of which is ``signal``, at a random
    place, in class ``present``. The others are ``silent``, with the state zero, or random
    ``nouns``: for encoders with context and for pretrained ones, where nothing is proven. With
    silent ones, let u = e(signal).

    * **max separates at any length**: in a dimension with u_d > 0 it is u_d with a signal, else 0.
      So does ``sum``: it is u with a signal, else 0.
    * **mean is diluted by the factor**: it is u/8 or 0 in train, and u / (8 factor) or 0 in test. A
      head that separates the training texts with equal margins has its threshold at half of u/8.
      With a factor of more than 2, all test texts are below it: accuracy exactly 1/2, after
      training and validation accuracies of 1. ``mean_sqrt`` is diluted by the root of the factor.
    * **cls and last reach 1/2 + 1/16 = .563** in training and less in test: the signal is at their
      place in 1 of 8, and of 8 ``factor``, texts.
    """
    _check("dilution", columns)
    others = NOUNS.split() if fillers == "nouns" else [f"0*{word}" for word in FILLERS]

    def rows(draw: np.random.Generator, split: str, size: int) -> Rows:
        length = SHORT * factor if split == "test" else SHORT
        texts = []
        for _ in range(size // 2):
            words = draw.choice(others, length).tolist()
            texts.append(" ".join(words))
            words[draw.integers(length)] = "signal"
            texts.append(" ".join(words))
        return {"text": texts, "label": [0, 1] * (size // 2)}

    sizes = {"train": train_size, "validation": validation_size, "test": test_size}
    return build(rows, ("absent", "present"), sizes, max_examples, data_seed, f"dilution {factor}")


def _check(name: str, columns: Columns) -> None:
    if columns != Columns():
        raise UserError(f"{name} has single texts of two classes: set task=classification")
