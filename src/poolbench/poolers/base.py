"""The contract every pooler keeps.

Shape letters, here and everywhere: B batch, T tokens, D hidden width, P pooled width, C classes,
H heads, K queries, L layers.

It exists so that one pooler can take another's place in any model: the encoder says ``hidden_dim``,
the pooler answers with ``output_dim``, the head is built from that, and nobody repeats a number.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor, nn

from poolbench.shapes import check_hidden_and_mask, check_pooled, explained


class Pooler(nn.Module, ABC):
    """One vector for each text, from the states of its tokens.

    A subclass sets ``output_dim`` where it differs from ``hidden_dim``, declares
    ``permutation_invariant``, and writes ``forward``. A row with no valid token gives zeros.
    """

    permutation_invariant: ClassVar[bool]
    """Does the order of a text's tokens leave ``pooled`` as it is? The tests hold it to this."""

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.hidden_dim = hidden_dim
        self.output_dim = hidden_dim

    @abstractmethod
    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B P"]:
        """``pooled``; ``mask`` is True on the tokens to pool."""

    def __call__(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """``forward`` between two checks.

        Raises:
            ShapeError: wrong rank, width, dtype, mask, or a result that is not (B, output_dim).
        """
        check_hidden_and_mask(hidden, mask, self.hidden_dim)
        try:
            pooled: Tensor = super().__call__(hidden, mask)
        except RuntimeError as error:
            raise explained(error, type(self).__name__) from error
        check_pooled(pooled, hidden, self.output_dim)
        return pooled
