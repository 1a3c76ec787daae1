"""The generated datasets are what their proofs say, and the proofs hold over the real encoder."""

from collections import Counter

import datasets
import pytest
import torch
from torch import Tensor, nn

from poolbench.core.errors import BadInput
from poolbench.data import synthetic
from poolbench.data.collate import make_batch
from poolbench.data.datamodule import EVAL_BATCH
from poolbench.data.tokenized import tokenise
from poolbench.encoders.toy import STRENGTHS, EmbeddingEncoder
from poolbench.poolers import masked
from poolbench.poolers.base import Pooler
from poolbench.training.build import build
from tests.conftest import asked
from tests.poolers import supplied
from tests.poolers.contract import close
from tests.poolers.test_contract import POOLERS

DATASETS = ("presence", "majority", "order", "first", "length")
SIZES = {"train_size": 64, "validation_size": 32, "test_size": 64}


def generate(name: str, **changed: int) -> datasets.DatasetDict:
    return getattr(synthetic, name)(**{"data_seed": 0} | SIZES | changed)


@pytest.fixture(scope="module")
def encoder() -> EmbeddingEncoder:
    return build(asked("encoder=embedding").cfg.encoder)


def states(
    encoder: EmbeddingEncoder, name: str, padding_side: str = "right"
) -> tuple[Tensor, Tensor]:
    """The test split as one batch: hidden (B, T, D) and mask (B, T)."""
    corpus = tokenise(generate(name), encoder.tokenize)
    batch = make_batch(corpus, torch.tensor(corpus.splits["test"]), padding_side, encoder.pad_id)
    return encoder(batch)[:, :, 0], batch.pooling_mask


def pooler_of(encoder: EmbeddingEncoder, name: str, **knobs: object) -> Pooler:
    return supplied.build(name, encoder.hidden_dim, **knobs)


def reading(encoder: EmbeddingEncoder, **wanted: float) -> Tensor:
    """w (D,) with the wanted products w . e(word), and 0 with every other word and the padding."""
    words = list(synthetic.VOCABULARY)
    (ids,), _ = encoder.tokenize([" ".join(words)])
    rows = encoder.table(torch.tensor([*ids, encoder.pad_id]) // len(STRENGTHS))
    assert torch.linalg.matrix_rank(rows) == len(words) + 1
    products = torch.tensor([wanted.get(word, 0.0) for word in words] + [0.0])
    return torch.linalg.pinv(rows) @ products


@pytest.mark.parametrize("name", DATASETS)
def test_twins_stand_side_by_side_and_every_split_is_balanced(name: str) -> None:
    for split, table in generate(name).items():
        assert len(table) == SIZES[f"{split}_size"]
        assert table["label"] == [0, 1] * (len(table) // 2)
        texts = table["text"]
        assert all(a != b for a, b in zip(texts[::2], texts[1::2], strict=True))


@pytest.mark.parametrize("name", ["order", "first"])
def test_twins_have_the_same_bag(name: str) -> None:
    texts = [text.split() for text in generate(name)["test"]["text"]]
    for a, b in zip(texts[::2], texts[1::2], strict=True):
        assert Counter(a) == Counter(b)
        assert a[-1] == b[-1]


@pytest.mark.parametrize("name", DATASETS)
def test_the_seed_and_the_split_decide_the_texts(name: str) -> None:
    again, other = generate(name), generate(name, data_seed=1)
    assert generate(name)["test"]["text"] == again["test"]["text"] != other["test"]["text"]
    assert again["train"]["text"] != again["test"]["text"]


def test_sizes_are_whole_blocks() -> None:
    splits = generate("presence", train_size=100, max_examples=70)
    assert {split: len(table) for split, table in splits.items()} == {
        "train": 64,
        "validation": 32,
        "test": 64,
    }
    with pytest.raises(BadInput, match=r"dataset\.test_size"):
        generate("presence", test_size=31)


def test_no_two_words_of_the_datasets_share_a_state(encoder: EmbeddingEncoder) -> None:
    words = [prefix + word for word in synthetic.VOCABULARY for prefix in STRENGTHS]
    (ids,), _ = encoder.tokenize([" ".join(words)])
    assert len(set(ids) | {encoder.pad_id}) == len(words) + 1


def test_the_vocabulary_is_all_there_is() -> None:
    for name in DATASETS:
        for text in generate(name)["train"]["text"]:
            assert {word.split("*")[-1] for word in text.split()} <= set(synthetic.VOCABULARY)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["order", "first"])
def test_no_bag_tells_twins_apart_that_differ_in_order(
    encoder: EmbeddingEncoder, name: str, side: str
) -> None:
    hidden, mask = states(encoder, name, side)
    for pooler in (pooler_of(encoder, pooler) for pooler in POOLERS):
        if pooler.permutation_invariant:
            pooled = pooler(hidden, mask)
            close(pooled[::2], pooled[1::2], 1e-4)


@pytest.mark.parametrize(
    ("name", "pooler"),
    [
        ("order", "cls"),
        ("order", "last"),
        ("first", "last"),
        *(("length", pooler) for pooler in ("mean", "max", "min", "mean_max", "cls", "last")),
    ],
)
def test_these_do_not_tell_twins_apart(encoder: EmbeddingEncoder, name: str, pooler: str) -> None:
    pooled = pooler_of(encoder, pooler)(*states(encoder, name))
    close(pooled[::2], pooled[1::2])


@pytest.mark.parametrize("pooler", ["max", "min"])
def test_majority_is_one_vector_to_max_and_min(encoder: EmbeddingEncoder, pooler: str) -> None:
    pooled = pooler_of(encoder, pooler)(*states(encoder, "majority"))
    assert torch.equal(pooled, pooled[:1].expand_as(pooled))


def test_max_separates_presence_and_mean_knows_a_number_that_overlaps(
    encoder: EmbeddingEncoder,
) -> None:
    hidden, mask = states(encoder, "presence")
    ((signal,),), _ = encoder.tokenize(["signal"])
    u = encoder.table(torch.tensor(signal // len(STRENGTHS)))
    largest = masked.maximum(hidden, mask)[:, u > 0] / u[u > 0]
    assert largest[0::2].max() == 0.5
    assert largest[1::2].min() == 1.0
    half_units = masked.mean(hidden, mask) / u * 32  # (B, D), every dimension says the same
    close(half_units, half_units[:, :1].expand_as(half_units), 1e-3)
    seen = half_units[:, 0].round().int()
    absent, present = Counter(seen[0::2].tolist()), Counter(seen[1::2].tolist())
    assert absent == dict.fromkeys(range(16), 2)
    assert present == dict.fromkeys(range(2, 18), 2)
    best_of_all_heads = sum(max(absent[n], present[n]) for n in range(18)) / len(hidden)
    assert best_of_all_heads == 9 / 16


def test_mean_separates_majority(encoder: EmbeddingEncoder) -> None:
    hidden, mask = states(encoder, "majority")
    margin = masked.mean(hidden, mask) @ reading(encoder, red=1, blue=-1)
    assert margin[0::2].min() > 0.99 / 17
    assert margin[1::2].max() < -0.99 / 17


def test_cls_separates_first(encoder: EmbeddingEncoder) -> None:
    hidden, mask = states(encoder, "first")
    read = pooler_of(encoder, "cls")(hidden, mask) @ reading(encoder, red=1, blue=-1)
    close(read, torch.tensor([1.0, -1.0]).repeat(len(read) // 2), 1e-4)


@pytest.mark.parametrize(
    ("name", "places", "bias"),
    [("order", [{"red": 1.0}, {"blue": 1.0}], -1.0), ("first", [{}, {"blue": 1.0}], 0.0)],
)
def test_a_filter_of_width_two_separates_order_and_first(
    encoder: EmbeddingEncoder, name: str, places: list[dict[str, float]], bias: float
) -> None:
    hidden, mask = states(encoder, name)
    pooler = pooler_of(encoder, "conv", channels=1, kernel_sizes=[2])
    (conv,) = pooler.convs
    conv.weight.data[0] = torch.stack([reading(encoder, **place) for place in places], dim=1)
    nn.init.constant_(conv.bias, bias)
    pooled = pooler(hidden, mask).detach().squeeze(1)
    close(pooled, torch.tensor([1.0, 0.0]).repeat(len(pooled) // 2), 1e-4)


def test_the_padding_tells_the_length(encoder: EmbeddingEncoder) -> None:
    hidden, mask = states(encoder, "length")
    every_word = reading(encoder, **dict.fromkeys(synthetic.FILLERS, 1.0))
    leak = pooler_of(encoder, "pitfall/unmasked_mean")(hidden, mask) @ every_word
    close(leak, torch.tensor([0.25, 1.0]).repeat(len(leak) // 2), 1e-4)
    alone = pooler_of(encoder, "pitfall/unmasked_mean")(hidden[::2, :4], mask[::2, :4])
    close(alone @ every_word, torch.ones(len(alone)), 1e-4)


def test_length_is_evaluated_in_one_batch() -> None:
    cfg = asked("dataset=length").cfg.dataset
    assert max(cfg.validation_size, cfg.test_size) <= EVAL_BATCH
