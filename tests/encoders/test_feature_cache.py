"""Stored token states: the same states, paid for once, and never damaged ones."""

from pathlib import Path

import pytest
import torch

from poolbench.core.errors import BadInput
from poolbench.data.collate import make_batch
from poolbench.data.loaders import movie_reviews
from poolbench.data.tokenized import Corpus, tokenise
from poolbench.encoders import states
from poolbench.encoders.feature_cache import encode_once
from tests.conftest import make_scratch


@pytest.fixture(scope="module")
def splits():
    return movie_reviews("rotten_tomatoes", 1000, 2530, 0, max_examples=40)


@pytest.fixture
def corpus(splits) -> Corpus:
    return tokenise(splits, make_scratch().tokenize)


@pytest.mark.parametrize("side", ["left", "right"])
def test_stored_states_are_the_encoders_states(tmp_path: Path, corpus: Corpus, side: str) -> None:
    encoder = make_scratch(padding_side=side).eval()
    stored = encode_once(encoder, corpus, tmp_path, max_gb=1.0, progress=False)
    batch = make_batch(corpus, torch.tensor([0, 50, 7, 119]), side)
    mask = batch.attention_mask
    torch.testing.assert_close(stored(batch)[mask], encoder(batch)[mask], rtol=1e-3, atol=2e-3)
    assert (stored(batch)[~mask] == 0).all()
    assert stored(batch).dtype == torch.float32


def test_states_are_computed_once_and_again_when_anything_changes(
    tmp_path: Path, corpus: Corpus, splits, monkeypatch
) -> None:
    written = []
    write = states._write
    monkeypatch.setattr(states, "_write", lambda *a: (written.append(a[0].name), write(*a)))

    def ask(corpus: Corpus, **changed: object) -> None:
        encode_once(make_scratch(**changed), corpus, tmp_path, 1.0, False)

    ask(corpus)
    ask(corpus)
    assert len(written) == 1
    ask(corpus, init_seed=1)
    ask(tokenise(splits, make_scratch(max_length=8).tokenize))
    assert len(set(written)) == 3


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "summary"])
def test_damaged_states_are_noticed_and_computed_again(
    tmp_path: Path, corpus: Corpus, damage: str
) -> None:
    encoder = make_scratch()
    before = encode_once(encoder, corpus, tmp_path, 1.0, False).states.clone()
    (path,) = tmp_path.glob("*.states")
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 4
    path.write_bytes({"truncate": content[:-7], "empty": b""}.get(damage, content))
    if damage == "summary":
        path.with_suffix(".json").write_text("{")
    after = encode_once(encoder, corpus, tmp_path, 1.0, False)
    assert torch.equal(after.states, before)


def test_a_limit_on_disk_space_is_kept(tmp_path: Path, corpus: Corpus) -> None:
    with pytest.raises(BadInput, match=r"cache\.max_gb=1e-06"):
        encode_once(make_scratch(), corpus, tmp_path, max_gb=1e-6, progress=False)
    assert list(tmp_path.glob("*.states")) == []


def test_an_interrupted_encoding_leaves_nothing_that_looks_finished(
    tmp_path: Path, corpus: Corpus
) -> None:
    encoder = make_scratch()
    encoder.register_forward_hook(lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        encode_once(encoder, corpus, tmp_path, 1.0, False)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_states_that_overflow_half_precision_are_refused(tmp_path: Path, corpus: Corpus) -> None:
    encoder = make_scratch()
    encoder.register_forward_hook(lambda module, inputs, hidden: hidden * 1e6)
    with pytest.raises(BadInput, match="cache=off"):
        encode_once(encoder, corpus, tmp_path, 1.0, False)
