"""The pooler contract, measured on real text behind a real encoder."""

import torch
from torch import Tensor

from poolbench.data.tokenized import TokenizedDataset
from poolbench.encoders.base import PooledTokens
from poolbench.poolers import contract
from poolbench.poolers.subject import Subject
from poolbench.runs.record import ContractLine
from poolbench.training.model import PooledModel

TEXTS = 8
EXACT = 1e-4  # relative error of float32 sums in another order, through all layers of an encoder


def certify(
    model: PooledModel, data: TokenizedDataset, pooled_tokens: PooledTokens
) -> dict[str, ContractLine]:
    """Each line of the contract: its promise, the deviation found, the limit, whether it is kept.

    The lines of ``poolers/contract.py`` are measured on the hidden states of a few test texts of
    all lengths; two more lines include the encoder.

    Args:
        model: with an encoder that computes states; left in eval mode.
        data: tokenized for that encoder.
    """
    model.eval()
    encoder, texts = model.encoder, data.one_text_each()

    def pooled(rows: Tensor) -> Tensor:
        batch = encoder.collate(texts, rows, pooled_tokens)
        return model.pool(encoder(batch), batch)

    rows = _texts_of_all_lengths(data)
    batch = encoder.collate(texts, rows, pooled_tokens)
    with torch.no_grad():
        states = encoder(batch)
        hidden = model.layers(model.select(model.layers.indices, states))
        together = model.pool(states, batch)
        alone = torch.cat([pooled(row.view(1)) for row in rows])
        usual = encoder.padding_side
        encoder.padding_side = "left" if usual == "right" else "right"
        try:
            other_side = pooled(rows)
        finally:
            encoder.padding_side = usual
    extra = model.extra_inputs(states, batch)
    lines = contract.measure(Subject(model.pooler, hidden, batch.pooling_mask, extra))
    return {
        **{name: ContractLine(**line) for name, line in lines.items()},
        "encoder, alone": _line("a text alone and in a batch agree", alone, together),
        "encoder, side": _line("left and right padding agree", other_side, together),
    }


def _line(promise: str, found: Tensor, expected: Tensor) -> ContractLine:
    deviation = float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
    finite = bool(found.isfinite().all())
    return ContractLine(
        promise=f"{promise}, encoder included",
        deviation=deviation if finite else None,
        limit=EXACT,
        kept=finite and deviation <= EXACT,
    )


def _texts_of_all_lengths(data: TokenizedDataset) -> Tensor:
    """A few test texts, from the shortest to the longest."""
    rows = data.members[data.splits["test"]].unique()
    places = torch.linspace(0, len(rows) - 1, min(TEXTS, len(rows))).long()
    return rows[data.lengths[rows].argsort(stable=True)][places.unique()]
