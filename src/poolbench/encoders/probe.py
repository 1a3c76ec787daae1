"""Check a model by running it on two texts: what would be silently wrong is rejected.

A text must have the same finite hidden states alone and in a padded batch, at every layer that can
be read; these must be the ``hidden_states`` of transformers, where it returns them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poolbench.core.errors import UserError
from poolbench.core.seeding import seeded
from poolbench.data.collate import Batch, collate
from poolbench.data.hub import why_not_loaded
from poolbench.data.tokenized import tokenize_texts

if TYPE_CHECKING:
    from poolbench.encoders.huggingface import PretrainedEncoder

SHORT, LONG = 7, 19  # tokens of the two texts
TOLERANCE = 2e-5  # of the mean absolute value of a layer's states
WHOLE = 512  # tokens of the longest text that is run through a whole model


def probe(encoder: PretrainedEncoder) -> None:
    """Measure ``hidden_dim``, ``readable`` and ``blocks`` of an encoder, or reject its model."""
    name = encoder.model.name_or_path or encoder.model.config.model_type
    try:
        with _evaluated(encoder):
            _measure(encoder)
    except UserError as error:
        raise UserError(f"encoder {name}: {error}") from error
    except Exception as error:  # a model may raise any type of exception
        why = why_not_loaded(error)
        raise UserError(f"encoder {name} fails on a short text, use another one: {why}") from error


def same_states(whole: PretrainedEncoder, cut: PretrainedEncoder) -> bool:
    """Whether an encoder still runs, and gives the same states, after layers were cut off."""
    with _evaluated(whole), _evaluated(cut):
        return _agrees(cut, _short_states(whole))


@contextmanager
def _evaluated(encoder: PretrainedEncoder) -> Iterator[None]:
    training = encoder.model.training
    encoder.model.eval()
    try:
        with seeded(0, "probe"), torch.inference_mode():
            yield
    finally:
        encoder.model.train(training)


def _measure(encoder: PretrainedEncoder) -> None:
    model, depth = encoder.model, encoder.depth
    ids = _texts(encoder, SHORT).input_ids
    output = model(ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
    last = output.last_hidden_state
    states = [*(getattr(output, "hidden_states", None) or ())[:depth], last]
    if len(states) == depth + 1 and all(state.shape == last.shape for state in states):
        encoder.readable = tuple(range(depth + 1))
    else:
        states, encoder.readable = [last], (depth,)
    encoder.hidden_dim = last.shape[-1]
    expected = torch.stack(states, dim=2)
    encoder.layers = encoder.readable
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth and len(states) > 1:
            encoder.blocks = name
            if _agrees(encoder, expected):
                break
    else:
        encoder.blocks = None
    _check_states(encoder, expected)
    encoder.layers = (depth,)
    _check_length(encoder)


def _check_states(encoder: PretrainedEncoder, expected: Tensor) -> None:
    """Compare the short text, alone and in a padded batch, with what transformers returns."""
    if not expected.isfinite().all():
        raise UserError("its hidden states are not finite numbers, copy its weights again")
    change, side = _padding_change(encoder, expected), encoder.padding_side
    if change < TOLERANCE:
        return
    encoder.padding_side = "left" if side == "right" else "right"
    works = _padding_change(encoder, expected) < TOLERANCE
    fix = f"set encoder.padding_side={encoder.padding_side}" if works else "use another encoder"
    raise UserError(
        f"padding on the {side} changes the hidden states of a text by {change:.1g} of their size: "
        f"{fix}"
    )


def _padding_change(encoder: PretrainedEncoder, expected: Tensor) -> float:
    """Difference of the short text's states, alone and in a batch, from those expected."""
    batch = _texts(encoder, LONG, SHORT)
    padded = encoder(batch)[1:, batch.attention_mask[1]]
    return max(_difference(_short_states(encoder), expected), _difference(padded, expected))


def _short_states(encoder: PretrainedEncoder) -> Float[Tensor, "1 T R D"]:
    states: Tensor = encoder(_texts(encoder, SHORT))
    return states


def _agrees(encoder: PretrainedEncoder, expected: Float[Tensor, "1 T R D"]) -> bool:
    try:
        return _difference(_short_states(encoder), expected) < TOLERANCE
    except Exception:  # of any type, where the wrong modules are read
        return False


def _check_length(encoder: PretrainedEncoder) -> None:
    """Run the longest text or window through one layer: positions may be fewer."""

    def stop(*_: Any) -> None:
        raise InterruptedError

    blocks = encoder.block_list()
    handles = [block.register_forward_hook(stop) for block in blocks[:1]]
    longest = encoder.window or encoder.max_length
    length = longest if blocks else min(longest, WHOLE)
    try:
        with suppress(InterruptedError):
            encoder(_texts(encoder, length))
    except Exception as error:
        raise UserError(
            f"it fails on a text of {length} tokens, set a lower "
            f"encoder.{'windows.size' if encoder.window else 'max_length'} "
            f"({why_not_loaded(error)})"
        ) from error
    finally:
        for handle in handles:
            handle.remove()


def _texts(encoder: PretrainedEncoder, *lengths: int) -> Batch:
    """A batch of texts whose tokens are spread over the vocabulary; the second one starts anew."""
    rows = embedding_rows(encoder.model) or 256
    avoided = {encoder.pad_id, *encoder.special_ids}
    spread = [i * rows // (LONG + 1) for i in range(1, LONG + 1)]
    ids = [token for token in spread if token not in avoided] or spread
    rows_of_ids = [[ids[i % len(ids)] for i in range(length)] for length in lengths]
    dataset = tokenize_texts([""] * len(lengths), lambda _: (rows_of_ids, 0))
    return collate(dataset, torch.arange(len(lengths)), encoder.padding_side, encoder.pad_id)


def embedding_rows(model: Any) -> int | None:
    """Rows of a model's embedding matrix; None if it has none (characters may be hashed)."""
    try:
        return int(model.get_input_embeddings().num_embeddings)
    except (AttributeError, NotImplementedError):  # transformers, for models without one
        return None


def first_position(model: Any) -> int:
    """RoBERTa and MPNet count positions from their padding id + 1."""
    embeddings = getattr(model, "embeddings", None)
    if isinstance(embeddings, nn.Embedding):  # of tokens alone
        return 0
    padding = getattr(embeddings, "padding_idx", None)
    return 0 if padding is None else padding + 1


def _difference(found: Tensor, expected: Tensor) -> float:
    """The largest mean absolute difference of a layer, relative to its states."""
    if found.shape != expected.shape:
        return inf
    change, size = ((x.abs().mean(dim=(0, 1, 3))) for x in (found - expected, expected))
    return float((change / size).nan_to_num(inf).max())
