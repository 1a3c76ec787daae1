"""The identity of a run: what changes a result changes the folder, and nothing else does."""

from pathlib import Path

import pytest

from poolbench.runs.identity import NEUTRAL_KEYS, display_name, flatten, is_neutral
from poolbench.runs.study import varying_settings
from poolbench.training.launch import compose_runs
from poolbench.training.session import Session
from tests.conftest import TINY, plan


def digest(session: Session, output: Path, *overrides: str) -> str:
    return plan(output, *TINY, *overrides, session=session)[0].digest


def test_neutral_settings_do_not_change_the_run(session: Session, tmp_path: Path) -> None:
    same = {
        digest(session, tmp_path, *overrides)
        for overrides in (
            [],
            ["study=other"],
            ["logger=csv"],
            ["trainer.enable_progress_bar=true"],
            ["cache.max_gb=1.0"],
            ["rerun=failed"],
            ["certify=true"],
            ["comparison.margin=2.0"],
            ["output_dir=elsewhere"],
        )
    }
    assert len(same) == 1


def test_every_neutral_key_exists() -> None:
    config = compose_runs("dataset=files", "dataset.train=x.csv")[0].config
    keys = [key for key, _ in flatten(config.model_dump())] + ["logger.x", "encoder.alias"]
    for neutral in NEUTRAL_KEYS:
        assert any(key == neutral or key.startswith(f"{neutral}.") for key in keys), neutral
    assert is_neutral("comparison.margin")
    assert not is_neutral("studying")


@pytest.mark.parametrize(
    "change",
    [
        "optimizer.lr=2e-3",
        "batch_size=16",
        "encoder.max_length=20",
        "encoder.init_seed=1",
        "dataset.split_seed=1",
        "head=mlp",
        "cache=off",
        "seed=1",
    ],
)
def test_what_changes_a_result_makes_another_run(
    session: Session, tmp_path: Path, change: str
) -> None:
    assert digest(session, tmp_path, change) != digest(session, tmp_path)


def test_the_content_of_the_data_counts_not_its_name(tmp_path: Path) -> None:
    rows = [f"text number {i},{i % 2}\n" for i in range(40)]

    def of(name: str, rows: list[str]) -> str:
        (tmp_path / name).write_text("text,label\n" + "".join(rows))
        files = ["dataset=files", f"dataset.train={tmp_path / name}"]
        return digest(Session(), tmp_path, *files)

    first = of("a.csv", rows)
    assert of("b.csv", rows) == first
    assert of("a.csv", [*rows[:-1], "another text,1\n"]) != first


@pytest.mark.parametrize("name", ["..x.csv", "a b/c?.csv", "train.csv"])
def test_names_never_leave_the_output_folder(name: str) -> None:
    shown = display_name({"alias": name}, "files")
    assert shown
    assert "/" not in shown
    assert Path(shown).name == shown != ".."


def test_seeds_share_a_variant_and_settings_that_vary_are_named(
    session: Session, run, tmp_path: Path
) -> None:
    a, b = plan(tmp_path, *TINY, "seed=0,1", session=session)
    assert a.variant == b.variant
    assert a.digest != b.digest
    records = [run(*TINY, "study=vary", f"optimizer.lr={lr}") for lr in (1e-3, 2e-3)]
    assert varying_settings(records) == ["optimizer.lr"]
