"""Components: types and ranges come from constructors, and only allowed code is built."""

from typing import Annotated, Literal

import pytest
from pydantic import Field, PositiveInt

from poolbench.poolers.mean import MeanPooler
from poolbench.training.components import (
    build,
    check_arguments,
    check_components,
    target_of,
)
from poolbench.training.launch import compose_runs
from tests.conftest import rejection


@pytest.mark.parametrize(
    "target",
    ["os.system", "poolbench.core.io.os.system", "poolbench.nowhere.Pooler", "poolbench.core.io"],
)
def test_only_allowed_targets_are_built(target: str) -> None:
    message = rejection(lambda: target_of({"_target_": target}))
    assert "not allowed" in message or "cannot be imported" in message


def test_targets_inside_values_are_not_built() -> None:
    inside = {"_target_": "poolbench.poolers.mean.MeanPooler", "hidden_dim": 4}
    assert isinstance(build(inside), MeanPooler)
    with pytest.raises(Exception, match="unexpected keyword argument"):
        build({**inside, "extra": {"_target_": "os.getcwd"}})


def example(
    hidden_dim: int,
    channels: PositiveInt = 128,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    sizes: list[PositiveInt] = [2, 3],  # noqa: B006
    side: Literal["left", "right"] = "right",
) -> None:
    """A constructor with knobs."""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"channels": 0}, "group.channels=0: expected greater than 0"),
        ({"channels": "64"}, "group.channels='64'"),
        ({"channels": True}, "group.channels=True"),
        ({"channels": 6.5}, "group.channels=6.5"),
        ({"dropout": 1.0}, "less than 1"),
        ({"dropout": float("nan")}, "finite"),
        ({"sizes": [2, "x"]}, "group.sizes.1='x'"),
        ({"sizes": 3}, "group.sizes=3"),
        ({"side": "up"}, "'left' or 'right'"),
        ({"chanels": 3}, "unknown key group.chanels, did you mean channels?"),
    ],
)
def test_knobs_are_checked_against_the_constructor(given: dict, message: str) -> None:
    assert message in rejection(lambda: check_arguments(example, given, "group"))


def test_a_whole_number_is_a_float_and_runtime_arguments_are_not_checked() -> None:
    check_arguments(example, {"dropout": 0, "channels": 3}, "group")


def test_every_component_of_a_configuration_is_checked() -> None:
    for command, message in {
        "encoder=scratch encoder.layers=0": "encoder.layers=0",
        "pooler=conv pooler.kernel_sizes=[]": "pooler.kernel_sizes",
        "head=mlp head.dropout=2": "head.dropout=2",
        "layers=layer layers.index=abc": "layers.index='abc'",
        "dataset.max_examples=0": "dataset.max_examples=0",
        "logger.mode=sometimes": "logger.mode='sometimes'",
        "optimizer._target_=os.system": "not allowed",
        "optimizer._target_=torch.optim.lr_scheduler.StepLR": "expected a Optimizer",
        "pooler._target_=torch.nn.Linear allow_targets=[torch.]": "expected a Pooler",
        "dataset._target_=poolbench.core.io.file_digest": "expected a DatasetDict",
    }.items():
        (request,) = compose_runs(*command.split())
        assert message in rejection(lambda config=request.config: check_components(config))


def test_errors_of_a_constructor_name_it() -> None:
    described = {"_target_": "poolbench.poolers.multihead_attention.MultiheadAttentionPooler"}
    assert "MultiheadAttentionPooler: " in rejection(
        lambda: build(described | {"heads": 7}, hidden_dim=16)
    )
