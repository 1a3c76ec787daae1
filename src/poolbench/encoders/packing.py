"""A batch as one row of real tokens, and attention that stays within each text.

A padded rectangle spends as much on padding as on text. Here the texts stand end to end in one
row, so that everything that treats each token alone (embeddings, linear layers, normalisation) is
computed for real tokens only; attention alone has to know where a text ends. transformers hands
unknown keyword arguments of a model down to the attention function registered here, in the
families of ``FAMILIES``: the tests hold each of them to its padded states and gradients.
"""

import functools
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface

from poolbench.core import kernels
from poolbench.data.collate import Batch
from poolbench.encoders.dropout import drop

PACKED = "poolbench_packed"
FAMILIES = frozenset(
    {
        "albert",
        "bert",
        "camembert",
        "distilbert",
        "electra",
        "eurobert",
        "llama",
        "mistral",
        "modernbert",
        "nomic_bert",
        "qwen2",
        "qwen3",
        "roberta",
        "xlm-roberta",
    }
)
MULTIPLE = 64  # rows are rounded up to it: few shapes, for kernels that are made once a shape
SCORES = 2**22  # attention scores held at once where the texts are padded for them (16 MB)


@dataclass(frozen=True)
class Row:
    """The texts of a batch end to end; nothing here makes the host wait for a GPU.

    Attributes:
        mask: True on real tokens.
        where: of each token of the row, its place in the flattened rectangle. Behind the last
            text, up to the rounded length N, stands the first place again and again.
        tokens: real tokens in the row.
    """

    mask: Bool[Tensor, "B T"]
    where: Int[Tensor, " N"]
    tokens: int

    @classmethod
    def of(cls, batch: Batch) -> "Row":
        """The row of a batch, empty texts included: they have no tokens in it."""
        flat = batch.attention_mask.flatten()
        where = torch.nonzero_static(flat, size=rounded(batch.tokens), fill_value=0)
        return cls(batch.attention_mask, where.squeeze(1), batch.tokens)

    def pack(self, rectangle: Tensor) -> Tensor:
        """(B, T, ...) -> (N, ...)."""
        return rectangle.flatten(0, 1).index_select(0, self.where)

    def unpack(self, row: Tensor) -> Tensor:
        """(N, ...) -> (B, T, ...), zeros in the padding."""
        empty = row.new_zeros(self.mask.numel(), *row.shape[1:])
        filled = empty.index_copy(0, self.where[: self.tokens], row[: self.tokens])
        return filled.unflatten(0, self.mask.shape)

    @functools.cached_property
    def position(self) -> Int[Tensor, " N"]:
        """Of each token of the row, its place in its own text, from 0."""
        return self.pack((self.mask.cumsum(1) - 1).clamp(min=0))

    @functools.cached_property
    def bounds(self) -> Int[Tensor, " bounds"]:
        """Where each text begins; what rounding added is one more text, so that all is computed."""
        ends = functional.pad(self.mask.sum(1).cumsum(0), (1, 1))
        ends[-1] = len(self.where)
        return ends.int()

    def allowed(self, causal: bool, window: int | None) -> Bool[Tensor, "B 1 #T T"]:
        """Which tokens a token may look at, in the rectangle."""
        keys = self.mask[:, None, None, :]
        if not causal and window is None:
            return keys
        place = torch.arange(self.mask.shape[1], device=self.mask.device)
        ahead = place[None, :] - place[:, None]
        near = ahead.abs() < window if window else torch.ones_like(ahead, dtype=torch.bool)
        return keys & (near & (ahead <= 0) if causal else near)


def rounded(tokens: int) -> int:
    """N, the length of the row of so many tokens."""
    return max(1, -(-tokens // MULTIPLE)) * MULTIPLE


def attend(
    module: nn.Module,
    query: Float[Tensor, "1 H N D"],
    key: Float[Tensor, "1 G N D"],
    value: Float[Tensor, "1 G N D"],
    attention_mask: None,
    *,
    row: Row,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    **unused: Any,
) -> tuple[Float[Tensor, "1 N H D"], None]:
    """Attention within each text of ``row``, as transformers calls it.

    ``sliding_window`` counts the token itself: 1 would be that token alone. On a GPU in half
    precision ``varlen_attn`` computes it, which has no dropout; else the texts are padded for
    the length of two matrix products.
    """
    causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    query, key, value = (x[0].transpose(0, 1) for x in (query, key, value))  # (N, H or G, D)
    if query.is_cuda and torch.is_autocast_enabled("cuda"):
        # Rotary embeddings may leave it in float32.
        query, key, value = (x.to(torch.get_autocast_dtype("cuda")) for x in (query, key, value))
    if kernels.varlen(query.device, query.dtype, query.shape[-1]):
        out = _varlen(query, key, value, row, scale, causal, sliding_window)
    else:
        allowed = row.allowed(causal, sliding_window)
        out = _padded(query, key, value, row, scale, allowed, dropout)
    return out.unsqueeze(0), None


def _varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    row: Row,
    scale: float,
    causal: bool,
    window: int | None,
) -> Tensor:
    left = -1 if window is None else window - 1
    longest = max(row.mask.shape[1], MULTIPLE)
    out = varlen_attn(
        query.contiguous(),
        key.contiguous(),
        value.contiguous(),
        row.bounds,
        row.bounds,
        longest,
        longest,
        scale=scale,
        window_size=(left, 0 if causal else left),
        enable_gqa=key.shape[1] != query.shape[1],
    )
    assert isinstance(out, Tensor)
    return out


def _padded(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    row: Row,
    scale: float,
    allowed: Tensor,
    dropout: float,
) -> Tensor:
    copies = query.shape[1] // key.shape[1]
    if copies > 1:
        key, value = (x.repeat_interleave(copies, dim=1) for x in (key, value))
    query, key, value = (row.unpack(x).transpose(1, 2) for x in (query * scale, key, value))
    # Not -inf: a text without tokens would have no number to divide by.
    bias = torch.zeros_like(allowed, dtype=query.dtype).masked_fill(
        ~allowed, torch.finfo(query.dtype).min
    )
    texts, heads, width, _ = query.shape
    at_once = max(1, SCORES // (heads * width * width))
    parts = []
    for start in range(0, texts, at_once):
        here = slice(start, start + at_once)
        weights = (query[here] @ key[here].transpose(2, 3) + bias[here]).softmax(dim=-1)
        if dropout:
            weights = drop(weights, dropout)
        parts.append(weights @ value[here])  # (b, H, T, D)
    return row.pack(torch.cat(parts).transpose(1, 2))


# No mask function is registered: transformers then makes no mask, and ``attend`` needs none.
AttentionInterface.register(PACKED, attend)
