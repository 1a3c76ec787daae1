import torch
from jaxtyping import Float
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size, TokenWeights


class SelfAttentivePooler(Pooler):
    """r concatenated weighted means, A = softmax(W2 tanh(W1 X')), P = r D (Lin et al., 2017).

    r is ``hops``. ``penalty`` times ||A A' - I||_F^2, averaged over the texts of a batch, is added
    to the training loss: the means then attend to different tokens.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = SelfAttentivePooler(hidden_dim=1, hops=2, projection=1)
        >>> _ = nn.init.zeros_(pooler.score.weight)  # equal scores: two equal means
        >>> pooler(hidden, mask).detach()
        tensor([[4., 4.]])
        >>> pooler.extra_loss.detach()  # A A' is 1/2 everywhere: 4 * (1/2)^2
        tensor(1.)
    """

    permutation_invariant = True
    weights_label = "attention, mean over hops"

    def __init__(
        self,
        hidden_dim: int,
        hops: Size = 4,
        projection: Size = 128,
        penalty: NonNegativeFloat = 1.0,
    ) -> None:
        super().__init__(hidden_dim)
        self.output_dim = hops * hidden_dim
        self.hops, self.penalty = hops, penalty
        self.project = nn.Linear(hidden_dim, projection, bias=False)
        self.score = nn.Linear(projection, hops, bias=False)

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        weights = self._attention(hidden, mask)
        if self.penalty:
            overlap = weights @ weights.transpose(1, 2) - torch.eye(self.hops, device=hidden.device)
            self.extra_loss = self.penalty * overlap.square().sum(dim=(1, 2)).mean()
        pooled = weights @ masked.fill(hidden, mask, 0.0).to(weights.dtype)  # (B, r, D)
        return pooled.flatten(1).to(hidden.dtype)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        return self._attention(hidden, mask).mean(dim=1)

    def _attention(self, hidden: Tensor, mask: Tensor) -> Float[Tensor, "B r T"]:
        scores = masked.per_token(lambda x: self.score(self.project(x).tanh()), hidden, mask)
        return masked.softmax(scores.transpose(1, 2), mask.unsqueeze(1))
