"""Every pooler against its formula, written again as a slow loop over one text in float64.

The contract says that padding, batch and order behave; here the numbers themselves are right.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch
from torch import Tensor, nn

from poolbench.poolers.base import Pooler
from tests.poolers.contract import CONTRACT, WIDTH, batch, close, texts
from tests.poolers.supplied import build
from tests.poolers.test_contract import POOLERS

Formula = Callable[[Any, Tensor], Tensor]


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


def max_attention(_: Pooler, x: Tensor) -> Tensor:
    query = x.amax(0)
    scores = torch.stack([token / token.norm() @ query for token in x])
    return scores.softmax(0) @ x


def gated_attention(pooler: Any, x: Tensor) -> Tensor:
    scores = pooler.score(pooler.project(x).tanh() * pooler.gate(x).sigmoid())
    return (scores.softmax(0) * x).sum(0)


def vector_attention(pooler: Any, x: Tensor) -> Tensor:
    return (pooler.score(pooler.project(x).relu()).softmax(0) * x).sum(0)


def attentive_statistics(pooler: Any, x: Tensor) -> Tensor:
    weights = pooler.score(pooler.project(x).tanh()).softmax(0)
    mean = (weights * x).sum(0)
    second = (weights * x * x).sum(0)
    return torch.cat([mean, (second - mean**2 + pooler.eps).sqrt()])


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


def sliced_wasserstein(pooler: Any, x: Tensor) -> Tensor:
    pooled = []
    for direction, reference in zip(pooler.slices, pooler.reference, strict=True):
        values = (x @ (direction / direction.norm())).detach().sort(descending=True).values
        wanted = np.linspace(0, 1, len(reference))
        quantiles = np.interp(wanted, np.linspace(0, 1, len(values)), values.numpy())
        moved = torch.tensor(quantiles) - reference.sort(descending=True).values
        pooled.append(moved @ pooler.weight)
    return torch.stack(pooled)


CASES: list[tuple[str, dict[str, object], Formula]] = [
    ("mean_sqrt", {}, lambda _, x: x.sum(0) / len(x) ** 0.5),
    ("sum", {}, lambda _, x: x.sum(0)),
    ("min", {}, lambda _, x: x.amin(0)),
    ("weighted_mean", {}, weighted_mean),
    ("mean_max", {}, lambda _, x: torch.cat([x.mean(0), x.amax(0)])),
    ("mean_std", {"eps": 0.0}, lambda _, x: torch.cat([x.mean(0), x.std(0, correction=0)])),
    ("power_mean", {}, power_mean),
    ("power_mean", {"power": 1.7, "learned": True}, power_mean),
    ("logsumexp", {}, lambda _, x: scipy_logsumexp(x, 1.0)),
    ("logsumexp", {"r": 3.0}, lambda _, x: scipy_logsumexp(x, 3.0)),
    ("soft_max", {"temperature": 0.3}, lambda _, x: ((x / 0.3).softmax(0) * x).sum(0)),
    ("topk_mean", {}, lambda _, x: x.sort(dim=0).values[-3:].mean(0)),
    ("topk_mean", {"k": 100}, lambda _, x: x.mean(0)),
    ("window_mean_max", {}, window_mean_max),
    ("window_mean_max", {"window": 2}, window_mean_max),
    ("max_attention", {}, max_attention),
    ("gated_attention", {}, gated_attention),
    ("vector_attention", {}, vector_attention),
    ("multihead_attention", {}, lambda p, x: attend(p.attention, p.queries, x).flatten()),
    (
        "multihead_attention",
        {"heads": 2, "queries": 3},
        lambda p, x: attend(p.attention, p.queries, x).flatten(),
    ),
    ("efficient_probing", {}, efficient_probing),
    ("attentive_statistics", {}, attentive_statistics),
    ("latent_attention", {}, latent_attention),
    ("positional_mean", {}, positional_mean),
    ("positional_mean", {"positions": 3}, positional_mean),
    ("gated_conv", {}, gated_conv),
    ("gated_conv", {"kernel_size": 5, "layers": 3, "dilation": 2}, gated_conv),
    ("gru", {}, rnn),
    ("gru", {"reduce": "last"}, rnn),
    ("lstm", {"reduce": "mean"}, rnn),
    ("transformer_layer", {}, lambda p, x: p.layer(x.unsqueeze(0))[0].mean(0)),
    ("late_mean", {}, lambda p, x: nn.functional.gelu(p.project(x)).mean(0)),
    ("sliced_wasserstein", {}, sliced_wasserstein),
    ("sliced_wasserstein", {"slices": 5, "points": 4}, sliced_wasserstein),
]
CHANGED = [(name, knobs) for name, knobs, _ in CASES if knobs.get("eps") != 0.0 and knobs]


def scipy_logsumexp(x: Tensor, r: float) -> Tensor:
    return torch.tensor(scipy.special.logsumexp(r * x.numpy(), axis=0, b=1 / len(x)) / r)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("name", "knobs", "formula"), CASES)
def test_pooler_is_its_formula(
    name: str, knobs: dict[str, object], formula: Formula, side: str
) -> None:
    pooler = build(name, **knobs).double()
    rows = texts(torch.float64)
    expected = torch.stack([formula(pooler, row) for row in rows])
    close(pooler(*batch(rows, 9, side, pad=float("nan"))), expected, 1e-6)


@pytest.mark.parametrize("promise", CONTRACT)
@pytest.mark.parametrize(("name", "knobs"), CHANGED)
def test_contract_holds_for_other_knobs(name: str, knobs: dict[str, object], promise: str) -> None:
    CONTRACT[promise](lambda: build(name, **knobs))


@pytest.mark.parametrize("name", POOLERS)
def test_pooler_gives_the_same_without_gradients(name: str) -> None:
    # torch's attention takes another path then.
    pooler = build(name)
    hidden, mask = batch([*texts(), texts()[0]])
    mask[-1] = False
    expected = pooler(hidden, mask)
    with torch.inference_mode():
        close(pooler(hidden, mask), expected)


@pytest.mark.parametrize("name", POOLERS)
def test_pooler_works_where_valid_tokens_have_gaps(name: str) -> None:
    pooler = build(name)
    hidden, mask = batch(texts())
    mask[2, 3] = False
    pooled = pooler(hidden, mask)
    hidden[2, 3] = float("nan")
    close(pooler(hidden, mask), pooled)


@pytest.mark.parametrize("power", [0.5, 3.0, 10.0, 30.0])
def test_power_mean_has_a_finite_gradient_where_tokens_cancel(power: float) -> None:
    pooler = build("power_mean", power=power, learned=True)
    for token in (torch.zeros(1, 1, WIDTH), torch.full((1, 1, WIDTH), 0.5)):
        hidden = torch.cat([token, -token], dim=1).requires_grad_()
        pooled = pooler(hidden, torch.ones(1, 2, dtype=torch.bool))
        pooled.sum().backward()
        close(pooled, torch.zeros_like(pooled))
        for gradient in (hidden.grad, pooler.log_power.grad):
            assert isinstance(gradient, Tensor)
            assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("multihead_attention", {"heads": 3}),
        ("latent_attention", {"heads": 3}),
        ("transformer_layer", {"heads": 3}),
        ("efficient_probing", {"queries": 3}),
        ("power_mean", {"power": 0.0}),
        ("logsumexp", {"r": 0.0}),
        ("soft_max", {"temperature": 0.0}),
        ("topk_mean", {"k": 0}),
        ("window_mean_max", {"window": 1}),
        ("positional_mean", {"positions": 1}),
        ("gated_conv", {"kernel_size": 2}),
        ("sliced_wasserstein", {"points": 1}),
        ("gru", {"cell": "RNN"}),
        ("lstm", {"reduce": "first"}),
    ],
)
def test_impossible_knobs_are_refused_by_name(name: str, knobs: dict[str, object]) -> None:
    (knob,) = knobs
    with pytest.raises(Exception, match=f"{knob}=") as error:
        build(name, **knobs)
    assert isinstance(error.value.__cause__ or error.value, ValueError)
