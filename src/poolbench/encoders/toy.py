"""A context-free encoder: the state of a token follows from its word and from nothing else."""

import hashlib
import zlib

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poolbench.core.seeding import generator
from poolbench.data.collate import Batch
from poolbench.encoders.base import Encoder

PAD = 0
STRENGTHS = {"": 1.0, "0.5*": 0.5, "0*": 0.0}


class EmbeddingEncoder(Encoder):
    """Words between blanks, each with its row of a random table: no attention, no positions.

    There are no special tokens either: ``hidden`` holds the words of a text in their order and
    nothing else, so what a pooler can know can be proven (``data/synthetic.py``).

    * Rows are standard normal, so up to D different words have linearly independent states.
    * ``0.5*word`` has half the state of ``word``, ``0*word`` the state zero.
    * The padding has a row of its own, like the padding states of a real encoder.
    * Words are hashed to rows (Weinberger et al., 2009), so any text will do; of many different
      words a few share a row.

    Args:
        hidden_dim: D.
        vocab_size: rows of the table, the one of the padding included.
        init_seed: of the table.
        tuning: "full" trains the table.
        max_length: where longer texts are cut, in words.
        padding_side: "left" or "right".
        caveat: what a reader of its results must know.

    Example:
        >>> encoder = EmbeddingEncoder(hidden_dim=4, vocab_size=100, init_seed=0)
        >>> encoder.tokenize(["red 0.5*red red blue"])
        ([[66, 67, 66, 282]], 0)
    """

    strengths: Tensor

    def __init__(
        self,
        hidden_dim: int,
        vocab_size: int,
        init_seed: int,
        tuning: str = "frozen",
        max_length: int = 128,
        padding_side: str = "right",
        caveat: str | None = None,
    ) -> None:
        rows = torch.randn(vocab_size, hidden_dim, generator=generator(init_seed, "encoder"))
        super().__init__(
            hidden_dim=hidden_dim,
            depth=0,
            positions=1_000_000,  # there are none, so there is no end to them
            max_length=max_length,
            tuning=tuning,
            padding_side=padding_side,
            pad_id=PAD,
            digest=hashlib.sha256(rows.numpy().tobytes()).hexdigest(),
            caveat=caveat,
        )
        self.table = nn.Embedding.from_pretrained(rows, freeze=tuning != "full")
        strengths = torch.tensor(list(STRENGTHS.values()))
        self.register_buffer("strengths", strengths, persistent=False)

    def tokenize(self, texts: list[str]) -> tuple[list[list[int]], int]:
        rows = [[self._id(word) for word in text.split()] for text in texts]
        return [row[: self.max_length] for row in rows], sum(len(r) > self.max_length for r in rows)

    def forward(self, batch: Batch) -> Float[Tensor, "B T 1 D"]:
        strength = self.strengths[batch.input_ids % len(STRENGTHS)]  # (B, T)
        hidden: Tensor = self.table(batch.input_ids // len(STRENGTHS)) * strength.unsqueeze(-1)
        return hidden.unsqueeze(2)

    def _id(self, word: str) -> int:
        """Row and strength in one number."""
        strength, plain = "", word
        for prefix in filter(word.startswith, list(STRENGTHS)[1:]):
            strength, plain = prefix, word.removeprefix(prefix)
        row = 1 + zlib.crc32(plain.encode()) % (self.table.num_embeddings - 1)
        return row * len(STRENGTHS) + list(STRENGTHS).index(strength)
