"""Encoders without pretrained weights: a table of word vectors and a random transformer."""

import hashlib
import re
import zlib
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from poolbench.core.seeding import seeded, stream_generator
from poolbench.data.collate import Batch, PaddingSide
from poolbench.encoders.base import Encoder, Tuning
from poolbench.encoders.huggingface import PretrainedEncoder
from poolbench.encoders.windows import WindowOptions

# Larger ones would fill the memory of any machine before anything could be checked.
Width = Annotated[int, Field(gt=0, le=4096)]
Depth = Annotated[int, Field(gt=0, le=128)]
Words = Annotated[int, Field(gt=3, le=1_000_000)]
PAD, START, END, FIRST_WORD = 0, 1, 2, 3
STRENGTHS = {"": 1.0, "0.5*": 0.5, "0*": 0.0}


class EmbeddingEncoder(Encoder):
    """A random table of word vectors, for proofs of what poolers can learn (``data/synthetic.py``).

    * Rows are standard normal, so the states of up to D different words are linearly independent.
    * ``0.5*word`` has half the state of ``word``, ``0*word`` the state zero.
    * Words are separated by white space and hashed to rows (Weinberger et al., 2009).
    * Padding has its own row, one of ``vocab_size``.

    Example:
        >>> EmbeddingEncoder(hidden_dim=4, vocab_size=100).tokenize(["red 0.5*red red blue"])
        ([[66, 67, 66, 282]], 0)
    """

    strengths: Tensor

    def __init__(
        self,
        hidden_dim: Width = 32,
        vocab_size: Words = 8192,
        init_seed: NonNegativeInt = 0,
        tuning: Tuning = "frozen",
        max_length: PositiveInt = 128,
        padding_side: PaddingSide = "right",
    ) -> None:
        rows = torch.randn(vocab_size, hidden_dim, generator=stream_generator(init_seed, "encoder"))
        super().__init__(
            hidden_dim=hidden_dim,
            depth=0,
            positions=1_000_000,
            max_length=max_length,
            tuning=tuning,
            padding_side=padding_side,
            pad_id=PAD,
            digest=hashlib.sha256(rows.numpy().tobytes()).hexdigest(),
            caveat="The encoder knows words without their context: a control, not a model.",
        )
        self.table = nn.Embedding.from_pretrained(rows, freeze=tuning != "full")
        self.register_buffer("strengths", torch.tensor([*STRENGTHS.values()]), persistent=False)

    def tokenize(self, texts: list[str]) -> tuple[list[list[int]], int]:
        rows = [[self._id(word) for word in text.split()] for text in texts]
        return [row[: self.max_length] for row in rows], sum(len(r) > self.max_length for r in rows)

    def forward(self, batch: Batch) -> Float[Tensor, "B T 1 D"]:
        strength = self.strengths[batch.input_ids % len(STRENGTHS)]  # (B, T)
        hidden: Tensor = self.table(batch.input_ids // len(STRENGTHS)) * strength.unsqueeze(-1)
        return hidden.unsqueeze(2)

    def _id(self, word: str) -> int:
        """Row and strength as one number."""
        strength = next(filter(word.startswith, list(STRENGTHS)[1:]), "")
        row = 1 + zlib.crc32(word.removeprefix(strength).encode()) % (self.table.num_embeddings - 1)
        return row * len(STRENGTHS) + list(STRENGTHS).index(strength)


class ScratchEncoder(PretrainedEncoder):
    """A transformer of any Hugging Face family with random weights."""

    tokenize_pairs = Encoder.tokenize_pairs  # unknown to the tokenizer

    def __init__(
        self,
        model_type: str = "bert",
        layers: Depth = 2,
        hidden_dim: Width = 64,
        heads: Width = 4,
        vocab_size: Words = 8192,
        max_positions: Words = 512,
        init_seed: NonNegativeInt = 0,
        tuning: Tuning = "frozen",
        max_length: PositiveInt = 128,
        windows: WindowOptions | None = None,
        padding_side: PaddingSide = "right",
        caveat: str | None = None,
    ) -> None:
        config = AutoConfig.for_model(
            model_type,
            num_hidden_layers=layers,
            hidden_size=hidden_dim,
            num_attention_heads=heads,
            intermediate_size=4 * hidden_dim,
            vocab_size=vocab_size,
            max_position_embeddings=max_positions,
            pad_token_id=PAD,
        )
        with seeded(init_seed, "encoder"):
            model = AutoModel.from_config(config)
        super().__init__(
            model,
            HashingTokenizer(vocab_size),
            digest=hashlib.sha256(f"{init_seed} {config.to_json_string()}".encode()).hexdigest(),
            tuning=tuning,
            max_length=max_length,
            windows=windows,
            padding_side=padding_side,
            caveat=caveat,
        )

    def truncated(self, texts: list[str]) -> tuple[list[list[int]], int]:
        rows, longest = [self.tokenizer(text) for text in texts], self.max_length
        cut = [row if len(row) <= longest else [*row[: longest - 1], END] for row in rows]
        return cut, sum(len(row) > longest for row in rows)


class HashingTokenizer:
    """Maps words and punctuation marks to ids by hashing (Weinberger et al., 2009).

    Example:
        >>> HashingTokenizer(vocab_size=8192)("A film, a film!")
        [1, 4490, 5562, 6629, 4490, 5562, 7000, 2]
    """

    pad_token_id, cls_token_id, sep_token_id = PAD, START, END

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size

    def __call__(self, text: str) -> list[int]:
        words, free = re.findall(r"\w+|[^\w\s]", text.lower()), self.vocab_size - FIRST_WORD
        return [START, *(FIRST_WORD + zlib.crc32(word.encode()) % free for word in words), END]
