"""Model folders give the hidden states of transformers, or are rejected in one line."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BertModel, ByT5Tokenizer

from poolbench.data.tokenized import tokenize_texts
from poolbench.encoders.huggingface import PretrainedEncoder, from_name
from tests.conftest import rejection
from tests.encoders.families import DEPTH, difference
from tests.robustness.model_folders import SENTENCES, edit_json, edit_weights, save_model, tokenizer

TEXTS = ["a film", *SENTENCES]
ONLY_LAST = {"opt"}


def states(encoder: PretrainedEncoder) -> torch.Tensor:
    """Hidden states of all real tokens (tokens, R, D) of one batch."""
    batch = encoder.collate(tokenize_texts(TEXTS, encoder.tokenize), torch.arange(len(TEXTS)))
    with torch.inference_mode():
        return encoder(batch)[batch.attention_mask]


def library_states(folder: Path, encoder: PretrainedEncoder) -> torch.Tensor:
    """The same from transformers, one text at a time."""
    model = AutoModel.from_pretrained(folder).eval()
    model = model.get_encoder() if model.config.is_encoder_decoder else model
    found = []
    for row in encoder.tokenize(TEXTS)[0]:
        ids = torch.tensor([row])
        with torch.inference_mode():
            output = model(ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
        last = output.last_hidden_state
        found.append(torch.stack([*output.hidden_states[: encoder.depth], last], 2)[0])
    return torch.cat(found)


@pytest.mark.parametrize(
    "family", ["bert", "albert", "llama", "longformer", "squeezebert", "t5", "xlm", "xlnet"]
)
def test_every_layer_in_a_batch_is_that_of_transformers(family: str, tmp_path: Path) -> None:
    encoder = from_name(str(save_model(tmp_path, family)), max_length=40).eval()
    expected = library_states(tmp_path, encoder)
    for layer in range(DEPTH + 1):
        one = encoder.with_layers((layer,))
        assert difference(states(one)[:, 0], expected[:, layer]) < 1e-5, layer
    left = from_name(str(tmp_path), max_length=40, padding_side="left").eval()
    both = states(left.with_layers((0, DEPTH)))
    assert difference(both, expected[:, [0, DEPTH]]) < 1e-5


def test_a_projected_last_layer_is_the_only_one(tmp_path: Path) -> None:
    encoder = from_name(str(save_model(tmp_path, "opt")), max_length=40).eval()
    assert encoder.hidden_dim == 16
    model = AutoModel.from_pretrained(tmp_path).eval()
    ids = torch.tensor([encoder.tokenize(TEXTS)[0][1]])
    with torch.inference_mode():
        expected = model(ids).last_hidden_state[0]
    assert difference(states(encoder)[4 : 4 + len(expected), 0], expected) < 1e-5
    assert "only layers=last" in rejection(lambda: encoder.with_layers((1,)))


@pytest.mark.parametrize(
    ("family", "side", "key_words"),
    [
        ("fnet", "right", "padding on the right changes .*: use another encoder"),
        ("bart", "left", "padding on the left changes .*: set encoder.padding_side=right"),
        ("nystromformer", "right", "fails on a short text"),
        ("mpt", "right", "fails on a text of 40 tokens, set a lower encoder.max_length"),
    ],
)
def test_models_that_do_not_work_in_batches_are_rejected(
    family: str, side: str, key_words: str, tmp_path: Path
) -> None:
    folder = str(save_model(tmp_path, family))
    message = rejection(lambda: from_name(folder, max_length=40, padding_side=side))
    assert re.search(key_words, message), message
    assert folder in message


def test_tokenizers_written_in_python_count_what_they_truncate(tmp_path: Path) -> None:
    save_model(tmp_path, "t5")
    for path in tmp_path.glob("token*"):
        path.unlink()
    ByT5Tokenizer(extra_ids=0).save_pretrained(tmp_path)
    encoder = from_name(str(tmp_path), max_length=10)
    rows, cut = encoder.tokenize(["nine char", "ten chars!", "far more characters"])
    assert [len(row) for row in rows] == [10, 10, 10]
    assert cut == 2


def test_a_tokenizer_of_another_language_is_rejected(tmp_path: Path) -> None:
    encoder = from_name(str(save_model(tmp_path)), max_length=40)
    assert "knows 0 of 160 tokens" in rejection(lambda: encoder.tokenize(["\u05d0 " * 20] * 8))
    assert encoder.tokenize(["\u05d0"])[1] == 0  # a single text is no sample


def test_the_digest_covers_weights_configuration_and_tokenizer(tmp_path: Path) -> None:
    original = save_model(tmp_path / "original")
    digests = {from_name(str(original), max_length=40).digest}

    def changed(name: str, change: Callable[[Path], object]) -> None:
        folder = Path(shutil.copytree(original, tmp_path / name))
        change(folder)
        digests.add(from_name(str(folder), max_length=40).digest)

    changed("same", lambda folder: (folder / "README.md").write_text("no part of the model"))
    sharded = BertModel.from_pretrained(original)
    changed("sharded", lambda folder: sharded.save_pretrained(folder, max_shard_size="30KB"))
    assert len(list((tmp_path / "sharded").glob("model-*.safetensors"))) > 2
    assert len(digests) == 1
    changed("weights", lambda f: edit_weights(f, lambda w: w["embeddings.LayerNorm.bias"].add_(1)))
    changed("config", lambda f: edit_json(f / "config.json", layer_norm_eps=0.1))
    changed("tokenizer", lambda f: tokenizer(sentences=SENTENCES[:2]).save_pretrained(f))
    assert len(digests) == 4


def test_adapters_are_merged_and_have_digests_of_their_own(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    base = save_model(tmp_path / "base")
    digests = {from_name(str(base), max_length=40).digest}
    for rank in (2, 4):
        torch.manual_seed(rank)
        config = peft.LoraConfig(r=rank, target_modules=["query"], init_lora_weights=False)
        adapted = peft.get_peft_model(BertModel.from_pretrained(base), config).eval()
        folder = tmp_path / str(rank)
        adapted.save_pretrained(folder)
        encoder = from_name(str(folder), max_length=40)
        digests.add(encoder.digest)
        batch = encoder.collate(tokenize_texts(SENTENCES[:1], encoder.tokenize), torch.tensor([0]))
        with torch.inference_mode():
            expected = adapted(batch.input_ids).last_hidden_state
        assert difference(encoder(batch)[:, :, 0], expected) < 1e-5
    assert len(digests) == 3
    _edit_weights_of_adapter(tmp_path / "2")
    assert "missing adapter keys" in rejection(lambda: from_name(str(tmp_path / "2")))
    shutil.copy(base / "config.json", tmp_path / "4")
    assert "remove one of them" in rejection(lambda: from_name(str(tmp_path / "4")))


def _edit_weights_of_adapter(folder: Path) -> None:
    weights = load_file(folder / "adapter_model.safetensors")
    weights.pop(next(iter(weights)))
    save_file(weights, folder / "adapter_model.safetensors")


def test_an_adapter_without_peft_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "nobody/nothing"}')
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install peft" in rejection(lambda: from_name(str(tmp_path)))
