"""The contract itself is tested: every planted fault is caught by the line that names it."""

import pytest
import torch
from torch import nn

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler
from poolbench.poolers.contract import measure
from tests.poolers.supplied import WIDTH, subject


class Faulty(Pooler):
    """A pooler whose forward is ``body(self, hidden, mask)``."""

    permutation_invariant = True

    def __init__(self, body, setup=lambda self: None) -> None:
        super().__init__(WIDTH)
        setup(self)
        self.body = body

    def forward(self, hidden, mask):
        return self.body(self, hidden, mask)


class Unchecked(Faulty):
    """A pooler without the checks of the base class."""

    def __call__(self, hidden, mask=None, **extra_inputs):
        return nn.Module.__call__(self, hidden, mask)


def weight(self) -> None:
    self.layer = nn.Linear(WIDTH, WIDTH)


def conv(self) -> None:
    self.layer = nn.Conv1d(WIDTH, WIDTH, 4)
    self.permutation_invariant = False


def order_sensitive(self) -> None:
    self.permutation_invariant = False


def mutate(self, hidden, mask):
    hidden[~mask] = 0.0
    return hidden.sum(1) / masked.count(mask).unsqueeze(-1)


def last_by_length(self, hidden, mask):
    return masked.take(hidden, mask.sum(1).clamp(min=1) - 1, mask)


def absolute_positions(self, hidden, mask):
    position = torch.arange(1, hidden.shape[1] + 1) * mask
    return masked.weighted_sum(hidden, position / position.sum(1, True).clamp(min=1), mask)


def shifted_by_the_batch(self, hidden, mask):
    lowest = masked.fill(hidden, mask, torch.inf).amin()
    return masked.mean((hidden - lowest).sqrt(), mask)


def max_over_nothing(self, hidden, mask):
    return masked.fill(hidden, mask, -torch.inf).amax(1)


def std_without_eps(self, hidden, mask):
    mean = masked.mean(hidden, mask).unsqueeze(1)
    return masked.mean((hidden - mean) ** 2, mask).sqrt()


def sum_in_half(self, hidden, mask):
    clean = masked.fill(hidden, mask, 0.0)
    return torch.stack(list(clean.unbind(1))).cumsum(0)[-1] / masked.count(mask).unsqueeze(-1)


def rows_one_by_one(self, hidden, mask):
    return torch.stack(
        [masked.mean(h[None], m[None])[0] for h, m in zip(hidden, mask, strict=True)]
    )


def reads_a_value(self, hidden, mask):
    return masked.mean(hidden, mask) * (1.0 if mask.any() else 0.0)


def width_dependent(self, hidden, mask):
    return masked.mean(hidden, mask) * (1.0 if hidden.shape[1] < 15 else 2.0)


MEAN = lambda self, h, m: masked.mean(h, m)  # noqa: E731
FAULTS = {
    "multiplied by the mask": ("T1", lambda s, h, m: (h * m[..., None]).sum(1)),
    "zeros in the padding": ("T2", lambda s, h, m: masked.fill(h, m, 0.0).amax(1)),
    "divided by T": ("T2", lambda s, h, m: masked.fill(h, m, 0.0).mean(1)),
    "index 0": ("T3", lambda s, h, m: h[:, 0].masked_fill(~m.any(1, True), 0.0)),
    "the sum of the mask as last index": ("T3", last_by_length),
    "absolute positions": ("T3", absolute_positions),
    "a minimum over the batch": ("T4", shifted_by_the_batch),
    "max over nothing": ("T5", max_over_nothing),
    "0/0": ("T5", lambda s, h, m: masked.fill(h, m, 0).sum(1) / m.sum(1, True)),
    "sqrt at 0": ("T6", std_without_eps),
    "summed in float16": ("T7", sum_in_half),
    "float32 output": ("T7", lambda s, h, m: masked.mean(h, m).float()),
    "float32 output again": ("T7 bfloat16", lambda s, h, m: masked.mean(h, m).float()),
    "a dead parameter": ("T8", MEAN, weight),
    "NaN reaches a weight": ("T8", lambda s, h, m: masked.mean(s.layer(h), m), weight),
    "a modified argument": ("T9", mutate),
    "a bare squeeze": ("T10", lambda s, h, m: masked.mean(h, m).squeeze()),
    "order matters": ("T11", lambda s, h, m: masked.take(h, masked.first(m), m)),
    "order does not matter": ("T11", MEAN, order_sensitive),
    "a kernel longer than a text": (
        "T12",
        lambda s, h, m: s.layer(masked.fill(h, m, 0.0).transpose(1, 2)).amax(2),
        conv,
    ),
    "no check of its arguments": ("T13", MEAN),
    "a branch on a value": ("T14", reads_a_value),
    "one row after another": ("T15", rows_one_by_one),
    "another result for another T": ("T15", width_dependent),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_contract_catches(fault: str) -> None:
    line, body, *setup = FAULTS[fault]
    torch.manual_seed(0)
    pooler = (Unchecked if line in ("T10", "T13") else Faulty)(body, *setup)
    assert not measure(subject(pooler))[line]["kept"]


def test_the_same_wrapper_without_a_fault_keeps_every_line() -> None:
    assert all(line["kept"] for line in measure(subject(Faulty(MEAN))).values())
