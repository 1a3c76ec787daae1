"""A small random model of every encoder family, with real text in its own kind of batch."""

import torch
from transformers import AutoConfig, AutoModel, PreTrainedModel

from poolbench.encoders.huggingface import PretrainedEncoder
from poolbench.encoders.scratch import HashingTokenizer

VOCABULARY, WIDTH, DEPTH = 500, 32, 3
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
FAMILIES = {
    "bert": {},
    "roberta": {"pad_token_id": 1},
    "distilbert": {},
    "electra": {"embedding_size": WIDTH},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "mpnet": {"pad_token_id": 1},
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 8},
    "t5": {"d_kv": 8, "d_ff": 64, "decoder_start_token_id": 0},
    "llama": {"num_key_value_heads": 2},
}
LEFT_ONLY = {"llama"}


def config(family: str, **changed: object):
    return AutoConfig.for_model(family, **{**SIZES, **FAMILIES[family], **changed})


def model(family: str, **changed: object) -> PreTrainedModel:
    torch.manual_seed(0)
    made = AutoModel.from_config(config(family, **changed)).eval()
    return made.get_encoder() if made.config.is_encoder_decoder else made


class Tokenizer(HashingTokenizer):
    """Hashed words, padded with 0 or 1 as the family does; the other one starts a text."""

    def __init__(self, pad: int) -> None:
        super().__init__(VOCABULARY)
        self.pad_token_id = pad
        self.cls_token_id = 1 - pad

    def __call__(self, text: str) -> list[int]:
        return [self.cls_token_id, *super().__call__(text)[1:]]


class FamilyEncoder(PretrainedEncoder):
    def tokenize(self, texts: list[str]) -> tuple[list[list[int]], int]:
        return [self.tokenizer(text)[: self.max_length] for text in texts], 0


def encoder(family: str, made: PreTrainedModel | None = None, **knobs: object) -> FamilyEncoder:
    made = made or model(family)
    given = {"tuning": "frozen", "max_length": 40, "digest": family, "caveat": None}
    side = "left" if family in LEFT_ONLY else "right"
    return FamilyEncoder(
        made,
        Tokenizer(made.config.pad_token_id),
        **{**given, "padding_side": side, **knobs},
    ).eval()
