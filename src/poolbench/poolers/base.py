"""Base classes of poolers: hidden states (B, T, D) and a mask (B, T) to one vector per text (B, P).

Shape letters: B batch, T tokens, D hidden width, P pooled width, C classes, H heads, K queries,
L layers. Widths are attributes, not configuration: a pooler is built with the encoder's
``hidden_dim``, the head with the pooler's ``output_dim``.
"""

from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from poolbench.core.shape_checks import ShapeError, check_hidden_and_mask, check_pooled, explained
from poolbench.poolers import masked

Hidden = masked.Hidden
Mask = masked.Mask
Pooled = Float[Tensor, "B P"]
TokenWeights = Float[Tensor, "B T"]

# Of a width or a count in a constructor: a larger one fills the memory before it can be checked.
Size = Annotated[int, Field(gt=0, le=65_536)]
Need = Literal["token_ids", "layers", "positions", "depth", "token_counts", "native_head"]
EXTRA_INPUTS = frozenset(
    {"token_ids", "layers", "positions"}
)  # the needs that are arguments of forward


class Pooler(nn.Module, ABC):
    """One vector per text, computed from the hidden states of its tokens; zeros without tokens.

    A subclass declares ``permutation_invariant``, implements ``forward``, and sets ``output_dim``
    where it differs from ``hidden_dim``. ``contract.py`` measures what a pooler promises.

    Attributes:
        permutation_invariant: whether ``pooled`` is independent of the order of the tokens.
        needs_special_tokens: whether it pools a special token such as [CLS].
        depends_on_padding: whether ``pooled`` depends on the rest of the batch; pitfalls only.
        graph_break: whether ``torch.compile`` needs several graphs for it.
        needs: inputs beyond (hidden, mask), passed as keyword arguments of the same names. Of
            ``forward``: ``token_ids`` (B, T), ``layers`` (B, T, L, D), the states of the layers in
            ``layer_indices``, and ``positions`` (B, T), those of the tokens in their text. Of
            ``__init__``: ``depth``, the number of the encoder's layers above its embeddings,
            ``token_counts`` (V,), the frequency of each token id in the training split, and
            ``native_head``, see ``native.py``.
        layer_indices: encoder layers, counted from the end: -1 is the last.
        weights_label: what ``token_weights`` are, in a few words; None if there are none.
        extra_loss: a penalty, set by ``forward`` and added to the training loss.
    """

    permutation_invariant: ClassVar[bool]
    needs_special_tokens: bool = False
    depends_on_padding: bool = False
    graph_break: bool = False
    needs: frozenset[Need] = frozenset()
    weights_label: str | None = None
    layer_indices: tuple[int, ...] = ()
    extra_loss: Tensor | None = None

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.hidden_dim = self.output_dim = hidden_dim

    @abstractmethod
    def forward(self, hidden: Hidden, mask: Mask, *args: Any, **extra_inputs: Any) -> Pooled:
        """``pooled``; ``mask`` is True on the tokens to pool."""

    def token_weights(self, hidden: Hidden, mask: Mask, *args: Any, **kwargs: Any) -> TokenWeights:
        """How much each token contributes to ``pooled``: non-negative, 0 at masked positions.

        Weights in several heads, queries or dimensions are averaged. Takes what ``forward`` takes.
        """
        raise TypeError(f"{type(self).__name__} has no token weights")

    def __call__(
        self, hidden: Tensor, mask: Tensor | None = None, **extra_inputs: Tensor
    ) -> Tensor:
        """``forward`` with its arguments and its result checked.

        Raises:
            ShapeError: wrong rank, width, dtype or mask; an extra input that is missing, not in
                ``needs`` or of another batch; a result that is not (B, output_dim).
        """
        check_hidden_and_mask(hidden, mask, self.hidden_dim)
        self._check_extra_inputs(extra_inputs, hidden)
        try:
            pooled: Tensor = super().__call__(hidden, mask, **extra_inputs)
        except RuntimeError as error:
            raise explained(error, type(self).__name__) from error
        check_pooled(pooled, hidden, self.output_dim)
        return pooled

    def _check_extra_inputs(self, extra_inputs: dict[str, Tensor], hidden: Tensor) -> None:
        name, needed = type(self).__name__, EXTRA_INPUTS & self.needs
        for key in sorted(needed - extra_inputs.keys()):
            raise ShapeError(f"{name} needs {key}: pass it by keyword, {key}=...")
        for key, value in extra_inputs.items():
            if key not in needed:
                raise ShapeError(f"{name} takes no {key}: pass only the inputs in its needs")
            if value.shape[:2] != hidden.shape[:2]:
                raise ShapeError(
                    f"{key} are {tuple(value.shape)} but hidden is {tuple(hidden.shape)}: expected "
                    "the same (B, T); take both from the same batch"
                )


def multihead(hidden_dim: int, heads: int, bias: bool = True) -> nn.MultiheadAttention:
    """Multi-head attention between states (B, T, D).

    Raises:
        ValueError: ``heads`` does not divide D.
    """
    check_divides("heads", heads, hidden_dim)
    return nn.MultiheadAttention(hidden_dim, heads, bias=bias, batch_first=True)


def check_divides(name: str, value: int, hidden_dim: int) -> None:
    """Raise a ValueError if an option of this name and value does not divide D."""
    if hidden_dim % value:
        raise ValueError(f"{name}={value} does not divide hidden_dim={hidden_dim}")


class WeightedSumPooler(Pooler):
    """A weighted sum of tokens, sum_t w_t x_t: a subclass implements ``token_weights`` only.

    The weights are in float32 or wider, 0 at masked positions and in rows without tokens.
    """

    def forward(self, hidden: Hidden, mask: Mask, *args: Any, **extra_inputs: Any) -> Pooled:
        weights = self.token_weights(hidden, mask, *args, **extra_inputs)
        return masked.weighted_sum(hidden, weights, mask)
