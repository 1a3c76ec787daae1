"""Explain a prediction by the weight of every word of the text.

The weights are the pooler's token weights if it has any. For other poolers (convolutions,
recurrences) they are gradient × input of the predicted logit at the hidden states of the encoder
(Shrikumar et al., 2017), which depend on the head as well as on the pooler.
"""

from collections.abc import Sequence
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from poolbench.data.collate import Batch
from poolbench.encoders.base import Encoder
from poolbench.encoders.windows import Layout
from poolbench.inference.finished import check_explainable
from poolbench.inference.load import TrainedModel
from poolbench.runs.explanations import Explanation
from poolbench.training.model import PooledModel

GRADIENT = "gradient × input of the predicted logit"
EMPTY = "\N{OPEN BOX}"  # shown for a token that stands for no character


def explain(trained: TrainedModel, texts: Sequence[str]) -> list[Explanation]:
    """The explanation of the most probable class of each text, in their order.

    Raises:
        UserError: the run does not predict classes of one text.
    """
    check_explainable(trained.record)
    return [_explain(trained, text) for text in texts]


@torch.no_grad()
def _explain(trained: TrainedModel, text: str) -> Explanation:
    model = trained.model
    (batch,) = trained.batches([text])
    states = model.encoder(batch)
    (probabilities,) = trained.probabilities(model.head(model.pool(states, batch)))
    best = int(probabilities.argmax())
    pieces = token_weights(model, states, batch)[0].tolist()
    words = _words(model.encoder, text, batch.input_ids[0].tolist())
    weights = [sum(pieces[place] for place in places) for _, _, places in words]
    total = sum(map(abs, weights)) or 1.0  # pieces of a word may have opposite signs
    return Explanation(
        pooler=trained.record.run.pooler,
        method=model.pooler.weights_label or GRADIENT,
        label=trained.classes[best],
        probability=round(float(probabilities[best]), 4),
        words=[
            (word, round(weight / total, 4), special)
            for (word, special, _), weight in zip(words, weights, strict=True)
        ],
    )


def token_weights(
    model: PooledModel, states: Float[Tensor, "B T R D"], batch: Batch
) -> Float[Tensor, "B T"]:
    """The pooler's own weights, or gradient × input with absolute values that sum to 1."""
    if model.pooler.weights_label is not None:
        hidden = model.layers(model.select(model.layers.indices, states))
        extra = model.extra_inputs(states, batch)
        return model.pooler.token_weights(hidden, batch.pooling_mask, **extra)
    with torch.enable_grad():
        states = states.detach().requires_grad_()
        logits = model.head(model.pool(states, batch))
        (gradient,) = torch.autograd.grad(logits.amax(dim=1).sum(), states)
    products = (gradient * states.detach()).sum(dim=(2, 3))
    products = products.masked_fill(~batch.attention_mask, 0.0)  # undefined in the padding
    return products / products.abs().sum(dim=1, keepdim=True).clamp(min=1e-12)


def _words(encoder: Encoder, text: str, ids: list[int]) -> list[tuple[str, bool, list[int]]]:
    """For each word of a text: the word, whether it is a special token, positions of its pieces.

    Without a fast Hugging Face tokenizer the characters of a token are unknown: its id is shown.
    """
    tokenizer = getattr(encoder, "tokenizer", None)
    if not isinstance(tokenizer, PreTrainedTokenizerBase) or not tokenizer.is_fast:
        return [(f"#{token}", token in encoder.special_ids, [i]) for i, token in enumerate(ids)]
    whole = getattr(encoder, "prefix", "") + text
    encoded = tokenizer(
        whole, truncation=True, max_length=encoder.max_length, return_offsets_mapping=True
    )
    layout: Layout | None = getattr(encoder, "layout", None)
    found = [*zip(encoded.word_ids(0), encoded["offset_mapping"], strict=True)]
    found = found if layout is None else layout.cut(found)
    # A special token belongs to no word: each is a word of its own.
    numbers = [-i - 1 if n is None else n for i, (n, _) in enumerate(found)]
    words = []
    for number, group in groupby(range(len(numbers)), key=numbers.__getitem__):
        places = list(group)
        first, last = (found[place][1] for place in (places[0], places[-1]))
        word = whole[first[0] : last[1]].strip() or EMPTY
        name = tokenizer.convert_ids_to_tokens(ids[places[0]]) if number < 0 else word
        words.append((name, number < 0, places))
    return words
