"""Poolers with attention as plain loops over the tokens of one text."""

from typing import Any

import torch
from torch import Tensor, nn

from poolbench.poolers.base import Pooler
from tests.poolers.supplied import WIDTH, extra_inputs


def attend(attention: nn.MultiheadAttention, queries: Tensor, keys: Tensor) -> Tensor:
    """Multi-head attention, one head and one query at a time."""
    assert attention.in_proj_weight is not None
    weights = attention.in_proj_weight.chunk(3)
    biases = [0.0] * 3 if attention.in_proj_bias is None else attention.in_proj_bias.chunk(3)
    q, k, v = (
        source @ weight.T + bias
        for source, weight, bias in zip((queries, keys, keys), weights, biases, strict=True)
    )
    size = q.shape[1] // attention.num_heads
    found = []
    for query in q:
        heads = []
        for h in range(attention.num_heads):
            at = slice(h * size, (h + 1) * size)
            scores = k[:, at] @ query[at] / size**0.5
            heads.append(scores.softmax(0) @ v[:, at])
        found.append(attention.out_proj(torch.cat(heads)))
    return torch.stack(found)


def attention(pooler: Any, x: Tensor) -> Tensor:
    scores = torch.stack([pooler.score(pooler.project(token).tanh()) for token in x])
    return (scores.softmax(0) * x).sum(0)


def gated_attention(pooler: Any, x: Tensor) -> Tensor:
    scores = pooler.score(pooler.project(x).tanh() * pooler.gate(x).sigmoid())
    return (scores.softmax(0) * x).sum(0)


def vector_attention(pooler: Any, x: Tensor) -> Tensor:
    return (pooler.score(pooler.project(x).relu()).softmax(0) * x).sum(0)


def max_attention(_: Pooler, x: Tensor) -> Tensor:
    query = x.amax(0)
    scores = torch.stack([token / token.norm() @ query for token in x])
    return scores.softmax(0) @ x


def attentive_statistics(pooler: Any, x: Tensor) -> Tensor:
    attention = pooler.attention
    weights = attention.score(attention.project(x).tanh()).softmax(0)
    mean = (weights * x).sum(0)
    second = (weights * x * x).sum(0)
    return torch.cat([mean, (second - mean**2 + pooler.eps).sqrt()])


def latent_attention(pooler: Any, x: Tensor) -> Tensor:
    latents = pooler.norm_latents(pooler.latents)
    x = x + attend(pooler.attention, pooler.norm_tokens(x), latents)
    return (x + pooler.mlp(x)).mean(0)


def efficient_probing(pooler: Any, x: Tensor) -> Tensor:
    values = pooler.value(x).chunk(len(pooler.queries), dim=1)
    slices = [
        (x @ query / WIDTH**0.5).softmax(0) @ value
        for query, value in zip(pooler.queries, values, strict=True)
    ]
    return torch.cat(slices)


def positional_mean(pooler: Any, x: Tensor) -> Tensor:
    last = len(pooler.scores) - 1
    scores = torch.stack([pooler.scores[min(i, last)] for i in range(len(x))])
    return scores.softmax(0) @ x


def self_attentive(pooler: Any, x: Tensor) -> Tensor:
    scores = pooler.score(pooler.project(x).tanh())
    return torch.cat([hop.softmax(0) @ x for hop in scores.T])


def max_pool_bert(pooler: Any, x: Tensor) -> Tensor:
    largest = extra_inputs(pooler, x)["layers"].amax(1)
    return attend(pooler.attention, largest[:1], largest)[0]


def multimax(pooler: Any, x: Tensor) -> Tensor:
    inner, _, outer = pooler.score
    tokens = [nn.functional.gelu(inner(token)) for token in x]
    return torch.stack([max(v @ token for token in tokens) for v in outer.weight])


def rolling_max_attention(pooler: Any, x: Tensor) -> Tensor:
    inner, _, outer = pooler.score
    y = nn.functional.gelu(inner(x))
    size = min(pooler.window, len(x))
    windows = [y[i : i + size] for i in range(len(x) - size + 1)]
    queries, values = outer.weight.chunk(2)
    return torch.stack(
        [
            max((w @ query).softmax(0) @ (w @ value) for w in windows)
            for query, value in zip(queries, values, strict=True)
        ]
    )


def attention_probe(pooler: Any, x: Tensor) -> Tensor:
    means = []
    for query, slope in zip(pooler.query.weight, pooler.slope, strict=True):
        scores = torch.stack([query @ token + slope * t for t, token in enumerate(x)])
        means.append(scores.softmax(0) @ x)
    return torch.cat(means)


def bag_of_windows(pooler: Any, x: Tensor) -> Tensor:
    means, start, end = [], 0, 0
    while end < len(x):
        end = start + pooler.window
        means.append(x[start:end].mean(0))
        start += pooler.stride
    windows = torch.stack(means)
    return attend(pooler.attention, windows, windows).mean(0)


def layer_attention(pooler: Any, x: Tensor) -> Tensor:
    layers = extra_inputs(pooler, x)["layers"].unbind(1)
    keys = [layer[0] for layer in layers] + [layer.mean(0) for layer in layers]
    return attend(pooler.attention, pooler.query, torch.stack(keys))[0]


def layer_token_gate(pooler: Any, x: Tensor) -> Tensor:
    layers = extra_inputs(pooler, x)["layers"].unbind(1)
    summaries = torch.stack(
        [
            (layer @ gate).softmax(0) @ layer
            for layer, gate in zip(layers, pooler.token_gates, strict=True)
        ]
    )
    return (summaries @ pooler.layer_gate.weight[0]).softmax(0) @ summaries
