"""Any value at any key of the configuration: it works, or it is rejected in one line."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poolbench.runs.identity import flatten
from poolbench.training import sweep
from poolbench.training.config import RunRequest, validate
from poolbench.training.launch import compose_runs
from poolbench.training.session import Session
from tests.conftest import SMALL, TINY, works

COMMANDS = [
    ["pooler=conv", "head=mlp", *TINY],
    ["pooler=multihead_attention", "layers=last4_mean", *TINY, "encoder.layers=4"],
    ["pooler=topk_mean", "dataset=presence", "encoder=embedding"],
]
EXTREMES = [
    *(None, True, False, 0, 1, -1, 3, 10**6, 2**31, 2**63, -(2**63), 10**30),
    *(0.0, 0.5, -0.5, 1.0, 1e-300, 1e300, float("inf"), float("nan")),
    *("", " ", "abc", "-1", "1", "null", "²", "../x", "a/b", "~", "x" * 5000, "a\x00b", "\ud800"),
    *([], [0], [1, 2], [[1]], ["a"], [None], {}, {"a": 1}, {"_target_": "os.getcwd"}),
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> list[RunRequest]:
    output = tmp_path_factory.mktemp("outputs")
    return [r for c in COMMANDS for r in compose_runs(*SMALL, *c, f"output_dir={output}")]


def plans(request: RunRequest, key: str, value: object, session: Session) -> bool:
    """Whether a run can be planned after a change of one value."""
    values = copy.deepcopy(request.config.model_dump(by_alias=True))
    *groups, last = key.split(".")
    node: dict[str, Any] = values
    for group in groups:
        node = node[group]
    node[last] = value

    def plan() -> None:
        config = validate(values)
        sweep.plan([RunRequest(config, config.seed, request.names, ())], session)

    return works(plan)


def keys(request: RunRequest) -> list[str]:
    """Every key of the configuration, and every group."""
    values = request.config.model_dump(by_alias=True)
    return sorted({k for k, _ in flatten(values)} | {k for k, v in values.items() if v})


def check_all(
    requests: list[RunRequest], values: list[object], session: Session
) -> tuple[int, int]:
    tried = accepted = 0
    for request in requests:
        for key in keys(request):
            for value in values:
                tried += 1
                accepted += plans(request, key, value, session)
    return tried, accepted


def test_extreme_values_of_every_key(requests: list[RunRequest], session: Session) -> None:
    tried, accepted = check_all(requests[:1], EXTREMES[::10], session)
    assert tried > 200
    assert 0 < accepted < tried / 3


@pytest.mark.slow
def test_more_extreme_values_of_every_key(requests: list[RunRequest], session: Session) -> None:
    tried, accepted = check_all(requests[1:], EXTREMES[::4], session)
    assert tried > 1000
    assert 0 < accepted < tried / 3


@pytest.mark.slow
@settings(max_examples=800, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_value_of_any_key(
    requests: list[RunRequest], session: Session, data: st.DataObject
) -> None:
    request = data.draw(st.sampled_from(requests))
    plans(request, data.draw(st.sampled_from(keys(request))), data.draw(ANYTHING), session)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(key=st.sampled_from(["seed", "pooler", "study", "optimizer.lr", "trainer"]), text=st.text())
def test_any_text_on_the_command_line(key: str, text: str) -> None:
    for argument in (f"{key}={text}", text):
        works(lambda argument=argument: compose_runs(*TINY, argument))
