"""Every pitfall breaks the contract lines listed here and no others."""

import pytest
import torch
from omegaconf import OmegaConf

from poolbench.poolers.contract import measure
from tests.poolers.supplied import POOLERS, ROOT, batch, make, subject, texts

# The correct version, and the lines that the pitfall breaks.
PITFALLS = {
    # The content of padding is read (T1, T8; T5 has no other), and its amount counts.
    "unmasked_mean": ("mean", {"T1", "T2", "T4", "T5", "T8", "T12"}),
    "unmasked_max": ("max", {"T1", "T2", "T4", "T5", "T8", "T12"}),
    # The content of padding is overwritten, but whether there is any counts.
    "zero_padded_max": ("max", {"T2", "T4", "T12"}),
    # Right under right padding, except in a row without tokens (T5).
    "position_zero": ("cls", {"T3", "T5"}),
    # Right for the longest text of a batch only.
    "final_position": ("last", {"T1", "T2", "T3", "T4", "T5", "T8", "T12"}),
    # Padding is zeroed first, but the layout depends on the length of the batch.
    "view_conv": ("conv", {"T2", "T3", "T4", "T12"}),
}


def test_every_pitfall_is_listed_and_none_is_among_the_poolers() -> None:
    names = {path.stem for path in (ROOT / "conf/pooler/pitfall").glob("*.yaml")}
    assert names == set(PITFALLS)
    assert not names & set(POOLERS)
    assert all(make(f"pitfall/{name}").depends_on_padding for name in names)
    assert not any(make(name).depends_on_padding for name in POOLERS)


@pytest.mark.parametrize("name", PITFALLS)
def test_a_pitfall_breaks_these_lines_and_no_others(name: str) -> None:
    measured = measure(subject(make(f"pitfall/{name}")))
    assert {line for line, found in measured.items() if not found["kept"]} == PITFALLS[name][1]


@pytest.mark.parametrize("name", PITFALLS)
def test_without_padding_a_pitfall_equals_its_correct_version(name: str) -> None:
    correct_name = PITFALLS[name][0]
    pitfall, correct = make(f"pitfall/{name}"), make(correct_name)
    hidden, mask = batch(texts()[2:3])
    if name == "view_conv":
        hidden = torch.ones_like(hidden)  # any layout of equal numbers is the same
    assert torch.equal(pitfall(hidden, mask), correct(hidden, mask))
    assert pitfall.permutation_invariant == correct.permutation_invariant
    assert f"correct version is ``{correct_name}``" in " ".join((pitfall.__doc__ or "").split())
    knobs = [
        {k: v for k, v in OmegaConf.load(ROOT / f"conf/pooler/{n}.yaml").items() if k[0] != "_"}
        for n in (f"pitfall/{name}", correct_name)
    ]
    assert knobs[0] == knobs[1]
