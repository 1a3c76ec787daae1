import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class SelfAttentivePooler(Pooler):
    """r weighted means side by side, A = softmax(W2 tanh(W1 X')), P = r D (Lin et al., 2017).

    The penalty ||A A' - I||_F^2, mean over the texts of a batch, is added to the training loss: it
    keeps the hops on different, few tokens.

    Args:
        hidden_dim: D.
        hops: r, weighted means for each text.
        projection: width between W1 and W2.
        penalty: factor of ||A A' - I||_F^2; 0 leaves it away.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = SelfAttentivePooler(hidden_dim=1, hops=2, projection=1)
        >>> _ = nn.init.zeros_(pooler.score.weight)  # equal scores: two equal means
        >>> pooler(hidden, mask).detach()
        tensor([[4., 4.]])
        >>> pooler.extra_loss.detach()  # A A' is 1/2 everywhere: 4 times (1/2)^2
        tensor(1.)
    """

    permutation_invariant = True
    weighs = "attention, mean over hops"

    def __init__(
        self, hidden_dim: int, hops: int = 4, projection: int = 128, penalty: float = 1.0
    ) -> None:
        super().__init__(hidden_dim)
        self.hops, self.penalty = hops, penalty
        self.project = nn.Linear(hidden_dim, projection, bias=False)
        self.score = nn.Linear(projection, hops, bias=False)
        self.output_dim = hops * hidden_dim

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B P"]:
        clean = masked.fill(hidden, mask, 0.0)
        weights = self._hops(clean, mask)
        if self.penalty:
            overlap = weights @ weights.transpose(1, 2) - torch.eye(self.hops, device=hidden.device)
            self.extra_loss = self.penalty * overlap.square().sum(dim=(1, 2)).mean()
        pooled = weights @ clean.to(weights.dtype)  # (B, r, D)
        return pooled.flatten(1).to(hidden.dtype)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        return self._hops(masked.fill(hidden, mask, 0.0), mask).mean(dim=1)

    def _hops(self, clean: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Tensor:
        scores = masked.by_token(self._score, clean, mask).transpose(1, 2)  # (B, r, T)
        return masked.softmax(scores, mask.unsqueeze(1).expand_as(scores))

    def _score(self, tokens: Float[Tensor, "N D"]) -> Float[Tensor, "N r"]:
        scores: Tensor = self.score(self.project(tokens).tanh())
        return scores
