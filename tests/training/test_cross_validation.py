"""``split=cv3``: the seed is the fold, all folds share the features, verdicts use all examples."""

from pathlib import Path

import numpy as np
import torch

from poolbench.report.build import findings_of, report_files
from poolbench.runs.protocol import Protocol
from poolbench.runs.study import read_study
from poolbench.stats.compare import ScoredRun, compare_with_reference
from poolbench.training.config import Config
from poolbench.training.launch import compose_runs
from poolbench.training.session import Session
from tests.conftest import SMALL, TINY, plan, rejection, train

FOLDS = [*TINY, "split=cv3", "seed=0,1,2"]


def test_every_example_is_tested_once_and_poolers_are_paired(tmp_path: Path) -> None:
    assert train(plan(tmp_path, *FOLDS, "pooler=mean,max", "study=folds"))
    study = read_study(tmp_path / "folds")
    assert len(list((tmp_path / "cache").glob("*.states"))) == 1
    assert [r.data.folds for r in study.runs] == [3] * 6
    for pooler in ("mean", "max"):
        own = [r for r in study.runs if r.run.pooler == pooler]
        ids = np.concatenate([r.predictions.example_ids for r in own])
        assert sorted(ids) == list(range(3 * 64))
        assert all(sum(r.data.examples.values()) == 3 * 64 for r in own)
        assert len({r.digests.test_ids for r in own}) == 3
        assert {len(r.data.test_tokens) for r in own} == {64}
    runs = [ScoredRun.from_record(r) for r in study.runs]
    (c,) = compare_with_reference(runs, Protocol(reference="mean"))
    assert c.why is None
    assert (len(c.seeds), c.examples) == (3, 3 * 64)
    page = report_files(findings_of(tmp_path / "folds", reference="mean"))["report.md"]
    assert f"3 folds, {3 * 64} test examples;" in page


def test_a_seed_beyond_the_folds_is_rejected(tmp_path: Path) -> None:
    message = rejection(lambda: plan(tmp_path, *TINY, "split=cv3", "seed=3"))
    assert "seed=3" in message
    assert "range(3)" in message
    assert "split" in rejection(lambda: plan(tmp_path, *TINY, "split=cv1"))


def test_what_is_counted_in_training_texts_is_that_of_the_fold(tmp_path: Path) -> None:
    session = Session()

    def vectors(seed: int, *overrides: str) -> torch.Tensor:
        given = [*SMALL, *TINY, f"output_dir={tmp_path}", "pooler=idf_mean", f"seed={seed}"]
        (request,) = compose_runs(*given, *overrides)
        config: Config = request.config
        found = session.model(config).vectors
        assert found is not None
        return found

    first, second = (vectors(seed, "split=cv3") for seed in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(first, vectors(0, "split=cv3"))
    assert torch.equal(vectors(0), vectors(1))
    assert not torch.equal(vectors(0), vectors(0, "train_max_tokens=30"))


def test_folds_keep_groups_together(tmp_path: Path) -> None:
    rows = [f"text {i},{'ab'[i % 2]},g{i // 3}" for i in range(60)]
    file = tmp_path / "all.csv"
    file.write_text("\n".join(["text,label,doc", *rows]))
    given = ["dataset=files", f"dataset.train={file}", "dataset.group_column=doc"]
    session = Session()
    seen: list[set[int]] = []
    for seed in range(3):
        (request,) = compose_runs(*SMALL, *TINY, *given, "split=cv3", f"seed={seed}")
        data = session.inputs(request.config).data
        assert data.groups is not None
        sides = [set(data.groups[ids].tolist()) for ids in data.splits.values()]
        assert sum(map(len, sides)) == 20
        seen.append(sides[2])
    assert len(set.union(*seen)) == 20
