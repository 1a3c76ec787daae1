"""Cached features equal computed ones; damaged or incomplete files are never used."""

from pathlib import Path

import pytest
import torch

from poolbench.core.errors import UserError
from poolbench.data.loaders import movie_reviews
from poolbench.data.tokenize_splits import tokenize_splits
from poolbench.data.tokenized import TokenizedDataset
from poolbench.encoders import feature_cache
from poolbench.encoders.feature_cache import cache_file, cache_hidden_states, pooled_vectors
from tests.conftest import make_scratch
from tests.tiny_bert import REVIEWS


@pytest.fixture(scope="module")
def splits():
    return movie_reviews("rotten_tomatoes", **REVIEWS, max_examples=40)


@pytest.fixture
def dataset(splits) -> TokenizedDataset:
    return tokenize_splits(splits, make_scratch().tokenize)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("packed", [False, True])
def test_cached_hidden_states_are_those_of_the_encoder(
    tmp_path: Path, dataset: TokenizedDataset, side: str, packed: bool
) -> None:
    encoder = make_scratch(padding_side=side).with_layers((0, 2))
    if packed:
        encoder.pack()
    cached = cache_hidden_states(encoder, dataset, tmp_path, max_gb=1.0, progress=False)
    assert cached.cached
    assert not encoder.cached
    batch = cached.collate(dataset, torch.tensor([0, 50, 7, 119]))
    mask = batch.attention_mask
    found = cached(batch)
    torch.testing.assert_close(found[mask], encoder(batch)[mask], rtol=1e-3, atol=2e-3)
    assert (found[~mask] == 0).all()
    assert found.dtype == torch.float32
    with pytest.raises(UserError, match="new texts need the encoder"):
        cached.tokenize(["a new text"])


@pytest.mark.parametrize("pooled_tokens", ["all", "content"])
def test_pooled_vectors_are_those_of_any_batch(
    tmp_path: Path, dataset: TokenizedDataset, pooled_tokens: str, monkeypatch
) -> None:
    monkeypatch.setattr(feature_cache, "POOLED", 50)  # several batches
    cached = cache_hidden_states(make_scratch(), dataset, tmp_path, max_gb=1.0, progress=False)

    def pool(states: torch.Tensor, batch) -> torch.Tensor:
        return (states[:, :, 0] * batch.pooling_mask.unsqueeze(2)).sum(1)

    (pooled,) = pooled_vectors([pool], cached, dataset, pooled_tokens)
    assert pooled.shape == (len(dataset.labels), 64)
    for rows in ([5, 90, 17], [3]):
        batch = cached.collate(dataset, torch.tensor(rows), pooled_tokens)
        torch.testing.assert_close(pooled[rows], pool(cached(batch), batch), rtol=1e-5, atol=1e-5)


def test_states_are_computed_once_and_again_if_anything_changes(
    tmp_path: Path, dataset: TokenizedDataset, splits, monkeypatch
) -> None:
    written = []
    write = feature_cache._write
    monkeypatch.setattr(feature_cache, "_write", lambda *a: (written.append(a[0].name), write(*a)))

    def ask(dataset: TokenizedDataset, **changed: object) -> None:
        cache_hidden_states(make_scratch(**changed), dataset, tmp_path, 1.0, False)

    ask(dataset)
    ask(dataset)
    assert written == [cache_file(make_scratch(), dataset, tmp_path).name]
    ask(dataset, init_seed=1)
    ask(tokenize_splits(splits, make_scratch(max_length=8).tokenize))
    assert len(set(written)) == 3


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "checksum"])
def test_damaged_files_are_detected_and_replaced(
    tmp_path: Path, dataset: TokenizedDataset, damage: str
) -> None:
    encoder = make_scratch()
    before = cache_hidden_states(encoder, dataset, tmp_path, 1.0, False).states.clone()
    path = cache_file(encoder, dataset, tmp_path)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 4
    path.write_bytes({"truncate": content[:-7], "empty": b""}.get(damage, content))
    if damage == "checksum":
        path.with_suffix(".json").write_text("{")
    after = cache_hidden_states(encoder, dataset, tmp_path, 1.0, False)
    assert torch.equal(after.states, before)


def test_a_file_larger_than_the_limit_is_not_written(
    tmp_path: Path, dataset: TokenizedDataset
) -> None:
    with pytest.raises(UserError, match=r"cache\.max_gb=1e-06"):
        cache_hidden_states(make_scratch(), dataset, tmp_path, max_gb=1e-6, progress=False)
    assert list(tmp_path.glob("*.states")) == []


def test_an_interrupted_computation_leaves_no_file(
    tmp_path: Path, dataset: TokenizedDataset
) -> None:
    encoder = make_scratch()
    encoder.register_forward_hook(lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        cache_hidden_states(encoder, dataset, tmp_path, 1.0, False)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_states_that_overflow_float16_are_rejected(
    tmp_path: Path, dataset: TokenizedDataset
) -> None:
    encoder = make_scratch()
    encoder.register_forward_hook(lambda module, inputs, hidden: hidden * 1e6)
    with pytest.raises(UserError, match="cache=off"):
        cache_hidden_states(encoder, dataset, tmp_path, 1.0, False)
