"""Poolers without attention as plain loops over the tokens of one text."""

from typing import Any

import networkx
import numpy as np
import scipy.special
import torch
from torch import Tensor, nn

from poolbench.poolers.base import Pooler
from tests.poolers.attention_formulas import attention
from tests.poolers.supplied import WIDTH, extra_inputs


def weighted_mean(_: Pooler, x: Tensor) -> Tensor:
    return sum(i * token for i, token in enumerate(x, 1)) / sum(range(1, len(x) + 1))


def power_mean(pooler: Any, x: Tensor) -> Tensor:
    p = pooler.log_power.detach().exp()
    mean = (x.sign() * x.abs() ** p).mean(0)
    return mean.sign() * mean.abs() ** (1 / p)


def window_mean_max(pooler: Any, x: Tensor) -> Tensor:
    size = min(pooler.window, len(x))
    means = [x[i : i + size].mean(0) for i in range(len(x) - size + 1)]
    return torch.stack(means).amax(0)


def conv(pooler: Any, x: Tensor) -> Tensor:
    pooled = []
    for layer in pooler.convs:
        size = layer.kernel_size[0]
        longer = torch.cat([x, x.new_zeros(size, WIDTH)])
        windows = [
            torch.einsum("cdk,kd->c", layer.weight, longer[t : t + size]) + layer.bias
            for t in range(len(x))
        ]
        pooled.append(torch.stack(windows).relu().amax(0))
    return torch.cat(pooled)


def idf_mean(pooler: Any, x: Tensor) -> Tensor:
    counts = torch.tensor([900, 90, 9, 0, 1, 30, 300, 0]).double()
    frequency = (counts / counts.sum())[extra_inputs(pooler, x)["token_ids"]]
    weights = 1e-3 / (1e-3 + frequency)
    return (weights[:, None] * x).mean(0)


def gated_conv(pooler: Any, x: Tensor) -> Tensor:
    for conv in pooler.convs:
        (size,), (step,) = conv.kernel_size, conv.dilation
        left = step * (size - 1) // 2
        rows = []
        for t in range(len(x)):
            row = conv.bias
            for j in range(size):
                if 0 <= (at := t - left + j * step) < len(x):
                    row = row + conv.weight[:, :, j] @ x[at]
            linear, gate = row.chunk(2)
            rows.append(linear * gate.sigmoid())
        x = torch.stack(rows)
    return x.amax(0)


def rnn(pooler: Any, x: Tensor) -> Tensor:
    """torch's own bidirectional RNN over the packed text, with the same weights."""
    both = type(pooler.forwards)(WIDTH, pooler.output_dim // 2, bidirectional=True).double()
    for weight, other in zip(both.all_weights, (pooler.forwards, pooler.backwards), strict=True):
        for mine, theirs in zip(weight, other.parameters(), strict=True):
            mine.data = theirs.data
    states, _ = both(nn.utils.rnn.pack_sequence([x]))
    forward, backward = states.data.chunk(2, dim=1)
    ends = torch.cat([forward[-1], backward[0]])
    return {"max": states.data.amax(0), "mean": states.data.mean(0), "last": ends}[pooler.reduce]


def scipy_logsumexp(pooler: Any, x: Tensor) -> Tensor:
    values = scipy.special.logsumexp(pooler.r * x.numpy(), axis=0, b=1 / len(x))
    return torch.tensor(values / pooler.r)


def sliced_wasserstein(pooler: Any, x: Tensor) -> Tensor:
    pooled = []
    for direction, reference in zip(pooler.slices, pooler.reference, strict=True):
        values = (x @ (direction / direction.norm())).detach().sort(descending=True).values
        wanted = np.linspace(0, 1, len(reference))
        quantiles = np.interp(wanted, np.linspace(0, 1, len(values)), values.numpy())
        moved = torch.tensor(quantiles) - reference.sort(descending=True).values
        pooled.append(moved @ pooler.weight)
    return torch.stack(pooled)


def ema_max(pooler: Any, x: Tensor) -> Tensor:
    average, found = torch.zeros(WIDTH), []
    for token in x:
        average = pooler.alpha * token + (1 - pooler.alpha) * average
        found.append(average)
    return torch.stack(found).amax(0)


def pagerank(pooler: Any, x: Tensor) -> Tensor:
    cosine = nn.functional.cosine_similarity(x[:, None], x[None], dim=-1)
    graph = networkx.from_numpy_array(cosine.clamp(min=0).numpy())
    ranks = networkx.pagerank(graph, alpha=pooler.damping, tol=1e-12, max_iter=1000)
    return torch.stack([ranks[t] * token for t, token in enumerate(x)]).sum(0)


def token_graph(pooler: Any, x: Tensor) -> Tensor:
    cosine = nn.functional.cosine_similarity(x[:, None], x[None], dim=-1)
    states = [x]
    for layer in pooler.layers:
        values = states[-1] @ layer.project.weight.T
        left, right = layer.score.weight
        refined = []
        for i, value in enumerate(values):
            near = [j for j in range(len(x)) if j == i or cosine[i, j] > pooler.threshold]
            scores = torch.stack([left @ value + right @ values[j] for j in near])
            weights = torch.where(scores > 0, scores, 0.2 * scores).softmax(0)
            refined.append((weights @ values[near]).relu())
        states.append(torch.stack(refined))
    return attention(pooler.readout, torch.cat(states, dim=1))
