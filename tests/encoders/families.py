"""Small random models of Hugging Face families, and batches of random texts for them."""

import functools

import torch
from transformers import AutoConfig, AutoModel, PreTrainedModel

from poolbench.data.collate import Batch
from poolbench.data.tokenized import TokenizedDataset, tokenize_texts
from poolbench.encoders.base import Encoder
from poolbench.encoders.huggingface import PretrainedEncoder
from poolbench.encoders.toy import HashingTokenizer

VOCABULARY, WIDTH, DEPTH = 500, 32, 3
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
    "cls_token_id": None,
    # Ten times the usual weights: otherwise a token hardly attends to the others.
    "initializer_range": 0.2,
}
# One representative of every kind of architecture.
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
# The other families that support packing.
PACKING_ONLY = {
    "albert": {"embedding_size": WIDTH},
    "camembert": {"pad_token_id": 1},
    "eurobert": {"num_key_value_heads": 2},
    "mistral": {"num_key_value_heads": 2, "sliding_window": 4},
    "nomic_bert": {},
    "qwen2": {"num_key_value_heads": 2},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 8},
    "xlm-roberta": {"pad_token_id": 1},
}
LENGTHS = (1, 7, 40, 0, 13, 24)


class Tokenizer(HashingTokenizer):
    """Hashed words, with padding id 0 or 1 as the family needs it; the other one is [CLS]."""

    def __init__(self, pad: int) -> None:
        super().__init__(VOCABULARY)
        self.pad_token_id = pad
        self.cls_token_id = 1 - pad


class FamilyEncoder(PretrainedEncoder):
    def tokenize(self, texts: list[str]) -> tuple[list[list[int]], int]:
        return [self.tokenizer(text)[: self.max_length] for text in texts], 0


def config(family: str, **changed: object):
    return AutoConfig.for_model(
        family, **{**SIZES, **{**FAMILIES, **PACKING_ONLY}[family], **changed}
    )


def model(family: str) -> PreTrainedModel:
    torch.manual_seed(0)
    made = AutoModel.from_config(config(family)).eval()
    return made.get_encoder() if made.config.is_encoder_decoder else made


def encoder(family: str, made: PreTrainedModel | None = None, **knobs: object) -> FamilyEncoder:
    made = made or model(family)
    given = {"tuning": "frozen", "max_length": 40, "digest": family, "caveat": None}
    given |= {"padding_side": "right", **knobs}
    return FamilyEncoder(made, Tokenizer(made.config.pad_token_id), **given).eval()


def packing(family: str, **knobs: object) -> FamilyEncoder:
    one = encoder(family, **knobs)
    one.pack()
    assert one.packed
    return one


@functools.cache
def texts() -> TokenizedDataset:
    """Random token ids; one text is empty, and together they exceed the models' positions."""
    draw = torch.Generator().manual_seed(0)
    ids = [torch.randint(2, VOCABULARY, (n,), generator=draw).tolist() for n in LENGTHS]
    assert sum(LENGTHS) > SIZES["max_position_embeddings"]
    return tokenize_texts([""] * len(ids), lambda _: (ids, 0))


def batch(of: Encoder, rows: tuple[int, ...] = tuple(range(len(LENGTHS)))) -> Batch:
    return of.collate(texts(), torch.tensor(rows))


def real_states(of: Encoder, rows: tuple[int, ...] = (0, 1, 2, 4, 5)) -> torch.Tensor:
    """Hidden states of all real tokens (tokens, R, D)."""
    one = batch(of, rows)
    with torch.inference_mode():
        return of(one)[one.attention_mask]


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference relative to the largest value."""
    return float(((found - expected).abs().max() / expected.abs().max()).detach())
