"""Folders with small random models and a tokenizer trained on a few sentences."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from tests.encoders.families import SIZES, VOCABULARY

SENTENCES = [
    "the film was long and the ending was better than the beginning",
    "a short story about a house, a garden and two old friends",
    "nobody expected that such a small company would build so good a car",
]
# Families that keep layers, positions or states in a way of their own, with their configurations.
FAMILIES = {
    "bert": {},
    "albert": {"embedding_size": 16},  # one layer, many times
    "llama": {"num_key_value_heads": 2},  # the last states are normalised once more
    "bart": {  # always counts positions from the left
        **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
        **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 64),
        **dict.fromkeys(("encoder_layers", "decoder_layers"), 3),
    },
    "longformer": {"pad_token_id": 1, "attention_window": [8] * 3},  # pads to its window
    "opt": {"word_embed_proj_dim": 16, "ffn_dim": 64, "pad_token_id": 1},  # last states: D=16
    "squeezebert": {"embedding_size": 32},  # calls its pooling layer in any case
    "t5": {"d_kv": 8, "d_ff": 64, "decoder_start_token_id": 0},  # encoder-decoder
    "xlm": {"n_langs": 1, "use_lang_emb": False, "pad_index": 0},  # several lists of modules
    "xlnet": {"d_inner": 64, "d_head": 8},  # no limit of positions, states are (T, B, D)
    "fnet": {},  # mixes padding into its states
    "mpt": {"max_seq_len": 32, "expansion_ratio": 2},  # its layers have the positions
    "nystromformer": {"num_landmarks": 4, "segment_means_seq_len": 16},  # one length only
}


def save_model(folder: Path, family: str = "bert", **changed: object) -> Path:
    """A model and its tokenizer in one folder."""
    torch.manual_seed(0)
    given = {**SIZES, **FAMILIES[family], **changed}
    if family == "xlnet":  # rejects it
        del given["max_position_embeddings"]
    config = AutoConfig.for_model(family, **given)
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer(int(config.pad_token_id or 0)).save_pretrained(folder)
    return folder


def tokenizer(pad: int = 0, sentences: list[str] = SENTENCES) -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer with [PAD] at 0 or 1, [CLS] at the other, and [SEP] at the end."""
    special = ["[PAD]", "[CLS]"] if pad == 0 else ["[CLS]", "[PAD]"]
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=[*special, "[SEP]", "[UNK]"], show_progress=False
    )
    trained.train_from_iterator(sentences, trainer)
    ends = [(token, trained.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    trained.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    names = {name: f"[{name[:3].upper()}]" for name in ("pad_token", "cls_token", "sep_token")}
    return PreTrainedTokenizerFast(tokenizer_object=trained, unk_token="[UNK]", **names)


def edit_json(path: Path, **changed: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def edit_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> None:
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
