"""Every pitfall breaks the lines of the contract that it should, those only; its twin none."""

import pytest
import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from poolbench.training.launch import CONF, check_command
from scripts.pitfalls import TWINS
from tests.poolers.contract import CONTRACT, batch, texts
from tests.poolers.supplied import build
from tests.poolers.test_contract import POOLERS

# The lines that each breaks.
BREAKS = {
    # Padding is read (t01, t08), in an empty row nothing else (t05), and its amount counts.
    "unmasked_mean": {"t01", "t02", "t04", "t05", "t08"},
    "unmasked_max": {"t01", "t02", "t04", "t05", "t08"},
    # What stands in the padding is overwritten; whether there is any still counts.
    "zero_padded_max": {"t02", "t04"},
    # Right under right padding, except that an empty row has no token at index 0 either (t05).
    "position_zero": {"t03", "t05"},
    # Right for the longest text of a batch alone: of all others not even the order is seen (t11).
    "final_position": {"t01", "t02", "t03", "t04", "t05", "t08", "t11"},
    # Padding is zeroed first, but the layout follows the length of the batch; torch compiles once
    # more for T = D, the one length at which view moves nothing (t15).
    "view_conv": {"t02", "t03", "t04", "t15"},
}
LINES = [(name, line) for name in BREAKS for line in CONTRACT]


def test_every_pitfall_is_here() -> None:
    names = {path.stem for path in (CONF / "pooler/pitfall").glob("*.yaml")}
    assert names == set(BREAKS) == set(TWINS)


@pytest.mark.parametrize(("name", "line"), LINES)
def test_a_pitfall_breaks_these_lines_and_no_others(name: str, line: str) -> None:
    def check() -> None:
        CONTRACT[line](lambda: build(f"pitfall/{name}"))

    if line[:3] not in BREAKS[name]:
        check()
        return
    with pytest.raises(AssertionError):
        check()


@pytest.mark.parametrize("name", BREAKS)
def test_a_pitfall_differs_from_its_twin_by_the_mistake_alone(name: str) -> None:
    twin = TWINS[name]
    pitfall, right = build(f"pitfall/{name}"), build(twin)
    (text,) = texts()[2:3]
    arguments = batch([text])
    if name == "view_conv":
        # With all tokens alike there is one layout only: a filter sees one column again and again.
        arguments = torch.ones_like(arguments[0]), arguments[1]
    assert torch.equal(pitfall(*arguments), right(*arguments))
    assert pitfall.permutation_invariant == right.permutation_invariant
    assert f"twin is ``{twin}``" in " ".join((pitfall.__doc__ or "").split())
    knobs = [
        {k: v for k, v in OmegaConf.load(CONF / f"pooler/{n}.yaml").items() if k != "_target_"}
        for n in (f"pitfall/{name}", twin)
    ]
    assert knobs[0] == knobs[1]


def test_sweeps_over_all_poolers_leave_the_pitfalls_out() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        options = GlobalHydra.instance().config_loader().get_group_options("pooler")
    assert sorted(options) == POOLERS
    assert not set(options) & set(BREAKS)


@pytest.mark.parametrize("name", BREAKS)
def test_a_pitfall_can_be_asked_for_by_name(name: str) -> None:
    check_command([f"pooler=pitfall/{name}"], multirun=False)
