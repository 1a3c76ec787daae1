"""Pooled vectors of a whole corpus, for poolers that learn nothing: they never change."""

import torch
from jaxtyping import Float
from torch import Tensor

from poolbench.data.collate import make_batch
from poolbench.data.tokenized import Corpus
from poolbench.training.model import PooledClassifier

AT_ONCE = 256  # texts pooled together


def poolable_once(model: PooledClassifier) -> bool:
    """Is ``pooled`` a function of the text alone, at every step of a training?"""
    learned = [*model.layers.parameters(), *model.pooler.parameters()]
    return model.encoder.stored and not learned and not model.pooler.reads_padding


@torch.no_grad()
def pool_once(
    model: PooledClassifier, corpus: Corpus, unpooled_ids: tuple[int, ...] = ()
) -> Float[Tensor, "N P"]:
    """The pooled vector of every example, by its id.

    Args:
        model: ``poolable_once``.
        corpus: what its encoder has stored.
        unpooled_ids: tokens that are not pooled.
    """
    vectors = torch.empty(len(corpus.labels), model.pooler.output_dim)
    side, pad = model.encoder.padding_side, model.encoder.pad_id
    for rows in corpus.lengths.argsort().split(AT_ONCE):  # like lengths together: little padding
        batch = make_batch(corpus, rows, side, pad, unpooled_ids)
        vectors[rows] = model.pool(model.encoder(batch), batch)
    return vectors
