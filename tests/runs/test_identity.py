"""The identity of a run: what changes a result changes the folder, and nothing else does."""

from pathlib import Path

import pytest

from poolbench.core.errors import UserError
from poolbench.runs.identity import (
    NEUTRAL_KEYS,
    NEWER_KEYS,
    display_name,
    flatten,
    identify,
    is_neutral,
    varying_settings,
)
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


def test_a_setting_that_is_newer_than_a_result_leaves_its_digest() -> None:
    (request,) = compose_runs("pooler=mean")
    now = request.config.model_dump(by_alias=True)
    given = request.names, {"data": "d", "encoder": "e"}, 3, {0: ""}
    before = {key: value for key, value in now.items() if key not in NEWER_KEYS}
    chosen = [now | {key: 7} for key in NEWER_KEYS]
    digests = [next(identify(config, *given)).digest for config in (now, before, *chosen)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 1 + len(NEWER_KEYS)


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


@pytest.mark.parametrize("name", ["..x.csv", "a b/c?.csv", "train.csv", "/", "..", "é" * 300])
def test_names_never_leave_the_output_folder(name: str) -> None:
    shown = display_name({"alias": name, "train": name}, "files", "0123456789")
    assert shown.endswith("-012345")
    assert Path(shown).name == shown
    assert len(shown.encode()) <= 80


def test_names_are_those_of_the_real_file_or_folder(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "reviews"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def shown(place: str, digest: str = "0123456789") -> str:
        return display_name({"alias": place, "train": place}, "files", digest)

    for place in (".", "train.csv", "../reviews", "../reviews/train.csv.gz", str(folder)):
        assert shown(place) == "reviews-012345"
    assert shown("../test.csv") == "test-012345"
    assert shown("test.csv", "abcdef0") != shown("../test.csv"), "other content, another name"
    # What follows a dot is a part of the name, unless it is a type of file.
    assert shown("owner/Qwen2.5-0.5B") == "Qwen2.5-0.5B-012345"


def test_an_alias_is_the_name_or_rejected() -> None:
    assert display_name({"alias": "my_set", "train": "x.csv"}, "files", "0123") == "my_set"
    assert display_name({"name": "first"}, "first", "0123") == "first"
    long = {display_name({"alias": "x" * 200 + end}, "files") for end in "ab"}
    assert len(long) == 2
    assert all(len(name) <= 80 for name in long)
    for alias in ("..", "a/b", "a b"):
        with pytest.raises(UserError, match="expected letters, digits"):
            compose_runs("dataset=files", "dataset.train=x.csv", f"dataset.alias='{alias}'")


def test_a_path_that_is_not_utf8_is_rejected() -> None:
    name = b"caf\xe9.csv".decode("utf-8", "surrogateescape")
    with pytest.raises(UserError, match=r"dataset\.train='caf.udce9.csv' is not UTF-8"):
        compose_runs("dataset=files", f"dataset.train='{name}'")


def test_seeds_share_a_variant_and_settings_that_vary_are_named(
    session: Session, run, tmp_path: Path
) -> None:
    a, b = plan(tmp_path, *TINY, "seed=0,1", session=session)
    assert a.variant == b.variant
    assert a.digest != b.digest
    records = [run(*TINY, "study=vary", f"optimizer.lr={lr}") for lr in (1e-3, 2e-3)]
    assert varying_settings(record.run for record in records) == ["optimizer.lr"]
