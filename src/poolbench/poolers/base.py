"""The contract every pooler keeps.

Shape letters, here and everywhere: B batch, T tokens, D hidden width, P pooled width, C classes,
H heads, K queries, L layers.

It exists so that one pooler can take another's place in any model: the encoder says ``hidden_dim``,
the pooler answers with ``output_dim``, the head is built from that, and nobody repeats a number.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from poolbench.core.shape_checks import (
    check_hidden_and_mask,
    check_pooled,
    check_supplied,
    explained,
)

Need = Literal["token_ids", "layers", "token_counts", "native_head"]


class Beside(NamedTuple):
    """What stands beside the states of a batch, for the few poolers that need it.

    Attributes:
        token_ids: as the encoder got them.
        layers: the states of the layers that the pooler's ``reads`` names, in its order.
    """

    token_ids: Int[Tensor, "B T"] | None = None
    layers: Float[Tensor, "B T R D"] | None = None


class Pooler(nn.Module, ABC):
    """One vector for each text, from the states of its tokens.

    A subclass sets ``output_dim`` where it differs from ``hidden_dim``, declares
    ``permutation_invariant``, and writes ``forward``. A row with no valid token gives zeros.
    """

    permutation_invariant: ClassVar[bool]
    """Does the order of a text's tokens leave ``pooled`` as it is? The tests hold it to this."""

    reads_special: ClassVar[bool] = False
    """Is it about a special token such as [CLS]? Then there is nothing to pool without them."""

    reads_padding: ClassVar[bool] = False
    """Does ``pooled`` depend on the batch around a text? Only a pitfall's may."""

    needs: ClassVar[frozenset[Need]] = frozenset()
    """What it needs beyond (hidden, mask), as keyword arguments of the same names:

    * of ``forward``: ``token_ids`` and ``layers``, see ``Beside``;
    * of ``__init__``: ``token_counts``, how often each token id occurs in the training split, (V,);
      ``native_head``, the one of the encoder's family (``native.py``).
    """

    reads: tuple[int, ...] = ()
    """With ``layers`` in ``needs``: which ones, counted from the end, -1 being the last."""

    weighs: ClassVar[str | None] = None
    """What its ``shares`` are, in a few words; None where tokens have no weight of their own."""

    extra_loss: Tensor | None = None
    """Set by ``forward`` where a pooler has a penalty: added to the loss while training."""

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.hidden_dim = hidden_dim
        self.output_dim = hidden_dim

    @abstractmethod
    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B P"]:
        """``pooled``; ``mask`` is True on the tokens to pool."""

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        """How much of ``pooled`` each token makes up, 1 in all: only where the pooler ``weighs``.

        Of several weights for a token (heads, queries, dimensions) it is their mean.
        """
        raise TypeError(f"{type(self).__name__} gives tokens no weight")

    def __call__(
        self, hidden: Tensor, mask: Tensor | None = None, beside: Beside | None = None
    ) -> Tensor:
        """``forward`` between two checks.

        Raises:
            ShapeError: wrong rank, width, dtype, mask, something missing that the pooler ``needs``,
                or a result that is not (B, output_dim).
        """
        check_hidden_and_mask(hidden, mask, self.hidden_dim)
        given = self._asked(beside or Beside(), hidden) if self.needs else {}
        try:
            pooled: Tensor = super().__call__(hidden, mask, **given)
        except RuntimeError as error:
            raise explained(error, type(self).__name__) from error
        check_pooled(pooled, hidden, self.output_dim)
        return pooled

    def _asked(self, beside: Beside, hidden: Tensor) -> dict[str, Tensor]:
        given = {}
        if "token_ids" in self.needs:
            given["token_ids"] = check_supplied("token_ids", beside.token_ids, hidden)
        if "layers" in self.needs:
            given["layers"] = check_supplied("layers", beside.layers, hidden)
        return given
