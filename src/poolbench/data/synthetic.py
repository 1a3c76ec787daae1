"""Datasets with known answers: what a pooler can and cannot classify on them is proven.

They are for ``encoder=embedding``, where the state e(w) of a token depends on its word w only.
Examples 2i and 2i + 1 of a split are *twins*: one text of each class, which differ only in the
property that defines the label. The proofs use two facts:

* **Chance.** A pooler that maps both twins to one vector classifies exactly one of them correctly,
  with any head: accuracy 1/2, up to ties that the rounding of a sum can break.
* **Separates.** A linear head can reach accuracy 1 if some w . pooled + b has the sign of the
  class. States of different words are linearly independent, so there is a w, a *readout*, with any
  choice of values w . e(word).

*Bag poolers* are the permutation-invariant ones. Sizes are rounded down to blocks of ``BLOCK``
examples, in which every case occurs equally often.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import datasets
import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from poolbench.core.errors import UserError
from poolbench.core.seeding import stream_seed
from poolbench.data.columns import STRING
from poolbench.data.needs import Columns

Size = Annotated[int, Field(gt=0, le=1_000_000)]
BLOCK = 32
FILLERS = ("ash", "birch", "cedar", "elm", "fir", "larch", "oak", "pine")
VOCABULARY = ("red", "blue", "signal", *FILLERS)

Rows = dict[str, list[Any]]  # the values of each column
Twins = tuple[list[str], list[str]]  # the words of a text of class 0 and of its twin


def generate(
    name: Literal["presence", "majority", "order", "first", "length"],
    train_size: Size,
    validation_size: Size,
    test_size: Size,
    data_seed: NonNegativeInt = 0,
    max_examples: PositiveInt | None = None,
    columns: Columns = Columns(),
) -> datasets.DatasetDict:
    """One of the datasets of this module; sizes are numbers of examples, at least ``BLOCK``."""
    if columns != Columns():
        raise UserError(f"{name} has single texts of two classes: set task=classification")
    twins, class_names = DATASETS[name]

    def rows(draw: np.random.Generator, split: str, size: int) -> Rows:
        pairs = [twins(draw, i) for i in range(size // 2)]
        texts = [" ".join(words) for pair in pairs for words in pair]
        return {"text": texts, "label": [0, 1] * len(pairs)}

    sizes = {"train": train_size, "validation": validation_size, "test": test_size}
    # The stream has had this name since the first version: another one would change the texts.
    return build(rows, class_names, sizes, max_examples, data_seed, f"{name}.<locals>.twins")


def build(
    rows: Callable[[np.random.Generator, str, int], Rows],
    class_names: tuple[str, str],
    sizes: Mapping[str, int],
    max_examples: int | None,
    data_seed: int,
    stream: str,
) -> datasets.DatasetDict:
    """Splits of a generated dataset; ``rows(draw, split, size)`` makes the columns of one."""
    label = datasets.ClassLabel(names=list(class_names))
    splits = datasets.DatasetDict()
    for split, size in sizes.items():
        size = size if max_examples is None else min(size, max_examples)
        if size < BLOCK:
            raise UserError(
                f"the {split} split would have {size} examples, but this dataset is generated in "
                f"blocks of {BLOCK}: raise dataset.{split}_size or dataset.max_examples"
            )
        draw = np.random.default_rng(stream_seed(data_seed, f"{stream} {split}"))
        columns = rows(draw, split, size // BLOCK * BLOCK)
        features = {name: label if name == "label" else STRING for name in columns}
        splits[split] = datasets.Dataset.from_dict(columns, datasets.Features(features))
    return splits


def presence(draw: np.random.Generator, i: int) -> Twins:
    """Does the text have one ``signal`` among a varying number of half-strength ones?

    16 tokens: 0 to 15 of them are ``0.5*signal``, each number equally often, the rest ``0*signal``
    with state zero. In class ``present`` one of the rest is ``signal``. With u = e(signal), every
    state is v u with v in {0, 1/2, 1}.

    * **max separates**: in a dimension with u_d > 0 it is u_d with a signal, else at most u_d / 2.
    * **mean reaches at most 9/16 = .5625**: it is u/32 times j + 2 with a signal and j without,
      j = 0..15. The classes are uniform on 2..17 and 0..15 and share the 14 values 2..15, where
      one of two is right: (14 / 2 + 2) / 16. So do ``sum`` and ``mean_sqrt``: equal lengths.
    * **conv separates**: a filter of width 1 with w . u = 1 gives what max gives.
    * **cls and last reach at most 1/2 + 1/32 = .531** in expectation: twins have the same first
      token, except if it is the signal, which happens in one pair of 16.
    """
    half = i % 16
    absent = ["0.5*signal"] * half + ["0*signal"] * (16 - half)
    present = [*absent[:-1], "signal"]
    order = draw.permutation(16)
    return [absent[k] for k in order], [present[k] for k in order]


def majority(draw: np.random.Generator, i: int) -> Twins:
    """Which of two words is more frequent, if both always occur?

    17 tokens, ``red`` and ``blue`` in random order; the more frequent one 9 to 16 times, each
    number equally often. The twin has the two words exchanged.

    * **mean separates**: it is p e(red) + (1 - p) e(blue), and the readout red = 1, blue = -1 gives
      2p - 1, at least 1/17 in size. So does ``sum``.
    * **max and min are at exactly 1/2**: both words always occur, so all texts have one maximum.
    * **cls and last are at 12.5/17 = .735** in expectation: the share of the majority word is the
      probability that it is the first token, and predicting the first token is optimal.
    """
    red = draw.permutation(17) < 9 + i % 8
    words = np.where([red, ~red], "red", "blue")
    return words[0].tolist(), words[1].tolist()


def order(draw: np.random.Generator, i: int) -> Twins:
    """Does the text contain "red blue" or "blue red"?

    12 tokens: ten fillers and, next to each other and neither first nor last, ``red`` and
    ``blue``. The twin has the two exchanged.

    * **Bag poolers are at exactly 1/2**: twins are permutations of each other.
    * **cls and last are at exactly 1/2**: twins have the same first and last token.
    * **conv separates**: a filter of width 2 with red = 1 at its first and blue = 1 at its second
      position and bias -1 gives 1 on "red blue" and at most 0 on any other window.
    """
    before, after = _fillers(draw, 1)
    return [*before, "red", "blue", *after], [*before, "blue", "red", *after]


def first(draw: np.random.Generator, i: int) -> Twins:
    """Which of two words comes first?

    12 tokens: ``red`` or ``blue`` at the start, the other one later but not last, ten fillers.
    The twin has the two exchanged.

    * **cls separates**: it is e(red) or e(blue).
    * **Bag poolers are at exactly 1/2**: twins are permutations of each other.
    * **last is at exactly 1/2**: twins have the same last token.
    * **conv separates**: a filter of width 2 with blue = 1 at its second position gives 1 if a
      token precedes blue, and 0 if blue is the first token.
    """
    before, after = _fillers(draw, 0)
    return ["red", *before, "blue", *after], ["blue", *before, "red", *after]


def length(draw: np.random.Generator, i: int) -> Twins:
    """Is the text short or long? Its words carry no information, the padding of a batch does.

    A short text has 4 random fillers, its long twin repeats them four times, 16 tokens.

    * **mean, max, min and all poolers that depend on word frequencies only are at exactly 1/2**:
      twins have the same frequencies. So are ``cls`` and ``last``: the same first and last token.
    * **An unmasked mean separates if every batch has a long text**: padded to 16 tokens, the
      readout 1 for every word and 0 for the padding gives the share of real tokens, 1/4 or 1.
      Evaluation batches are sorted by length: with 128 examples in a split, as in
      ``conf/dataset/length.yaml``, there is one; with 512, short texts are not padded.
    * **sum separates** with the same readout, 4 or 16.
    """
    words = draw.choice(FILLERS, 4).tolist()
    return words, words * 4


def _fillers(draw: np.random.Generator, first_cut: int) -> Twins:
    """Ten fillers, cut in two at a random place before the last one."""
    words = draw.choice(FILLERS, 10).tolist()
    cut = int(draw.integers(first_cut, 10))
    return words[:cut], words[cut:]


DATASETS: dict[str, tuple[Callable[[np.random.Generator, int], Twins], tuple[str, str]]] = {
    "presence": (presence, ("absent", "present")),
    "majority": (majority, ("red", "blue")),
    "order": (order, ("red blue", "blue red")),
    "first": (first, ("red", "blue")),
    "length": (length, ("short", "long")),
}
