"""Hugging Face tokenizers: what they truncate, and whether they know the texts."""

from collections.abc import Sequence
from typing import Any

from poolbench.core.errors import UserError

FEW, SAMPLE = 8, 1000  # texts: fewer are not judged, more are not looked at


def tokenized(
    tokenizer: Any,
    texts: Sequence[list[str]],
    prefix: str,
    max_length: int,
    special_ids: Sequence[int],
) -> tuple[Any, int]:
    """What a tokenizer makes of one list of texts, or of two as pairs; how many it truncated.

    Raises:
        UserError: the tokenizer does not know the texts.
    """
    whole = [[prefix + text for text in given] for given in texts]
    encoded = tokenizer(*whole, truncation=True, max_length=max_length)
    rows = encoded["input_ids"]
    written = [row for text, row in zip(texts[0], rows, strict=True) if text.strip()]
    _check_known(tokenizer, written, special_ids)
    if encoded.encodings is not None:
        return encoded, sum(bool(row.overflowing) for row in encoded.encodings)
    # A tokenizer written in Python does not say what it truncated.
    long = [i for i, row in enumerate(rows) if len(row) >= max_length]
    full = (tokenizer(*(given[i] for given in whole))["input_ids"] for i in long)
    return encoded, sum(len(row) > max_length for row in full)


def _check_known(tokenizer: Any, rows: list[list[int]], special_ids: Sequence[int]) -> None:
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
