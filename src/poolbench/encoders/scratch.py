"""A small random transformer, with a tokenizer that needs no vocabulary."""

import hashlib
import re
import zlib
from typing import Any

from transformers import AutoConfig, AutoModel

from poolbench.core.seeding import drawing
from poolbench.encoders.huggingface import PretrainedEncoder

PAD, START, END, FIRST_WORD = 0, 1, 2, 3


class ScratchEncoder(PretrainedEncoder):
    """A transformer of any Hugging Face family with random weights: for tests, and as a control.

    Args:
        model_type: the family, such as bert.
        layers: L.
        hidden_dim: D.
        heads: attention heads in a layer.
        vocab_size: ids that words are hashed to.
        max_positions: the longest sequence, in tokens.
        init_seed: of the weights.
        knobs: the rest of :class:`Encoder`'s arguments.
    """

    def __init__(
        self,
        model_type: str,
        layers: int,
        hidden_dim: int,
        heads: int,
        vocab_size: int,
        max_positions: int,
        init_seed: int,
        **knobs: Any,
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
        with drawing(init_seed, "encoder"):
            model = AutoModel.from_config(config)
        recipe = f"{init_seed} {config.to_json_string()}"
        super().__init__(
            model,
            HashingTokenizer(vocab_size),
            digest=hashlib.sha256(recipe.encode()).hexdigest(),
            **knobs,
        )

    def tokenize(self, texts: list[str]) -> tuple[list[list[int]], int]:
        rows = [self.tokenizer(text) for text in texts]
        fits = [len(row) <= self.max_length for row in rows]
        cut = [
            row if fit else [*row[: self.max_length - 1], END]
            for row, fit in zip(rows, fits, strict=True)
        ]
        return cut, len(fits) - sum(fits)


class HashingTokenizer:
    """Words and punctuation marks to ids by hashing them (Weinberger et al., 2009).

    Example:
        >>> HashingTokenizer(vocab_size=8192)("A film, a film!")
        [1, 4490, 5562, 6629, 4490, 5562, 7000, 2]
    """

    pad_token_id, cls_token_id, sep_token_id = PAD, START, END

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size

    def __call__(self, text: str) -> list[int]:
        words = re.findall(r"\w+|[^\w\s]", text.lower())
        return [START, *(self._id(word) for word in words), END]

    def _id(self, word: str) -> int:
        return FIRST_WORD + zlib.crc32(word.encode()) % (self.vocab_size - FIRST_WORD)
