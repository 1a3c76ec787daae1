"""The contract is tested too: each fault seen in the wild is planted and must be caught."""

import pytest
import torch
from torch import nn

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler
from tests.poolers.contract import CONTRACT, WIDTH


class Faulty(Pooler):
    """A pooler whose forward is ``body(self, hidden, mask)``."""

    permutation_invariant = True

    def __init__(self, body, setup=lambda self: None) -> None:
        super().__init__(WIDTH)
        setup(self)
        self.body = body

    def forward(self, hidden, mask):
        return self.body(self, hidden, mask)


class Forgetful(Faulty):
    """A pooler without the checks of the base class."""

    def __call__(self, hidden, mask=None):
        return nn.Module.__call__(self, hidden, mask)


def weight(self) -> None:
    self.layer = nn.Linear(WIDTH, WIDTH)


def conv(self) -> None:
    self.layer = nn.Conv1d(WIDTH, WIDTH, 4)
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
    return masked.mean(hidden, mask) * (1.0 if hidden.shape[1] < 10 else 2.0)


MEAN = lambda self, h, m: masked.mean(h, m)  # noqa: E731
FAULTS = {
    "multiplied by the mask": ("t01", lambda s, h, m: (h * m[..., None]).sum(1)),
    "zeros instead of leaving out": ("t02", lambda s, h, m: masked.fill(h, m, 0.0).amax(1)),
    "divided by T": ("t02", lambda s, h, m: masked.fill(h, m, 0.0).mean(1)),
    "index 0": ("t03", lambda s, h, m: h[:, 0].masked_fill(~m.any(1, True), 0.0)),
    "the sum of the mask as last index": ("t03", last_by_length),
    "absolute positions": ("t03", absolute_positions),
    "a minimum over the batch": ("t04", shifted_by_the_batch),
    "max over nothing": ("t05", max_over_nothing),
    "0/0": ("t05", lambda s, h, m: masked.fill(h, m, 0).sum(1) / m.sum(1, True)),
    "sqrt at 0": ("t06", std_without_eps),
    "summed in float16": ("t07", sum_in_half),
    "float32 comes out": ("t07", lambda s, h, m: masked.mean(h, m).float()),
    "a dead parameter": ("t08", MEAN, weight),
    "NaN reaches a weight": ("t08", lambda s, h, m: masked.mean(s.layer(h), m), weight),
    "the argument is changed": ("t09", mutate),
    "a bare squeeze": ("t10", lambda s, h, m: masked.mean(h, m).squeeze()),
    "order matters after all": ("t11", lambda s, h, m: masked.take(h, masked.first(m), m)),
    "a kernel longer than a text": (
        "t12",
        lambda s, h, m: s.layer(masked.fill(h, m, 0.0).transpose(1, 2)).amax(2),
        conv,
    ),
    "no check of its arguments": ("t13", MEAN),
    "one row after another": ("t14", rows_one_by_one),
    "a branch on a value": ("t14", reads_a_value),
    "another result for another T": ("t15", width_dependent),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_contract_catches(fault: str) -> None:
    line, body, *setup = FAULTS[fault]
    kind = Forgetful if line in ("t10", "t13") else Faulty
    (promise,) = (check for name, check in CONTRACT.items() if name.startswith(line))

    def build() -> Pooler:
        torch.manual_seed(0)
        return kind(body, *setup).eval()

    with pytest.raises(Exception) as caught:  # noqa: PT011 - how it shows differs from fault to fault
        promise(build)
    assert not isinstance(caught.value, NameError | AttributeError), caught.value


def test_the_same_wrapper_without_a_fault_keeps_every_promise() -> None:
    for promise in CONTRACT.values():
        promise(lambda: Faulty(MEAN))
