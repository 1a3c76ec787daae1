"""The base class checks inputs; constructors declare the range of their knobs, once."""

import inspect
import subprocess
import sys
from typing import get_type_hints

import pydantic
import pytest
import torch
from hydra.utils import get_object
from omegaconf import OmegaConf

from poolbench.core.shape_checks import ShapeError
from poolbench.poolers.controls import MlpMeanPooler, ProjectedMeanPooler
from tests.poolers.supplied import ROOT, WIDTH, batch, close, make, texts

FILES = {
    path.relative_to(ROOT / "conf/pooler").with_suffix("").as_posix(): path
    for path in sorted((ROOT / "conf/pooler").rglob("*.yaml"))
}
STRICT = pydantic.ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


def test_extra_inputs_are_exactly_those_needed() -> None:
    hidden, mask = batch(texts())
    ids, pooler = mask.long(), make("idf_mean")
    assert pooler(hidden, mask, token_ids=ids).shape == (4, WIDTH)
    for words, given in {
        "needs token_ids": {},
        "takes no layers": {"token_ids": ids, "layers": hidden.unsqueeze(2)},
        r"token_ids are \(4, 11\)": {"token_ids": ids[:, 1:]},
    }.items():
        with pytest.raises(ShapeError, match=words):
            pooler(hidden, mask, **given)


@pytest.mark.parametrize("name", FILES)
def test_yaml_defaults_are_the_defaults_of_the_constructor(name: str) -> None:
    knobs = OmegaConf.to_container(OmegaConf.load(FILES[name]))
    pooler_class = get_object(knobs.pop("_target_"))
    parameters = dict(inspect.signature(pooler_class.__init__).parameters)
    knobs_of_class = (
        parameters.keys() - {"self", "hidden_dim"} - {"depth", "token_counts", "native_head"}
    )
    assert knobs.keys() == knobs_of_class
    for knob, value in knobs.items():
        default = parameters[knob].default
        expected = list(default) if isinstance(default, tuple) else default
        assert expected is inspect.Parameter.empty or value == expected, knob


@pytest.mark.parametrize("name", FILES)
def test_annotations_accept_the_defaults_and_reject_values_out_of_range(name: str) -> None:
    knobs = OmegaConf.to_container(OmegaConf.load(FILES[name]))
    hints = get_type_hints(get_object(knobs.pop("_target_")).__init__, include_extras=True)
    for knob, value in knobs.items():
        check = pydantic.TypeAdapter(hints[knob], config=STRICT).validate_python
        if not str(value).startswith("${"):
            check(value)
        for wrong in ("many", -1, [], [0], float("nan"), float("inf")):
            with pytest.raises(pydantic.ValidationError):
                check(wrong)


@pytest.mark.parametrize(
    ("name", "knob", "wrong"),
    [
        ("power_mean", "power", 0.0),
        ("logsumexp", "r", 0.0),
        ("soft_max", "temperature", 0.0),
        ("topk_mean", "k", 0),
        ("window_mean_max", "window", 1),
        ("positional_mean", "positions", 1),
        ("gated_conv", "kernel_size", 1),
        ("sliced_wasserstein", "points", 1),
        ("conv", "kernel_sizes", [2, 0]),
        ("ema_max", "alpha", 0.0),
        ("pagerank", "damping", 0.9),
        ("token_graph", "layers", 0),
        ("rolling_max_attention", "window", 0),
    ],
)
def test_the_least_value_of_a_knob_is_declared(name: str, knob: str, wrong: object) -> None:
    pooler_class = get_object(OmegaConf.load(FILES[name])._target_)
    hint = get_type_hints(pooler_class.__init__, include_extras=True)[knob]
    with pytest.raises(pydantic.ValidationError):
        pydantic.TypeAdapter(hint, config=STRICT).validate_python(wrong)


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("multihead_attention", {"heads": 3}),
        ("latent_attention", {"heads": 3}),
        ("transformer_layer", {"heads": 3}),
        ("max_pool_bert", {"heads": 3}),
        ("ada_pool", {"heads": 3}),
        ("layer_attention", {"heads": 3}),
        ("bag_of_windows", {"heads": 3}),
        ("bag_of_windows", {"stride": 6}),
        ("efficient_probing", {"queries": 3}),
        ("gated_conv", {"kernel_size": 4}),
    ],
)
def test_knobs_that_do_not_fit_are_rejected_by_name(name: str, knobs: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(knobs))}="):
        make(name, **knobs)


def test_poolers_need_neither_lightning_nor_a_training_library() -> None:
    code = """
import importlib, pkgutil, sys
import poolbench.poolers
for module in pkgutil.iter_modules(poolbench.poolers.__path__):
    importlib.import_module(f"poolbench.poolers.{module.name}")
heavy = {"pytorch_lightning", "transformers", "datasets", "hydra", "wandb"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_projection_of_the_width_control_does_not_depend_on_the_seed_of_the_run() -> None:
    one = ProjectedMeanPooler(8, width=24)
    torch.manual_seed(1)
    assert torch.equal(one.projection, ProjectedMeanPooler(8, width=24).projection)
    other = ProjectedMeanPooler(8, width=24, init_seed=1)
    assert not torch.equal(one.projection, other.projection)
    hidden, mask = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    close(one(hidden, mask), hidden.mean(dim=1) @ one.projection)


def parameters(pooler: torch.nn.Module) -> int:
    return sum(p.numel() for p in pooler.parameters())


@pytest.mark.parametrize(
    "name", ["attention", "attentive_statistics", "conv", "multimax", "token_graph", "lstm"]
)
def test_the_parameter_control_matches_a_pooler_within_one_percent(name: str) -> None:
    pooler = make(name, hidden_dim=384)
    wanted = parameters(pooler)
    control = MlpMeanPooler(384, width=pooler.output_dim, parameters=wanted)
    assert parameters(control) == pytest.approx(wanted, rel=0.01)
    hidden, mask = torch.randn(2, 5, 384), torch.ones(2, 5, dtype=torch.bool)
    assert control(hidden, mask).shape == pooler(hidden, mask).shape


def test_too_few_parameters_for_a_control_are_rejected() -> None:
    with pytest.raises(ValueError, match="parameters=3080"):
        MlpMeanPooler(384, width=3072, parameters=3080)


def test_the_parameter_control_sees_the_mean_only() -> None:
    control = make("control/mlp_mean", hidden_dim=8, width=24, parameters=354)
    hidden, mask = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    mean = hidden.mean(dim=1, keepdim=True).expand_as(hidden)
    close(control(hidden, mask), control(mean, mask))


def test_without_edges_a_token_sees_itself_alone() -> None:
    graph, edgeless = (
        make(name, hidden_dim=8) for name in ("token_graph", "control/edgeless_graph")
    )
    edgeless.load_state_dict(graph.state_dict())  # the same parameters
    for pooler in (graph, edgeless):
        torch.nn.init.zeros_(pooler.readout.score.weight)  # equal weights
    factors = torch.linspace(0.5, 2, 7)
    hidden = factors.view(1, 7, 1) * torch.randn(1, 1, 8)  # one direction: all cosines are 1
    alone = edgeless(hidden.transpose(0, 1), torch.ones(7, 1, dtype=torch.bool))
    mask = torch.ones(1, 7, dtype=torch.bool)
    close(edgeless(hidden, mask), alone.mean(dim=0, keepdim=True))
    assert not torch.allclose(graph(hidden, mask), edgeless(hidden, mask))


def test_the_experiment_with_controls_has_the_size_of_its_pooler() -> None:
    experiment = OmegaConf.load(ROOT / "conf/experiment/matched_controls.yaml")
    pooler = make("token_graph", hidden_dim=384)
    assert experiment.matched == {"width": pooler.output_dim, "parameters": parameters(pooler)}
