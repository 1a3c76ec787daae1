"""What a trained pooler took from a text: the weight of every word.

Where the pooler gives tokens weights, these are shown. Where it does not (a convolution, a
recurrence), it is gradient x input of the predicted logit at the states that come out of the
encoder (Shrikumar et al., 2017), which is about this prediction and not about the pooler alone.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from poolbench.data.collate import Batch
from poolbench.encoders.base import Encoder
from poolbench.inference.load import Trained
from poolbench.report.explained import GRADIENT, Strip
from poolbench.training.model import PooledClassifier

UNSEEN = "\N{OPEN BOX}"  # a token that stands for no character


def explain(trained: Trained, texts: Sequence[str]) -> list[Strip]:
    """What the pooler takes from each text, in their order."""
    pooler = trained.model.pooler
    strips: list[Strip] = []
    for batch in trained.batches(texts):
        with torch.no_grad():
            states = trained.model.encoder(batch)
        if pooler.weighs is None:
            logits, weights = _by_gradient(trained.model, states, batch)
        else:
            logits, weights = _by_shares(trained.model, states, batch)
        for row, mask in enumerate(batch.attention_mask):
            of_tokens = weights[row][mask].tolist()
            ids = batch.input_ids[row][mask].tolist()
            words = _words(trained.model.encoder, texts[len(strips)], ids)
            of_words = [sum(of_tokens[piece] for piece in pieces) for _, _, pieces in words]
            whole = sum(map(abs, of_words)) or 1.0  # pieces of opposite signs have met
            probabilities = logits[row].softmax(dim=0)
            best = int(probabilities.argmax())
            strips.append(
                Strip(
                    pooler=trained.record["cell"]["pooler"],
                    how=pooler.weighs or GRADIENT,
                    label=trained.classes[best],
                    probability=round(float(probabilities[best]), 4),
                    words=tuple(word for word, _, _ in words),
                    special=tuple(special for _, special, _ in words),
                    weights=tuple(round(weight / whole, 4) for weight in of_words),
                )
            )
    return strips


@torch.no_grad()
def _by_shares(
    model: PooledClassifier, states: Float[Tensor, "B T R D"], batch: Batch
) -> tuple[Float[Tensor, "B C"], Float[Tensor, "B T"]]:
    given: list[Any] = []

    def keep(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given.extend((args, kwargs))

    hook = model.pooler.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        logits = model.head(model.pool(states, batch))
    finally:
        hook.remove()
    args, kwargs = given
    return logits, model.pooler.shares(*args, **kwargs)


def _by_gradient(
    model: PooledClassifier, states: Float[Tensor, "B T R D"], batch: Batch
) -> tuple[Float[Tensor, "B C"], Float[Tensor, "B T"]]:
    states = states.detach().requires_grad_()
    logits = model.head(model.pool(states, batch))
    (gradient,) = torch.autograd.grad(logits.amax(dim=1).sum(), states)
    blame = (gradient * states.detach()).sum(dim=(2, 3))
    blame = blame.masked_fill(~batch.attention_mask, 0.0)  # what stands in the padding is undefined
    return logits.detach(), blame / blame.abs().sum(dim=1, keepdim=True).clamp(min=1e-12)


def _words(encoder: Encoder, text: str, ids: list[int]) -> list[tuple[str, bool, list[int]]]:
    """Each word of a tokenised text, whether it is a special token, and the places of its pieces.

    Without a Hugging Face tokenizer nobody knows which characters a token stands for: its id is
    shown.
    """
    tokenizer = getattr(encoder, "tokenizer", None)
    if not isinstance(tokenizer, PreTrainedTokenizerBase) or not tokenizer.is_fast:
        return [(f"#{token}", token in encoder.special_ids, [i]) for i, token in enumerate(ids)]
    whole = getattr(encoder, "prefix", "") + text
    encoded = tokenizer(
        whole, truncation=True, max_length=encoder.max_length, return_offsets_mapping=True
    )
    # A special token belongs to no word: each is one of its own.
    numbers = [-i - 1 if n is None else n for i, n in enumerate(encoded.word_ids(0))]
    found = []
    for number, places in groupby(range(len(numbers)), key=numbers.__getitem__):
        pieces = list(places)
        spans = [encoded["offset_mapping"][piece] for piece in pieces]
        word = whole[spans[0][0] : spans[-1][1]].strip() or UNSEEN
        name = tokenizer.convert_ids_to_tokens(ids[pieces[0]]) if number < 0 else word
        found.append((name, number < 0, pieces))
    return found
