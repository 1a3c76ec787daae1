"""On long texts the mean loses one word among many; maxima of learned scores do not."""

from collections.abc import Callable

import pytest

from poolbench.runs.record import RunRecord

pytestmark = pytest.mark.slow
FULL = ["dataset.max_examples=null", "trainer.max_epochs=8"]  # tests are smaller by default


@pytest.mark.parametrize("seed", [0, 1])
def test_longer_texts_dilute_the_mean(run: Callable[..., RunRecord], seed: int) -> None:
    def areas(pooler: str, *changed: str) -> tuple[float, float]:
        """AUROC on texts as short as those of training, and on longer ones."""
        given = ("experiment=probes", *FULL, f"pooler={pooler}", f"seed={seed}", *changed)
        metrics = run(*given).metrics
        return metrics["best/val_auroc"], metrics["test/auroc"]

    short, long = areas("mean")
    _, less_long = areas("mean", "dataset.factor=4")
    assert short > 0.9
    assert long < less_long - 0.05 < short - 0.15
    for pooler in ("multimax", "rolling_max_attention"):
        short, long = areas(pooler)
        assert short > 0.99
        assert long > 0.97
