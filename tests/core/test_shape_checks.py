"""Every shape mistake between an encoder and the labels says what is wrong and what to do."""

import pytest
import torch
from torch import nn

from poolbench.core import shape_checks as shapes
from poolbench.core.shape_checks import ShapeError
from poolbench.encoders.layer_mix import OneLayer
from poolbench.poolers.base import Pooler
from poolbench.poolers.mean import MeanPooler
from poolbench.training.model import LinearHead, PooledClassifier

HIDDEN = torch.randn(4, 7, 16)
MASK = torch.ones(4, 7, dtype=torch.bool)


class UserPooler(Pooler):
    """A pooler that somebody is still writing: ``body`` is its forward."""

    permutation_invariant = False

    def __init__(self, body) -> None:
        super().__init__(hidden_dim=16)
        self.body = body

    def forward(self, hidden, mask):
        return self.body(hidden, mask)


CONV = nn.Conv1d(16, 8, kernel_size=3)
MISTAKES = {
    "a Conv1d fed (B, T, D)": (lambda h, m: CONV(h).amax(2), "transpose(1, 2)"),
    "no pooling": (lambda h, m: h, "the token axis is still there"),
    "reduced over the batch": (lambda h, m: h.mean(0), "never dim=0"),
    "a bare squeeze": (lambda h, m: h.mean(1)[0], "squeeze"),
    "a width that was not declared": (lambda h, m: h.mean(1).repeat(1, 2), "output_dim=32"),
    "a linear layer of another width": (lambda h, m: nn.Linear(8, 16)(h).mean(1), "width 8"),
    "a mask without a width axis": (lambda h, m: (h * m).sum(1), "mask.unsqueeze(-1)"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_inside_a_pooler_names_axes_and_mend(mistake: str) -> None:
    body, mend = MISTAKES[mistake]
    with pytest.raises(ShapeError, match=r"[Pp]ooler") as caught:
        UserPooler(body)(HIDDEN, MASK)
    assert mend in str(caught.value)


def test_other_errors_keep_their_own_words() -> None:
    def body(hidden, mask):
        raise RuntimeError("out of cheese")

    with pytest.raises(RuntimeError, match="out of cheese"):
        UserPooler(body)(HIDDEN, MASK)


def test_a_head_of_another_width_is_refused_when_it_is_put_together(scratch_encoder) -> None:
    with pytest.raises(ShapeError, match=r"pooler\.output_dim"):
        PooledClassifier(scratch_encoder, OneLayer(64, 2, -1), MeanPooler(64), LinearHead(65, 2))


def test_logits_of_every_token_mean_that_pooling_is_missing() -> None:
    with pytest.raises(ShapeError, match="no pooling between encoder and head"):
        shapes.check_logits_and_labels(torch.zeros(4, 7, 2), torch.zeros(4).long())


@pytest.mark.parametrize("labels", [torch.zeros(3), torch.zeros(4, 2)], ids=["fewer", "one-hot"])
def test_labels_that_do_not_fit_the_logits_are_refused(labels: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match="one class index for each text"):
        shapes.check_logits_and_labels(torch.zeros(4, 2), labels.long())


@pytest.mark.parametrize("labels", [[0, 1, 2], [1, 2], [-1, 0]])
def test_labels_outside_the_classes_are_refused(labels: list[int]) -> None:
    with pytest.raises(ShapeError, match=r"must lie in 0\.\.1"):
        shapes.check_labels(torch.tensor(labels), num_classes=2)


def test_a_sequence_beyond_the_positions_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"set encoder\.max_length=512"):
        shapes.check_length(600, 512, "minilm")
