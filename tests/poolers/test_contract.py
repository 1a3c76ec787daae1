"""Every pooler in conf/pooler keeps every line of the contract."""

import copy

import pytest
import torch
from omegaconf import OmegaConf

from poolbench.poolers.contract import LINES, measure
from poolbench.poolers.subject import Subject
from tests.poolers.supplied import POOLERS, ROOT, close, make, subject

# Knobs that lead through other code than the defaults.
OTHER_KNOBS = [
    ("power_mean", {"power": 1.7, "learned": True}),
    ("multihead_attention", {"heads": 2, "queries": 3}),
    ("positional_mean", {"positions": 3}),
    ("gated_conv", {"kernel_size": 5, "layers": 3, "dilation": 2}),
    ("gru", {"reduce": "last"}),
    ("lstm", {"reduce": "mean"}),
    ("sliced_wasserstein", {"slices": 5, "points": 4}),
    ("topk_mean", {"k": 100}),
    ("rolling_max_attention", {"window": 2}),
    ("bag_of_windows", {"window": 4, "stride": 4}),
    ("token_graph", {"layers": 1, "threshold": 0.8}),
    ("ema_max", {"alpha": 0.01}),
    ("control/projected_mean", {"width": 24}),
    ("control/mlp_mean", {"width": 24, "parameters": 434}),
]
CASES = [*((name, {}) for name in POOLERS), *OTHER_KNOBS]


def assert_kept(of: Subject) -> None:
    for name, line in measure(of).items():
        if not line["kept"]:
            result = LINES[name].result(of)  # raises the pooler's own error, if there is one
            pytest.fail(f"{name}: {line['promise']}: {result} {line}")


@pytest.mark.parametrize(("name", "knobs"), CASES)
def test_pooler_keeps_the_contract(name: str, knobs: dict[str, object]) -> None:
    assert_kept(subject(make(name, **knobs)))


def test_the_contract_has_fifteen_lines() -> None:
    assert {name.split()[0] for name in LINES} == {f"T{i}" for i in range(1, 16)}


def test_measuring_leaves_pooler_and_inputs_as_they_are() -> None:
    of = subject(make("self_attentive").train())
    of.pooled()  # leaves a penalty with a gradient behind
    weights = copy.deepcopy(of.pooler.state_dict())
    inputs = of.hidden.clone(), of.mask.clone()
    assert measure(of)["T7"]["kept"]
    assert of.pooler.training
    for name, value in of.pooler.state_dict().items():
        assert torch.equal(value, weights[name])
        assert value.dtype == weights[name].dtype
    assert all(parameter.grad is None for parameter in of.pooler.parameters())
    assert torch.equal(of.hidden, inputs[0])
    assert torch.equal(of.mask, inputs[1])


def test_states_from_inference_mode_can_be_measured() -> None:
    with torch.inference_mode():
        of = subject(make("attention"))
        measured = measure(of)
    assert all(line["kept"] for line in measured.values())


def test_a_deviation_that_is_not_finite_is_none_and_not_kept() -> None:
    line = measure(subject(make("pitfall/unmasked_mean")))["T1"]
    assert line["deviation"] is None
    assert line["limit"] is not None
    assert not line["kept"]


@pytest.mark.parametrize("name", POOLERS)
def test_pooler_gives_the_same_without_gradients(name: str) -> None:
    # torch's attention modules have another code path then.
    of = subject(make(name))
    of.mask[0] = False
    expected = of.pooled()
    with torch.inference_mode():
        close(of.pooled(), expected)


def test_a_pooler_is_one_py_and_one_yaml() -> None:
    for name in POOLERS:
        target = OmegaConf.load(ROOT / f"conf/pooler/{name}.yaml")._target_
        assert target.startswith("poolbench.poolers."), name
    configured = (OmegaConf.load(path)._target_ for path in (ROOT / "conf/pooler").rglob("*.yaml"))
    files = {path.stem for path in (ROOT / "src/poolbench/poolers").glob("*.py")}
    shared = {"__init__", "base", "contract", "masked", "subject", "across_windows"}
    assert files - shared == {target.split(".")[2] for target in configured}
