"""``scripts/faults.py`` finds lost and wrong runs; the sweep itself survives the fault_kinds."""

import json
import random
import shutil

import pytest

from poolbench.runs.record import RECORD
from tests.robustness import fault_kinds
from tests.robustness.fault_bench import Bench, raising

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def test_faults_leave_no_run_lost_or_wrong(bench: Bench) -> None:
    assert len(bench.reference) == 4
    draw = random.Random(0)
    redone = fault_kinds.kills(bench, draw, rounds=1)
    fault_kinds.writes(bench, stride=15)
    fault_kinds.together(bench, (2,))
    assert bench.messages == []
    assert (bench.lost, bench.wrong) == (0, 0)
    assert bench.faults >= 5
    assert redone < 1.5


def test_running_out_of_memory_fails_one_run_with_a_hint(bench: Bench) -> None:
    assert bench.run("memory", sabotage=raising(MemoryError("planted")), expect=(1,)) == 1
    records = [json.loads(path.read_bytes()) for path in (bench.root / "memory").rglob(RECORD)]
    failed = [record["error"] for record in records if record["status"] == "failed"]
    assert len(failed) == 2
    assert all("lower batch_size" in error for error in failed)


def test_a_lost_and_a_changed_run_are_counted(bench: Bench, monkeypatch) -> None:
    """A planted fault: running the sweep again does nothing."""
    output = bench.root / "planted"
    shutil.copytree(bench.root / "reference", output)
    lost, changed, *_, other = sorted(output.rglob(RECORD))
    lost.unlink()
    for name in (RECORD, "predictions.npz"):
        shutil.copy(other.parent / name, changed.parent / name)
    before = bench.lost, bench.wrong
    monkeypatch.setattr(bench, "run", lambda *_: 0)
    bench.compare("planted")
    assert (bench.lost - before[0], bench.wrong - before[1]) == (1, 1)
