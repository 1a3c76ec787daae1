"""Every shape mistake between encoder and labels has a message with axes and fix."""

import pytest
import torch
from torch import nn

from poolbench.core import shape_checks
from poolbench.core.shape_checks import ShapeError
from poolbench.poolers.base import Pooler

HIDDEN = torch.randn(4, 7, 16)
MASK = torch.ones(4, 7, dtype=torch.bool)


class UserPooler(Pooler):
    """A pooler with ``body`` as its forward."""

    permutation_invariant = False

    def __init__(self, body) -> None:
        super().__init__(hidden_dim=16)
        self.body = body

    def forward(self, hidden, mask):
        return self.body(hidden, mask)


CONV = nn.Conv1d(16, 8, kernel_size=3)
MISTAKES = {
    "Conv1d on (B, T, D)": (lambda h, m: CONV(h).amax(2), "transpose(1, 2)"),
    "no pooling": (lambda h, m: h, "token axis"),
    "reduced over the batch": (lambda h, m: h.mean(0), "never dim=0"),
    "a bare squeeze": (lambda h, m: h.mean(1)[0], "squeeze"),
    "an undeclared width": (lambda h, m: h.mean(1).repeat(1, 2), "output_dim = 32"),
    "a linear layer of another width": (lambda h, m: nn.Linear(8, 16)(h).mean(1), "=8 "),
    "a mask without width axis": (lambda h, m: (h * m).sum(1), "mask.unsqueeze(-1)"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_inside_a_pooler_names_axes_and_fix(mistake: str) -> None:
    body, fix = MISTAKES[mistake]
    with pytest.raises(ShapeError, match=r"[Pp]ooler") as caught:
        UserPooler(body)(HIDDEN, MASK)
    assert fix in str(caught.value)


def test_other_errors_are_unchanged() -> None:
    def body(hidden, mask):
        raise RuntimeError("out of cheese")

    with pytest.raises(RuntimeError, match="out of cheese"):
        UserPooler(body)(HIDDEN, MASK)


@pytest.mark.parametrize(
    ("hidden", "mask", "message"),
    [
        (HIDDEN[0], MASK, r"\(batch, tokens, width\)"),
        (HIDDEN.transpose(1, 2), MASK, r"width D=16: use hidden.transpose\(1, 2\)"),
        (HIDDEN[..., :8], MASK, "width D=16: set hidden_dim=8"),
        (HIDDEN.long(), MASK, "token ids"),
        (HIDDEN, None, "mask is missing"),
        (HIDDEN, MASK.long(), r"mask.bool\(\)"),
        (HIDDEN, MASK[:, :5], r"\(4, 5\) but hidden is \(4, 7, 16\)"),
    ],
)
def test_wrong_inputs_of_a_pooler_are_rejected(hidden, mask, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        shape_checks.check_hidden_and_mask(hidden, mask, 16)


def test_a_head_of_another_width_is_rejected() -> None:
    with pytest.raises(ShapeError, match=r"pooler\.output_dim"):
        shape_checks.check_head(65, 64)


def test_logits_of_every_token_mean_that_pooling_is_missing() -> None:
    with pytest.raises(ShapeError, match="pooling between encoder and head is missing"):
        shape_checks.check_logits_and_labels(torch.zeros(4, 7, 2), torch.zeros(4).long())


@pytest.mark.parametrize("labels", [torch.zeros(3), torch.zeros(4, 2)], ids=["fewer", "one-hot"])
def test_labels_that_do_not_match_the_logits_are_rejected(labels: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match="one class index per text"):
        shape_checks.check_logits_and_labels(torch.zeros(4, 2), labels.long())


@pytest.mark.parametrize("labels", [[0, 1, 2], [1, 2], [-1, 0]])
def test_labels_outside_the_classes_are_rejected(labels: list[int]) -> None:
    with pytest.raises(ShapeError, match=r"must lie in 0\.\.1"):
        shape_checks.check_labels(torch.tensor(labels), num_classes=2)


def test_a_sequence_longer_than_the_positions_is_rejected() -> None:
    with pytest.raises(ShapeError, match=r"set encoder\.max_length=512"):
        shape_checks.check_length(600, 512, "minilm")
