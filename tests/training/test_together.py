"""Seeds trained in one loop end as they would alone."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from poolbench.runs.record import read_predictions, read_record
from poolbench.training.checkpoints import intact
from poolbench.training.launch import check_command
from poolbench.training.session import prepare
from poolbench.training.sweep import plan, run_all
from poolbench.training.together import Shared, fusable

SMALL = (
    "encoder=scratch",
    "dataset.max_examples=150",
    "batch_size=16",
    "trainer=cpu",
    "trainer.max_epochs=5",
    "trainer.enable_progress_bar=false",
    "patience=1",
    "logger=csv",
    "certify=false",
)
SEEDS = 3


def sweep(folder: Path, *overrides: str, seeds: int = SEEDS) -> list[Path]:
    """The folders of the cells of ``train.py -m``."""
    seed = f"seed={','.join(map(str, range(seeds)))}"
    given = [*SMALL, f"output_dir={folder}", seed, *overrides]
    planned = plan(check_command(given, multirun=True))
    run_all(planned)
    return [p.cell.folder for p in planned]


@pytest.fixture(scope="module", params=["mean", "max"])
def pairs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("study")
    ways = [
        sweep(folder, f"pooler={request.param}", f"study={fused}", f"fused={fused}")
        for fused in ("true", "false")
    ]
    return list(zip(*ways, strict=True))


def test_every_seed_predicts_what_it_predicts_alone(pairs: list[tuple[Path, Path]]) -> None:
    for together, alone in pairs:
        a, b = read_predictions(together), read_predictions(alone)
        assert np.array_equal(a.example_ids, b.example_ids)
        assert np.array_equal(a.predictions, b.predictions)
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-5)


def test_every_seed_has_the_history_it_has_alone(pairs: list[tuple[Path, Path]]) -> None:
    lengths = set()
    for together, alone in pairs:
        a, b = read_record(together), read_record(alone)
        assert a["digests"] == b["digests"]  # the order of every epoch among them
        assert len(a["history"]) == len(b["history"])
        for ours, theirs in zip(a["history"], b["history"], strict=True):
            assert ours == pytest.approx(theirs, abs=1e-5)
        lengths.add(len(a["history"]))
    assert len(lengths) > 1  # else early stopping was not each seed's own


def test_a_record_differs_in_its_timings_and_in_who_was_with_it(
    pairs: list[tuple[Path, Path]],
) -> None:
    for together, alone in pairs:
        a, b = read_record(together), read_record(alone)
        assert together.name == alone.name
        assert a.keys() == b.keys()
        assert a["metrics"].keys() == b["metrics"].keys()
        assert a["shared_loop"] == list(range(SEEDS))
        assert b["shared_loop"] is None
        for counted in ("perf/padding_ratio", "best/epoch", "test/accuracy"):
            assert a["metrics"][counted] == pytest.approx(b["metrics"][counted])


def test_a_checkpoint_and_a_chart_look_as_they_do_alone(pairs: list[tuple[Path, Path]]) -> None:
    for together, alone in pairs:
        assert names(together) == names(alone)
        weights = []
        for folder in (together, alone):
            best = folder / "checkpoints" / "best.ckpt"
            assert intact(best)
            weights.append(torch.load(best, weights_only=True)["state_dict"])
        torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-5)
        places = [[(r["epoch"], r["step"]) for r in rows(folder)] for folder in (together, alone)]
        assert places[0] == places[1]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def rows(folder: Path) -> list[dict[str, Any]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_seed_that_diverges_takes_no_other_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from poolbench.training import together

    started = together.SharedLoop.__init__

    def spoil_the_second(self: Any, *args: Any) -> None:
        started(self, *args)
        with torch.no_grad():
            self.heads[1].classify.weight.fill_(float("nan"))

    monkeypatch.setattr(together.SharedLoop, "__init__", spoil_the_second)
    folders = sweep(tmp_path, "pooler=mean")
    records = [json.loads((folder / "record.json").read_text()) for folder in folders]
    assert [record["status"] for record in records] == ["ok", "diverged", "ok"]
    monkeypatch.undo()
    alone = sweep(tmp_path, "pooler=mean", "study=alone", "fused=false")
    for spoiled in (0, 2):
        a, b = read_predictions(folders[spoiled]), read_predictions(alone[spoiled])
        assert np.array_equal(a.predictions, b.predictions)


@pytest.mark.parametrize(
    "overrides",
    [
        ["pooler=attention"],
        ["pooler=mean", "head=mlp"],
        ["pooler=mean", "cache=off"],
        ["pooler=mean", "trainer.accumulate_grad_batches=2"],
        ["pooler=mean", "trainer.gradient_clip_val=1.0"],
    ],
    ids=" ".join,
)
def test_what_learns_more_or_steps_otherwise_trains_alone(
    overrides: list[str], tmp_path: Path
) -> None:
    for folder in sweep(tmp_path, *overrides, "trainer.max_epochs=1", seeds=2):
        assert read_record(folder)["shared_loop"] is None


def test_the_same_command_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    folders = sweep(tmp_path, "pooler=mean")
    before = [read_predictions(folder).logits for folder in folders]
    for lost in (folders[0], folders[2]):
        (lost / "record.json").unlink()
    sweep(tmp_path, "pooler=mean")
    for folder, logits in zip(folders, before, strict=True):
        assert np.array_equal(read_predictions(folder).logits, logits)


def test_a_loop_is_forgotten_after_its_last_cell(tmp_path: Path) -> None:
    given = [*SMALL, f"output_dir={tmp_path}", "pooler=mean", "seed=0,1"]
    planned = plan(check_command(given, multirun=True))
    cells = [(p.asked.cfg, p.cell) for p in planned]
    shared = Shared(cells, {planned[0].cell.variant: 2})
    first, second = (shared.of(cfg, cell, prepare(cfg)) for cfg, cell in cells)
    assert first is second
    assert not shared.loops


@pytest.mark.parametrize(
    "changed", [{"trainer": {"devices": 2}}, {"encoder": {"tuning": "full"}}, {"fused": False}]
)
def test_a_configuration_rules_it_out(changed: dict[str, Any]) -> None:
    cfg = check_command([*SMALL, "pooler=mean"], multirun=False)[0].cfg
    assert fusable(cfg)
    assert not fusable(OmegaConf.merge(cfg, changed))
