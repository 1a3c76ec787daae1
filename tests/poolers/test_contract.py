"""Every pooler in conf/pooler against every line of the contract."""

import pytest
from omegaconf import OmegaConf

from tests.poolers.contract import CONTRACT
from tests.poolers.supplied import ROOT, build

POOLERS = sorted(path.stem for path in (ROOT / "conf/pooler").glob("*.yaml"))


@pytest.mark.parametrize("promise", CONTRACT)
@pytest.mark.parametrize("name", POOLERS)
def test_pooler_keeps_its_promise(name: str, promise: str) -> None:
    CONTRACT[promise](lambda: build(name))


def test_the_contract_has_fifteen_lines() -> None:
    assert len(CONTRACT) == 15


def test_a_pooler_is_one_py_and_one_yaml() -> None:
    for name in POOLERS:
        target = OmegaConf.load(ROOT / f"conf/pooler/{name}.yaml")._target_
        assert target.startswith("poolbench.poolers."), name
    modules = {
        OmegaConf.load(p)._target_.split(".")[2] for p in (ROOT / "conf/pooler").rglob("*.yaml")
    }
    files = {p.stem for p in (ROOT / "src/poolbench/poolers").glob("*.py")} - {"__init__", "base"}
    assert files == modules, "a pooler needs both its .py and its .yaml"
