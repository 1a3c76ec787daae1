"""The generated datasets match their descriptions, and the proofs hold for the real encoder."""

from collections import Counter

import datasets
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from poolbench.core.errors import UserError
from poolbench.data import synthetic
from poolbench.data.datamodule import EVAL_BATCH
from poolbench.data.tokenize_splits import tokenize_splits
from poolbench.encoders.toy import STRENGTHS, EmbeddingEncoder
from poolbench.poolers import masked
from poolbench.poolers.cls import ClsPooler
from poolbench.poolers.controls import UnmaskedMeanPooler
from poolbench.poolers.conv import ConvPooler
from poolbench.poolers.last import LastPooler
from poolbench.poolers.max import MaxPooler
from poolbench.poolers.mean import MeanPooler
from poolbench.poolers.min import MinPooler
from poolbench.poolers.sum import SumPooler

DATASETS = tuple(synthetic.DATASETS)
SIZES = {"train_size": 64, "validation_size": 32, "test_size": 64}


def generate(name: str, **changed: int) -> datasets.DatasetDict:
    return synthetic.generate(name, **{**SIZES, **changed})


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def encoder() -> EmbeddingEncoder:
    return EmbeddingEncoder()


def states(encoder: EmbeddingEncoder, name: str) -> tuple[Tensor, Tensor]:
    """The test split as one batch: hidden (B, T, D) and mask (B, T)."""
    dataset = tokenize_splits(generate(name), encoder.tokenize)
    batch = encoder.collate(dataset, dataset.splits["test"])
    return encoder(batch)[:, :, 0], batch.pooling_mask


def readout(encoder: EmbeddingEncoder, **wanted: float) -> Tensor:
    """w (D,) with the wanted products w . e(word), and 0 for all other words and the padding."""
    words = list(synthetic.VOCABULARY)
    (ids,), _ = encoder.tokenize([" ".join(words)])
    rows = encoder.table(torch.tensor([*ids, encoder.pad_id]) // len(STRENGTHS))
    assert torch.linalg.matrix_rank(rows) == len(words) + 1
    products = torch.tensor([wanted.get(word, 0.0) for word in words] + [0.0])
    return torch.linalg.pinv(rows) @ products


@pytest.mark.parametrize("name", DATASETS)
def test_twins_are_adjacent_and_texts_depend_on_seed_and_split(name: str) -> None:
    splits, other = generate(name), generate(name, data_seed=1)
    for split, table in splits.items():
        assert len(table) == SIZES[f"{split}_size"]
        assert table["label"] == [0, 1] * (len(table) // 2)
        texts = table["text"]
        assert all(a != b for a, b in zip(texts[::2], texts[1::2], strict=True))
        words = {word.split("*")[-1] for text in texts for word in text.split()}
        assert words <= set(synthetic.VOCABULARY)
    assert splits["test"]["text"] == generate(name)["test"]["text"] != other["test"]["text"]
    assert splits["train"]["text"] != splits["test"]["text"]


@pytest.mark.parametrize("name", ["order", "first"])
def test_twins_have_the_same_words(name: str) -> None:
    texts = [text.split() for text in generate(name)["test"]["text"]]
    for a, b in zip(texts[::2], texts[1::2], strict=True):
        assert Counter(a) == Counter(b)
        assert a[-1] == b[-1]


def test_sizes_are_whole_blocks() -> None:
    splits = generate("presence", train_size=100, max_examples=70)
    assert [len(table) for table in splits.values()] == [64, 32, 64]
    with pytest.raises(UserError, match=r"dataset\.test_size"):
        generate("presence", test_size=31)


def test_no_two_words_share_a_state(encoder: EmbeddingEncoder) -> None:
    words = [prefix + word for word in synthetic.VOCABULARY for prefix in STRENGTHS]
    (ids,), _ = encoder.tokenize([" ".join(words)])
    assert len(set(ids) | {encoder.pad_id}) == len(words) + 1


@pytest.mark.parametrize(
    ("name", "poolers"),
    [
        ("order", [MeanPooler, MaxPooler, ClsPooler, LastPooler]),
        ("first", [MeanPooler, MaxPooler, LastPooler]),
        ("length", [MeanPooler, MaxPooler, MinPooler, ClsPooler, LastPooler]),
    ],
)
def test_these_poolers_map_twins_to_one_vector(
    encoder: EmbeddingEncoder, name: str, poolers: list[type]
) -> None:
    hidden, mask = states(encoder, name)
    for pooler in poolers:
        pooled = pooler(encoder.hidden_dim)(hidden, mask)
        close(pooled[::2], pooled[1::2])


def test_majority_is_one_vector_for_max_and_min_and_separated_by_mean(
    encoder: EmbeddingEncoder,
) -> None:
    hidden, mask = states(encoder, "majority")
    for pooled in (masked.maximum(hidden, mask), masked.minimum(hidden, mask)):
        assert torch.equal(pooled, pooled[:1].expand_as(pooled))
    margin = masked.mean(hidden, mask) @ readout(encoder, red=1, blue=-1)
    assert margin[0::2].min() > 0.99 / 17
    assert margin[1::2].max() < -0.99 / 17


def test_presence_is_separated_by_max_and_overlaps_for_mean(encoder: EmbeddingEncoder) -> None:
    hidden, mask = states(encoder, "presence")
    ((signal,),), _ = encoder.tokenize(["signal"])
    u = encoder.table(torch.tensor(signal // len(STRENGTHS)))
    largest = masked.maximum(hidden, mask)[:, u > 0] / u[u > 0]
    assert largest[0::2].max() == 0.5
    assert largest[1::2].min() == 1.0
    half_units = masked.mean(hidden, mask) / u * 32  # (B, D), the same in every dimension
    close(half_units, half_units[:, :1].expand_as(half_units), 1e-3)
    seen = half_units[:, 0].round().int()
    absent, present = Counter(seen[0::2].tolist()), Counter(seen[1::2].tolist())
    assert absent == dict.fromkeys(range(16), 2)
    assert present == dict.fromkeys(range(2, 18), 2)
    best_accuracy = sum(max(absent[n], present[n]) for n in range(18)) / len(hidden)
    assert best_accuracy == 9 / 16


def test_cls_separates_first(encoder: EmbeddingEncoder) -> None:
    hidden, mask = states(encoder, "first")
    found = ClsPooler(encoder.hidden_dim)(hidden, mask) @ readout(encoder, red=1, blue=-1)
    close(found, torch.tensor([1.0, -1.0]).repeat(len(found) // 2), 1e-4)


@pytest.mark.parametrize(
    ("name", "places", "bias"),
    [("order", [{"red": 1.0}, {"blue": 1.0}], -1.0), ("first", [{}, {"blue": 1.0}], 0.0)],
)
def test_a_filter_of_width_two_separates_order_and_first(
    encoder: EmbeddingEncoder, name: str, places: list[dict[str, float]], bias: float
) -> None:
    hidden, mask = states(encoder, name)
    pooler = ConvPooler(encoder.hidden_dim, channels=1, kernel_sizes=[2])
    (conv,) = pooler.convs
    conv.weight.data[0] = torch.stack([readout(encoder, **place) for place in places], dim=1)
    nn.init.constant_(conv.bias, bias)
    pooled = pooler(hidden, mask).detach().squeeze(1)
    close(pooled, torch.tensor([1.0, 0.0]).repeat(len(pooled) // 2), 1e-4)


def test_length_is_separated_by_padding_and_by_sum(encoder: EmbeddingEncoder) -> None:
    hidden, mask = states(encoder, "length")
    every_word = readout(encoder, **dict.fromkeys(synthetic.FILLERS, 1.0))
    unmasked = UnmaskedMeanPooler(encoder.hidden_dim)
    leak = unmasked(hidden, mask) @ every_word
    close(leak, torch.tensor([0.25, 1.0]).repeat(len(leak) // 2), 1e-4)
    alone = unmasked(hidden[::2, :4], mask[::2, :4]) @ every_word
    close(alone, torch.ones(len(alone)), 1e-4)
    total = SumPooler(encoder.hidden_dim)(hidden, mask) @ every_word
    close(total, torch.tensor([4.0, 16.0]).repeat(len(total) // 2), 1e-4)


def test_length_is_evaluated_in_one_batch() -> None:
    cfg = OmegaConf.load("conf/dataset/length.yaml")
    assert max(cfg.validation_size, cfg.test_size) <= EVAL_BATCH
