"""Damaged model folders are rejected in one line that names the file and the fix."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from poolbench.encoders.huggingface import from_name
from tests.conftest import rejection
from tests.robustness.model_folders import edit_json, edit_weights, save_model, tokenizer


def lacks_a_tensor(folder: Path) -> None:
    edit_weights(folder, lambda weights: weights.pop("encoder.layer.1.output.dense.weight"))


def is_of_another_width(folder: Path) -> None:
    edit_weights(folder, lambda w: w.update({"embeddings.LayerNorm.weight": torch.ones(16)}))


def has_weights_that_are_not_finite(folder: Path) -> None:
    edit_weights(folder, lambda w: w["embeddings.LayerNorm.bias"].fill_(torch.nan))


def is_of_another_family(folder: Path) -> None:
    edit_json(folder / "config.json", model_type="distilbert")


def has_truncated_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def has_a_pointer_for_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")


def has_a_pointer_for_a_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\n")


def has_no_tokenizer(folder: Path) -> None:
    for path in folder.glob("token*"):
        path.unlink()


def has_an_empty_tokenizer(folder: Path) -> None:
    tokenizer(sentences=[]).save_pretrained(folder)


def has_more_ids_than_embeddings(folder: Path) -> None:
    larger = tokenizer()
    larger.add_tokens([f"added{i}" for i in range(500)])
    larger.save_pretrained(folder)


def is_quantised(folder: Path) -> None:
    edit_json(folder / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})


def has_code_of_its_own(folder: Path) -> None:
    edit_json(folder / "config.json", auto_map={"AutoModel": "modeling.Mine"})


def has_a_tokenizer_with_code(folder: Path) -> None:
    edit_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["mine.Mine", None]})


def has_fewer_positions(folder: Path) -> None:
    def cut(weights: dict[str, torch.Tensor]) -> None:
        name = "embeddings.position_embeddings.weight"
        weights[name] = weights[name][:8].clone()

    edit_weights(folder, cut)
    edit_json(folder / "config.json", max_position_embeddings=8)


def has_no_configuration(folder: Path) -> None:
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "key_words"),
    [
        (lacks_a_tensor, r"encoder\.layer\.1\.output\.dense\.weight is missing"),
        (is_of_another_width, r"embeddings\.LayerNorm\.weight is \(16,\), expected \(32,\)"),
        (has_weights_that_are_not_finite, "not finite numbers"),
        (is_of_another_family, r"is missing.* and \d+ more; copy all files"),
        (has_truncated_weights, "cannot be loaded"),
        (has_a_pointer_for_weights, "model.safetensors is a Git-LFS pointer.*git lfs pull"),
        (has_a_pointer_for_a_tokenizer, "tokenizer.json is a Git-LFS pointer.*git lfs pull"),
        (has_no_tokenizer, "tokenizer"),
        (has_an_empty_tokenizer, "knows no word"),
        (has_more_ids_than_embeddings, r"'added499' the id .* 500 embeddings.*resize_token_emb"),
        (is_quantised, "quantised .quant_method"),
        (has_code_of_its_own, "auto_map in config.json"),
        (has_a_tokenizer_with_code, "auto_map in tokenizer_config.json"),
        (has_fewer_positions, "8 positions"),
        (has_no_configuration, "config.json"),
    ],
)
def test_damaged_folders_are_rejected_with_the_file_and_the_fix(
    damage: Callable[[Path], None], key_words: str, tmp_path: Path
) -> None:
    folder = save_model(tmp_path)
    from_name(str(folder), max_length=40)
    damage(folder)
    message = rejection(lambda: from_name(str(folder), max_length=40))
    assert re.search(key_words, message), message
    assert str(folder) in message or "max_length" in message
