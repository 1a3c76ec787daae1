"""Packed batches: computation for real tokens only, with attention inside each text.

The texts of a batch are placed end to end in one row, so that embeddings, linear layers and
normalisation skip the padding. transformers passes unknown keyword arguments of a model on to the
attention function registered here. The tests compare hidden states and gradients of every family
in ``FAMILIES`` with padded ones.
"""

import functools
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from poolbench.data.collate import Batch

PACKED = "poolbench_packed"
PADDED = "poolbench_sdpa"
ABSOLUTE = {"albert", "bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta"}
ROTARY = {"eurobert", "llama", "mistral", "modernbert", "nomic_bert", "qwen2", "qwen3"}
FAMILIES = frozenset(ABSOLUTE | ROTARY)  # by the type of position embedding
MULTIPLE = 64  # row lengths are rounded up to it: few shapes for kernels compiled per shape
SCORES = 2**22  # attention scores in memory at once on the padded path (16 MB in float32)


@dataclass(frozen=True)
class Row:
    """The texts of a batch end to end; nothing here synchronises host and GPU."""

    mask: Bool[Tensor, "B T"]
    where: Int[Tensor, " N"]  # index in the flattened batch; 0 after the last text, as filling
    tokens: int  # number of real tokens

    @classmethod
    def of(cls, batch: Batch) -> "Row":
        """The row of a batch; empty texts have no tokens in it."""
        flat = batch.attention_mask.flatten()
        where = torch.nonzero_static(flat, size=packed_length(batch.tokens), fill_value=0)
        return cls(batch.attention_mask, where.squeeze(1), batch.tokens)

    def pack(self, padded: Tensor) -> Tensor:
        """(B, T, ...) -> (N, ...)."""
        return padded.flatten(0, 1).index_select(0, self.where)

    def unpack(self, row: Tensor) -> Tensor:
        """(N, ...) -> (B, T, ...), zeros in the padding."""
        empty = row.new_zeros(self.mask.numel(), *row.shape[1:])
        filled = empty.index_copy(0, self.where[: self.tokens], row[: self.tokens])
        return filled.unflatten(0, self.mask.shape)

    @functools.cached_property
    def position(self) -> Int[Tensor, " N"]:
        """Position of each token in its text, from 0."""
        return self.pack((self.mask.cumsum(1) - 1).clamp(min=0))

    @functools.cached_property
    def bounds(self) -> Int[Tensor, " bounds"]:
        """Cumulative lengths of the texts; the tokens added by rounding form one more text."""
        ends = functional.pad(self.mask.sum(1).cumsum(0), (1, 1))
        ends[-1] = len(self.where)
        return ends.int()

    def allowed(self, causal: bool, window: int | None) -> Bool[Tensor, "B 1 #T T"]:
        """Attention mask (query, key) in the padded layout."""
        keys = self.mask[:, None, None, :]
        if not causal and window is None:
            return keys
        place = torch.arange(self.mask.shape[1], device=self.mask.device)
        ahead = place[None, :] - place[:, None]
        near = ahead.abs() < window if window else torch.ones_like(ahead, dtype=torch.bool)
        return keys & (near & (ahead <= 0) if causal else near)


def packed_length(tokens: int) -> int:
    """N, the length of a row with this number of real tokens."""
    return max(1, -(-tokens // MULTIPLE)) * MULTIPLE


def varlen_available(device: torch.device, dtype: torch.dtype, head_dim: int) -> bool:
    """Whether the flash kernel of ``varlen_attn`` supports attention heads of this width."""
    return (
        device.type == "cuda"
        and dtype in (torch.float16, torch.bfloat16)
        and head_dim % 8 == 0
        and head_dim <= 256
        and torch.cuda.get_device_capability(device) >= (8, 0)
    )


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
    """Attention inside each text of ``row``, with the signature that transformers expects.

    On a GPU in half precision it is computed by ``varlen_attn``, which has no dropout; elsewhere,
    and with dropout, on padded texts. A ``sliding_window`` of 1 is the token itself.
    """
    causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    query, key, value = (x[0].transpose(0, 1) for x in (query, key, value))  # (N, H or G, D)
    if query.is_cuda and torch.is_autocast_enabled("cuda"):
        # Rotary embeddings may return float32.
        query, key, value = (x.to(torch.get_autocast_dtype("cuda")) for x in (query, key, value))
    if dropout or not varlen_available(query.device, query.dtype, query.shape[-1]):
        allowed = row.allowed(causal, sliding_window)
        return _padded(query * scale, key, value, row, allowed, dropout).unsqueeze(0), None
    longest = max(row.mask.shape[1], MULTIPLE)
    lengths = (row.bounds, row.bounds, longest, longest)
    left = -1 if sliding_window is None else sliding_window - 1
    window = (left, 0 if causal else left)
    grouped = key.shape[1] != query.shape[1]
    query, key, value = (x.contiguous() for x in (query, key, value))
    out = varlen_attn(
        query, key, value, *lengths, scale=scale, window_size=window, enable_gqa=grouped
    )
    assert isinstance(out, Tensor)
    return out.unsqueeze(0), None


def _padded(
    query: Tensor, key: Tensor, value: Tensor, row: Row, allowed: Tensor, dropout: float
) -> Tensor:
    copies = query.shape[1] // key.shape[1]
    if copies > 1:
        key, value = (x.repeat_interleave(copies, dim=1) for x in (key, value))
    query, key, value = (row.unpack(x).transpose(1, 2) for x in (query, key, value))
    # Not -inf: the softmax over an empty text would be NaN.
    lowest = torch.finfo(query.dtype).min
    bias = torch.zeros_like(allowed, dtype=query.dtype).masked_fill(~allowed, lowest)
    if query.is_cuda:
        fused = functional.scaled_dot_product_attention
        out = fused(query, key, value, attn_mask=bias, dropout_p=dropout, scale=1.0)
        return row.pack(out.transpose(1, 2))
    _, heads, width, _ = query.shape
    at_once = max(1, SCORES // (heads * width * width))
    found = []
    for q, k, v, b in zip(*(x.split(at_once) for x in (query, key, value, bias)), strict=True):
        weights = (q @ k.transpose(2, 3) + b).softmax(dim=-1)
        found.append(functional.dropout(weights, dropout) @ v)  # (b, H, T, D)
    return row.pack(torch.cat(found).transpose(1, 2))


def padding_mask(*args: Any, **kwargs: Any) -> Bool[Tensor, "B 1 T T"]:
    """The mask of transformers for ``scaled_dot_product_attention``, which is never left out.

    To leave it out where nothing is padded, transformers reads its values: a GPU would wait.
    """
    never = {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
    mask = sdpa_mask(*args, **kwargs | never)
    assert mask is not None
    return mask


# No mask function is registered, so transformers builds no mask; ``attend`` needs none.
AttentionInterface.register(PACKED, attend)
AttentionInterface.register(PADDED, sdpa_attention_forward)
AttentionMaskInterface.register(PADDED, padding_mask)
