"""Hugging Face tokenizers: what they truncate, and whether they know the texts."""

from collections.abc import Sequence
from typing import Any

from poolbench.core.errors import UserError

FEW, SAMPLE = 8, 1000  # texts: fewer are not judged, more are not looked at


def tokenized(tokenizer: Any, texts: Sequence[list[str]], max_length: int) -> tuple[Any, int]:
    """What a tokenizer makes of one list of texts, or of two as pairs; how many it truncated."""
    encoded = tokenizer(*texts, truncation=True, max_length=max_length)
    if encoded.encodings is not None:
        return encoded, sum(bool(row.overflowing) for row in encoded.encodings)
    # A tokenizer written in Python does not say what it truncated.
    rows = zip(zip(*texts, strict=True), encoded["input_ids"], strict=True)
    full = [own for own, row in rows if len(row) >= max_length]
    return encoded, sum(len(tokenizer(*own)["input_ids"]) > max_length for own in full)


def check_known(tokenizer: Any, rows: list[list[int]], special_ids: Sequence[int]) -> None:
    """Reject a tokenizer that knows less than a tenth of the tokens of a sample.

    Args:
        rows: token ids of texts that are not blank.
    """
    sample = [token for row in rows[:SAMPLE] for token in row if token not in special_ids]
    known = sum(token != tokenizer.unk_token_id for token in sample)
    if len(rows) >= FEW and known < 0.1 * max(len(sample), len(rows[:SAMPLE])):
        raise UserError(
            f"the tokenizer of {tokenizer.name_or_path} knows {known} of {len(sample)} tokens "
            "of the texts: are its files complete, and was it made for this language?"
        )
