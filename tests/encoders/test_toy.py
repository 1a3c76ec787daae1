"""Encoders without pretrained weights: functions of their seed, with the documented states."""

import pytest
import torch

from poolbench.core.errors import UserError
from poolbench.data.tokenized import tokenize_texts
from poolbench.encoders.toy import EmbeddingEncoder
from tests.conftest import make_scratch


def states(encoder, text: str) -> torch.Tensor:
    """(T, D)"""
    dataset = tokenize_texts([text], encoder.tokenize)
    return encoder(encoder.collate(dataset, torch.tensor([0])))[0, :, 0]


@pytest.mark.parametrize("make", [make_scratch, EmbeddingEncoder])
def test_weights_are_a_function_of_the_seed(make) -> None:
    first, again, other = make(), make(), make(init_seed=1)
    assert first.digest == again.digest != other.digest
    assert torch.equal(states(first, "a film"), states(again, "a film"))
    assert not torch.equal(states(first, "a film"), states(other, "a film"))


@pytest.mark.parametrize("make", [make_scratch, EmbeddingEncoder])
def test_longer_texts_are_truncated_and_counted(make) -> None:
    rows, cut = make(max_length=5).tokenize(["a b c d e f g", "a b"])
    assert [len(row) <= 5 for row in rows] == [True, True]
    assert cut == 1


def test_a_scratch_text_starts_and_ends_with_special_tokens() -> None:
    encoder = make_scratch(max_length=5)
    for row in encoder.tokenize(["a b c d e f g", "a b"])[0]:
        assert {row[0], row[-1]} == set(encoder.special_ids)


def test_embedding_states_depend_on_the_word_and_its_strength_only() -> None:
    found = states(EmbeddingEncoder(), "red blue red 0.5*red 0*red")
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])
    assert torch.equal(found[3], found[0] / 2)
    assert found[4].count_nonzero() == 0


@pytest.mark.parametrize(("model_type", "causal"), [("llama", True), ("bert", False)])
def test_a_token_of_a_decoder_does_not_see_those_after_it(model_type: str, causal: bool) -> None:
    encoder = make_scratch(model_type=model_type)
    found, other = (states(encoder, text)[:4] for text in ("one two red blue", "one two red green"))
    assert torch.allclose(found, other, atol=1e-6) == causal


def test_an_embedding_table_has_no_classification_head() -> None:
    with pytest.raises(UserError, match="EmbeddingEncoder has no classification head"):
        EmbeddingEncoder().native_head()
