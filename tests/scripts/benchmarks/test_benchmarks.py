"""Every benchmark runs to its end, measures what it says, and writes all of it down."""

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import growth
import pytest
import torch
from memory import added_peak
from outcome import Claim
from peers import missing

from poolbench.runs.pooler_cost import read_pooler_costs
from tests.conftest import ROOT

Benchmark = Callable[..., dict[str, Any]]

SMALL = "dataset.max_examples=64"
TINY = ("encoder=scratch", SMALL)


def check(found: dict[str, Any], rounds: int) -> None:
    """What every file of a benchmark holds."""
    assert {len(seconds) for seconds in found["seconds"].values()} == {rounds}
    assert all(second > 0 for seconds in found["seconds"].values() for second in seconds)
    assert set(found["ratios"]) == set(found["seconds"]) - {found["reference"]}
    for ratio in found["ratios"].values():
        assert ratio["low"] <= ratio["median"] <= ratio["high"]
    assert found["machine"]["threads"] == torch.get_num_threads()
    assert found["machine"]["versions"]["torch"] == torch.__version__


def claimed(found: dict[str, Any], words: str) -> float:
    (claim,) = (claim for claim in found["claims"] if words in claim["what"])
    return float(claim["value"])


def test_input(benchmark: Benchmark) -> None:
    found = benchmark("input", "--rounds", "3", "--batches", "1", "--batch-size", "8", SMALL)
    check(found, 3)
    # Far below what is asked of an idle machine: here it has to be the faster one at all.
    assert claimed(found, "times as fast") > 3


def test_loop(benchmark: Benchmark) -> None:
    found = benchmark("loop", "--rounds", "2", "--epochs", "2", "--examples", "256", *TINY[:1])
    check(found, 2)
    assert claimed(found, "training losses apart") < 1e-5
    assert claimed(found, "shared loop") < claimed(found, "cell under Lightning")


def test_loop_of_a_pooler_that_draws_and_learns(benchmark: Benchmark) -> None:
    found = benchmark(
        "loop", "--rounds", "1", "--epochs", "1", "--examples", "256", "pooler=conv", *TINY[:1]
    )
    assert claimed(found, "training losses apart") < 1e-5
    assert not any("shared" in name for name in found["seconds"])


def test_fused(benchmark: Benchmark) -> None:
    small = ("--rounds", "1", "--epochs", "2", "--examples", "256", "--seeds", "3")
    found = benchmark("fused", *small, "pooler=attention", *TINY[:1])
    check(found, 1)
    assert claimed(found, "training losses apart") < 1e-4


def test_encode(benchmark: Benchmark) -> None:
    if note := missing("sentence_transformers"):
        pytest.skip(note)
    found = benchmark("encode", "--rounds", "1", "--texts", "16")
    check(found, 1)
    assert claimed(found, "least cosine") > 0.9999
    assert 0 < claimed(found, "fraction of limit") < 1.5
    assert found["details"]["float32_error"]["highest"] < 1e-5
    assert torch.get_float32_matmul_precision() == found["machine"]["matmul_precision"] == "highest"


def test_encode_without_its_peer_says_so_and_goes_on(
    benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "sentence_transformers" else find(name, *rest),
    )
    found = benchmark("encode", "--rounds", "1", "--texts", "4")
    assert list(found["seconds"]) == ["poolbench"]
    assert 'sentence-transformers is not installed: pip install -e ".[bench]"' in (
        capsys.readouterr().out
    )


def test_poolers(benchmark: Benchmark) -> None:
    small = ("--batch", "2", "--tokens", "8", "--width", "32", "--repeats", "1")
    found = benchmark("poolers", "--rounds", "1", "--pitfalls", *small)["details"]
    every = {path.stem for path in (ROOT / "conf/pooler").glob("*.yaml")}
    wrong = {f"pitfall-{path.stem}" for path in (ROOT / "conf/pooler/pitfall").glob("*.yaml")}
    assert set(found["poolers"]) == every | wrong
    assert found["shape"] == {"batch": 2, "tokens": 8, "width": 32}
    assert found["poolers"]["mean"]["parameters"] == 0
    assert found["poolers"]["attention"]["parameters"] > 0


def test_poolers_of_a_study_are_where_its_report_looks(
    benchmark: Benchmark, run: Callable[..., Any], tmp_path: Path
) -> None:
    """One pooler with a slash in its choice, one of another width: both as records name them."""
    for pooler in ("max", "pitfall/view_conv"):
        run(*TINY, f"output_dir={tmp_path}", "study=cheap", f"pooler={pooler}", "batch_size=16")
    study = tmp_path / "cheap"
    found = benchmark("poolers", "--rounds", "1", "--repeats", "1", "--study", str(study))
    costs = read_pooler_costs(study)
    assert costs.damage is None
    assert set(costs.milliseconds) == {"max", "pitfall-view_conv"}
    assert found["details"]["shape"]["batch"] == 16
    assert found["details"]["shape"]["width"] == 64


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["input", "pooler=nope"], "unknown pooler 'nope'"),
        (["input", "encoder=scratch"], "needs an encoder with a Hugging Face tokenizer"),
        (["encode", "encoder=scratch"], "needs weights in a folder"),
        (["poolers", "--study", "no/such/study"], "no/such/study holds no finished cell"),
        (["input", "--rounds", "0"], "--rounds 0: expected 1 or more"),
    ],
)
def test_bad_input_is_answered_in_a_sentence(
    arguments: list[str], reason: str, script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(arguments) == 2
    assert reason in capsys.readouterr().err


def test_added_memory_is_the_highest_point_not_the_sum() -> None:
    held = torch.ones(250_000)  # 1 MB that is there before

    def one_after_another() -> None:
        for _ in range(5):
            held.clone()

    def side_by_side() -> list[torch.Tensor]:
        return [held.clone() for _ in range(5)]

    assert added_peak(one_after_another) == pytest.approx(1e6, rel=0.01)
    assert added_peak(side_by_side) == pytest.approx(5e6, rel=0.01)


def test_a_claim_is_met_from_its_own_side() -> None:
    assert Claim("ratio", 2.0, 1.7).met
    assert not Claim("ratio", 1.6, 1.7).met
    assert Claim("overhead", 100.0, 150.0, at_most=True).met
    assert not Claim("overhead", 200.0, 150.0, at_most=True).met
    assert Claim("fact", 1.0).met is None


def test_frozen_sweep(benchmark: Benchmark) -> None:
    found = benchmark(
        "frozen_sweep", "--rounds", "1", "--poolers", "mean,attention", "--seeds", "2",
        "--epochs", "2", "--examples", "64", "encoder=scratch",
    )  # fmt: skip
    check(found, 1)
    assert claimed(found, "test predictions that differ, of 256 in all cells") <= 5
    # 4 cells encode train and validation twice and test once.
    assert 4 < found["details"]["fewer_tokens"] < 8


def test_frozen_head(benchmark: Benchmark) -> None:
    if note := missing("sentence_transformers"):
        pytest.skip(note)
    found = benchmark("frozen_head", "--rounds", "1", "--examples", "200", "optimizer.lr=1e-2")
    check(found, 1)
    for name in found["seconds"]:  # two linear heads on the same vectors; chance is a half
        assert claimed(found, f"test accuracy, {name}") > 0.6


def test_growth(benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {n: ([f"dataset.max_examples={n}"], 2, 1) for n in (32, 128)}
    monkeypatch.setitem(growth.AXES, "examples", sizes)
    found = benchmark("growth", "--axis", "examples", "--rounds", "1", "encoder=scratch")
    check(found, 1)
    assert list(found["seconds"]) == ["32 examples", "128 examples"]
    assert claimed(found, "seconds grow with examples") == pytest.approx(
        math.log(found["ratios"]["128 examples"]["median"]) / math.log(4)
    )
