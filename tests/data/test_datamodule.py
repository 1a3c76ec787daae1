"""batching=packed, padded and grouped: what runs, and what the record says of it."""

import pytest

from poolbench.runs.record import read_predictions
from tests.conftest import asked

FULL = ["encoder=scratch", "encoder.tuning=full", "batch_size=8", "trainer.max_epochs=1"]


def test_records_say_which_batches_were_computed_and_how(run) -> None:
    packed, padded, grouped = (
        run(*FULL, f"batching={how}") for how in ("packed", "padded", "grouped")
    )
    assert [r["batching"] for r in (packed, padded, grouped)] == ["packed", "padded", "grouped"]
    assert packed["kernels"]["attention"] == "matrix products"
    assert padded["kernels"]["attention"] == "sdpa"
    assert {"float32_products", "sdpa"} <= packed["kernels"].keys()
    assert packed["digests"]["order"] == padded["digests"]["order"] != grouped["digests"]["order"]
    ratio = [r["metrics"]["perf/padding_ratio"] for r in (packed, grouped, padded)]
    assert ratio[0] < ratio[2]
    assert ratio[1] < ratio[2]
    assert len({r["cell"]["digest"] for r in (packed, padded, grouped)}) == 3
    said = [any("like length" in caveat for caveat in r["caveats"]) for r in (packed, grouped)]
    assert said == [False, True]


@pytest.mark.parametrize(
    "encoder",
    [["encoder=scratch", "encoder.model_type=mpnet"], ["encoder=scratch"], ["encoder=embedding"]],
)
def test_what_cannot_pack_pads_and_says_so(run, encoder: list[str]) -> None:
    record = run(*encoder, "batching=packed", "trainer.max_epochs=1", "encoder.tuning=frozen")
    assert record["config"]["batching"] == "packed"
    assert record["batching"] == "padded"


def test_packed_and_padded_encoders_lead_to_the_same_predictions(run) -> None:
    """Frozen, so that dropout does not draw: what differs is rounding."""
    logits = []
    for how in ("packed", "padded"):
        for cache in ("disk", "off"):
            record = run("encoder=scratch", f"batching={how}", f"cache={cache}")
            assert record["batching"] == (
                "packed" if (how, cache) == ("packed", "off") else "padded"
            )
            logits.append(read_predictions(record["folder"]).logits)
    for other in logits[1:]:
        assert other == pytest.approx(logits[0], abs=1e-3)


def test_packing_is_the_default() -> None:
    assert asked().cfg.batching == "packed"
