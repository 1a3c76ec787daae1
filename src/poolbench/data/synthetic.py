"""Datasets whose answers are known: what a pooler can tell on them is proven, not measured.

They are for ``encoder=embedding``, where the state e(w) of a token follows from its word w alone:
a pooler sees words in their order and nothing that an encoder has added. Generated from a seed.

Examples 2i and 2i + 1 of a split are *twins*: one text of each class, alike but for what the
label is about. Two facts carry the proofs:

* **Chance.** A pooler that gives both twins one vector is right about exactly one of them,
  whatever the head and however it is trained: accuracy exactly 1/2. (In floating point a sum in
  another order may tip a tie between the classes; nothing else moves.)
* **Separates.** Where some (w, b) gives w . pooled > b for every text of one class and < b for
  every text of the other, a linear head can be right about all. States of different words are
  linearly independent, so there is a w with any wanted products w . e(word); it is called a
  *reading* of them below.

*Bags* are the poolers that are permutation invariant. Counts over a split are exact because sizes
are rounded down to whole blocks of ``BLOCK`` examples, in which every count occurs equally often.
"""

from collections.abc import Callable
from typing import NotRequired, TypedDict, Unpack

import datasets
import numpy as np

from poolbench.core.errors import BadInput
from poolbench.core.seeding import stream

BLOCK = 32
FILLERS = ("ash", "birch", "cedar", "elm", "fir", "larch", "oak", "pine")
VOCABULARY = ("red", "blue", "signal", *FILLERS)

Draw = np.random.Generator
Twins = Callable[[Draw, int], tuple[list[str], list[str]]]
"""(randomness, number of the pair) -> the words of a text of class 0 and of its twin of class 1."""


class Knobs(TypedDict):
    """What every source here takes; sizes are in examples.

    Raises:
        BadInput: a size below ``BLOCK``.
    """

    train_size: int
    validation_size: int
    test_size: int
    data_seed: int
    max_examples: NotRequired[int | None]


def presence(**knobs: Unpack[Knobs]) -> datasets.DatasetDict:
    """Is there one strong token among any number of half-strength look-alikes?

    16 tokens: 0 to 15 look-alikes ``0.5*signal``, each number equally often, the rest
    ``0*signal``, whose state is zero. In the text of class ``present`` one of the rest is
    ``signal``. With u = e(signal), every state is v u with v in {0, 1/2, 1}.

    * **max separates**: in a dimension with u_d > 0 it is u_d max v, at least u_d with a signal
      and at most u_d / 2 without.
    * **mean is right about exactly 9/16 = .5625 at best**: it is u/16 times j/2 + 1 with and j/2
      without a signal, j = 0..15 look-alikes. As half units the classes lie evenly on 2..17 and
      0..15; they share the 14 values 2..15, where one of two is right. So the best of all heads
      gets (14 / 2 + 2) / 16, and any threshold between 2 and 15 gets just that. ``sum`` and
      ``mean_sqrt`` know the same, all texts being equally long.
    * **conv separates**: a filter that reads one token, w . u = 1, gives what max gives.
    * **cls, last are at 1/2 + 1/32 = .531 at best**, in expectation: twins have the same first
      token but where the signal is the first, one pair in 16.
    """

    def twins(draw: Draw, i: int) -> tuple[list[str], list[str]]:
        look_alikes = i % 16
        absent = ["0.5*signal"] * look_alikes + ["0*signal"] * (16 - look_alikes)
        present = [*absent[:-1], "signal"]
        order = draw.permutation(16)
        return [absent[k] for k in order], [present[k] for k in order]

    return _generated(twins, ("absent", "present"), **knobs)


def majority(**knobs: Unpack[Knobs]) -> datasets.DatasetDict:
    """Which of two words, both always there, is the more frequent one?

    17 tokens, ``red`` and ``blue`` in any order; the more frequent one 9 to 16 times, each number
    equally often. The twin has the two words exchanged.

    * **mean separates**: it is p e(red) + (1 - p) e(blue), and the reading red = 1, blue = -1
      gives 2p - 1, at least 1/17 in size, with the sign of the label. So does ``sum``.
    * **max, min are at exactly 1/2**: both words are always there, so the maximum is one and the
      same vector for every text.
    * **cls, last are at 12.5/17 = .735**, in expectation: the share of the majority word is the
      chance that the first token is it, and to go by the first token is the best they can do.
    """

    def twins(draw: Draw, i: int) -> tuple[list[str], list[str]]:
        more = 9 + i % 8
        red = draw.permutation(17) < more
        return _colours(red), _colours(~red)

    return _generated(twins, ("red", "blue"), **knobs)


def order(**knobs: Unpack[Knobs]) -> datasets.DatasetDict:
    """Is it "red blue" or "blue red"?

    12 tokens: ten fillers and, side by side and neither first nor last, ``red`` and ``blue``. The
    twin has the two exchanged: the same bag in another order.

    * **Bags are at exactly 1/2**: twins are permutations of each other.
    * **cls, last are at exactly 1/2**: twins have the same fillers at both ends.
    * **conv separates**: a filter of width 2 that reads red = 1 in its first and blue = 1 in its
      second place, all else 0, with bias -1, gives 1 on "red blue" and at most 0 on any other
      window, so after ReLU and maximum 1 for one class and 0 for the other.
    * Other order-sensitive poolers (recurrent, weighted by position) can tell as well, some of
      them by margins that shrink with the length: nothing is claimed for them.
    """

    def twins(draw: Draw, i: int) -> tuple[list[str], list[str]]:
        words = _fillers(draw, 10)
        place = int(draw.integers(1, 10))
        before, after = words[:place], words[place:]
        return [*before, "red", "blue", *after], [*before, "blue", "red", *after]

    return _generated(twins, ("red blue", "blue red"), **knobs)


def first(**knobs: Unpack[Knobs]) -> datasets.DatasetDict:
    """Which of two words comes first?

    12 tokens: ``red`` or ``blue`` at the beginning, the other one somewhere later but not last,
    ten fillers. The twin has the two exchanged: the same bag.

    * **cls separates**: it is e(red) or e(blue).
    * **Bags are at exactly 1/2**: twins are permutations of each other.
    * **last is at exactly 1/2**: twins end with the same filler.
    * **conv separates**: a filter of width 2 that reads blue = 1 in its second place alone gives 1
      where blue has a token before it, and 0 where blue is the first token of the text.
    """

    def twins(draw: Draw, i: int) -> tuple[list[str], list[str]]:
        words = _fillers(draw, 10)
        place = int(draw.integers(0, 10))
        before, after = words[:place], words[place:]
        return ["red", *before, "blue", *after], ["blue", *before, "red", *after]

    return _generated(twins, ("red", "blue"), **knobs)


def length(**knobs: Unpack[Knobs]) -> datasets.DatasetDict:
    """Is the text short or long? Its words do not say, the padding beside it does.

    A short text is 4 independent fillers, its long twin the same 4 words said four times over, 16
    tokens. (Independent words alone would not do: a mean of 4 scatters more widely than a mean of
    16, and even a linear head can tell lengths by that.)

    * **mean, max, min and all that depend on the shares of the words alone are at exactly 1/2**:
      twins have the same words in the same shares. ``cls`` and ``last`` too: the same ends.
    * **An unmasked mean separates, wherever each batch holds a long text**: padded to 16 tokens,
      the reading 1 for every word and 0 for the padding gives the share of real tokens, 1/4 or 1.
      Where a batch holds short texts only there is no padding, and twins get one vector again:
      what such a model says of a text depends on the texts beside it. Evaluation here goes by
      length in batches of 128, so a split of 128 examples leaks, and one of 512 (two batches of
      long texts, two of short ones) is back at 1/2. Hence the sizes in
      ``conf/dataset/length.yaml``.
    * **sum separates**, by the same reading: 4 or 16. That is its right, it is no mean.
    """

    def twins(draw: Draw, i: int) -> tuple[list[str], list[str]]:
        words = _fillers(draw, 4)
        return words, words * 4

    return _generated(twins, ("short", "long"), **knobs)


def _generated(
    twins: Twins, class_names: tuple[str, str], **knobs: Unpack[Knobs]
) -> datasets.DatasetDict:
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=list(class_names)),
        }
    )
    most = knobs.get("max_examples")
    splits = datasets.DatasetDict()
    for split, size in (
        ("train", knobs["train_size"]),
        ("validation", knobs["validation_size"]),
        ("test", knobs["test_size"]),
    ):
        size = size if most is None else min(size, most)
        if size < BLOCK:
            raise BadInput(
                f"the {split} split would have {size} examples: this dataset comes in blocks of "
                f"{BLOCK}, so that every case occurs equally often; raise dataset.{split}_size or "
                "dataset.max_examples"
            )
        draw = np.random.default_rng(stream(knobs["data_seed"], f"{twins.__qualname__} {split}"))
        pairs = [twins(draw, i) for i in range(size // BLOCK * BLOCK // 2)]
        splits[split] = datasets.Dataset.from_dict(
            {
                "text": [" ".join(words) for pair in pairs for words in pair],
                "label": [0, 1] * len(pairs),
            },
            features=features,
        )
    return splits


def _colours(red: np.ndarray) -> list[str]:
    return ["red" if is_red else "blue" for is_red in red]


def _fillers(draw: Draw, count: int) -> list[str]:
    return [str(word) for word in draw.choice(FILLERS, count)]
