"""Damaged and foreign files of a study: report, leaderboard and loading never end in a traceback.

Every value of every file is replaced by values of other types and ranges, with valid checksums, and
files are truncated and bits flipped. The result is a report, or one error in one line.
"""

import copy
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poolbench.core.errors import UserError
from poolbench.core.io import file_digest
from poolbench.inference.load import load
from poolbench.report import explained, narrative, provenance, tables
from poolbench.report.build import figures_of, findings_of, report_files
from poolbench.report.caveats import caveats
from poolbench.report.cells import to_csv
from poolbench.report.leaderboard import leaderboard_files, read_leaderboard
from poolbench.report.published import published_tables
from poolbench.runs.explanations import (
    EXPLANATIONS,
    ExplainedExample,
    Explanation,
    Explanations,
    read_explanations,
    write_explanations,
)
from poolbench.runs.record import PREDICTIONS, RECORD, _checksum, read_record
from poolbench.runs.study import STUDY, read_declaration, read_study
from poolbench.training.session import Session
from tests.report.studies import declare, keep_texts, spec_of, write_run

EXAMPLES = 30
RUN = Path("reviews/tiny/conv/seed=1-d0")
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 10**30, -0.5, 1e300, 1e999, "", "x\0", "../..", "<b>|\n"),
    *([], {}, [[1]], {"": [None]}),
)
DELETED = object()
PUBLISHED = {
    "source": "Somebody (2020)",
    "dataset": "reviews",
    "encoder": "tiny",
    "seeds": 5,
    "values": [{"pooler": "conv", "value": 80.0, "low": 1.0, "settings": {"optimizer.lr": 0.1}}],
    "deviations": ["none"],
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose files contain every field that a study can contain."""
    folder = tmp_path_factory.mktemp("outputs") / "whole"
    config = {
        "optimizer": {"lr": 0.1, "_target_": "torch.optim.AdamW"},
        "trainer": {"max_epochs": 3},
        "encoder": {"tuning": "full", "layers": [1, 2]},
        "dataset": {"max_examples": None},
        "pooler": {"channels": 8},
    }
    line = {"promise": "padding does not count", "deviation": 1e-7, "limit": 1e-5, "kept": True}
    data = keep_texts(folder, [f"text {i}" for i in range(EXAMPLES)])
    specs = []
    for pooler, accuracy in (("cls", 0.6), ("conv", 0.9)):
        for seed in range(5):
            record = write_run(
                folder,
                pooler,
                seed,
                accuracy,
                spec={"config": config},
                examples=EXAMPLES,
                data=data,
                certificate={"T2": line},
                notes=["a note"],
                logger=("csv", "somewhere"),
                digests={"order": ["o"], "tokens": "t", "test_ids": "i", "code": "c", "data": "d"},
                hardware={"device": "CPU", "threads": 1, "attention": "eager"},
                revision={"commit": "a" * 40, "modified": False},
                versions={"python": "3.11"},
                step_input="tokens",
                test_details={"f1": [0.5, 0.6], "confusion": [[1, 2], [3, 4]]},
            )
            specs.append(record.run)
    write_run(folder, "max", 0, status="failed", failure_log="failure.log")
    declare(folder, [*specs, spec_of(folder, "max", 0)], reference="cls", published=PUBLISHED)
    sha = str(read_record(folder / RUN).predictions_sha256)
    told = Explanation(
        pooler="conv", method="m", label="x", probability=0.5, words=[("a", -0.2, True)]
    )
    wrong = [
        ExplainedExample(dataset="reviews", encoder="tiny", example=i, explanations={sha: told})
        for i in range(EXAMPLES)
    ]
    write_explanations(folder, Explanations(examples=wrong))
    return folder


@pytest.fixture
def copied(study: Path, tmp_path: Path) -> Path:
    return shutil.copytree(study, tmp_path / "whole")


def places(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """The paths of all values in a JSON document; of lists those of the first element."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, *path, key)
    elif isinstance(value, list) and value:
        yield from places(value[0], *path, 0)


def replaced(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    document = copy.deepcopy(document)
    *parents, last = path
    inner = document
    for key in parents:
        inner = inner[key]
    if value is DELETED:
        del inner[last]
    else:
        inner[last] = value
    return document


def signed(record: dict[str, Any]) -> bytes:
    """The record with a valid checksum, where one can be computed."""
    record = {k: v for k, v in record.items() if k != "checksum"}
    try:
        return json.dumps(record | {"checksum": _checksum(record)}).encode()
    except ValueError:  # 1e999, which no checksum can cover
        return json.dumps(record | {"checksum": ""}).encode()


def one_line(action: Callable[[], object]) -> bool:
    """Whether an action works; if not, it ends in a UserError of one line."""
    try:
        action()
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return False
    return True


def report(folder: Path) -> None:
    """Everything of a report but its figures."""
    findings = findings_of(folder)
    narrative.answers(findings), provenance.missing(findings), caveats(findings)
    provenance.run_facts(findings), tables.runs_table(findings).markdown
    to_csv(tables.comparison_frame(findings))
    for table, _ in published_tables(findings):
        assert table.markdown
    for task in findings.tasks:
        assert tables.verdict_table(task, findings).markdown
        assert tables.pairs_table(task).markdown
        assert tables.contract_table(task).markdown
        for found in explained.disagreements(task):
            [found.describe(i) for i in found.clearest(found.won)]


def leaderboard(folder: Path) -> None:
    board = read_leaderboard(folder)
    assert board.summary
    assert board.overview().markdown
    for row in board.rows:
        assert row.state
        assert row.origin
        assert isinstance(row.commands, list)


def both(folder: Path) -> None:
    one_line(lambda: report(folder))
    one_line(lambda: leaderboard(folder))


def pages(folder: Path) -> None:
    """Report and leaderboard with figures and pages, which takes longer."""
    one_line(lambda: report_files(findings_of(folder)))
    one_line(lambda: leaderboard_files(read_leaderboard(folder)))


def mutations(document: Any) -> list[tuple[tuple[str | int, ...], Any]]:
    return [(path, value) for path in places(document) for value in (DELETED, *VALUES)]


def read(path: Path) -> None:
    """Read one file alone."""
    if path.name in (RECORD, PREDICTIONS):
        read_record(path.parent)
    elif path.name == STUDY:
        read_declaration(path.parent)
    elif path.name == EXPLANATIONS:
        pages = [list(e.explanations.values()) for e in read_explanations(path.parent).examples]
        assert explained.strips_page(["text"] * len(pages), pages)


def use(path: Path, number: int) -> None:
    """A file that is rejected is left out in the same way every time: not each needs a report."""
    if one_line(lambda: read(path)) or not number % 20:
        both(path.parents[4] if path.parent.name.startswith("seed=") else path.parent)


def check_all(folder: Path, name: str, every: int, draw: random.Random) -> None:
    """Replace every value of a file."""
    path = folder / name
    original = path.read_bytes()
    document = json.loads(original)
    for number, (place, value) in enumerate(mutations(document)):
        if draw.random() > 1 / every:
            continue
        mutated = replaced(document, place, value)
        path.write_bytes(signed(mutated) if path.name == RECORD else json.dumps(mutated).encode())
        try:
            use(path, number)
            if every == 1 and not number % 50:
                one_line(lambda: figures_of(findings_of(folder)))
        except Exception as error:
            raise AssertionError(f"{name}: {place} = {value!r}") from error
    path.write_bytes(original)


FILES = [str(RUN / RECORD), "reviews/tiny/max/seed=0-d0/record.json", STUDY, EXPLANATIONS]


@pytest.mark.parametrize("every", [100, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [*FILES, "texts.json"])
def test_every_value_of_every_file_may_be_replaced(copied: Path, name: str, every: int) -> None:
    check_all(copied, name, every, random.Random(0))
    assert one_line(lambda: report(copied)), "the study is as it was"


@pytest.mark.parametrize("rounds", [2, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [*FILES, "texts.json", str(RUN / PREDICTIONS)])
def test_files_may_be_truncated_and_bits_flipped(copied: Path, name: str, rounds: int) -> None:
    path, draw = copied / name, random.Random(name)
    original = path.read_bytes()
    for number in range(rounds):
        content = bytearray(original)
        if number % 2:
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content if number % 2 else content[: draw.randrange(len(content))])
        use(path, number)


ARRAYS: list[dict[str, Any]] = [
    {"targets": np.zeros(EXAMPLES - 1, np.int64)},
    {"targets": np.full(EXAMPLES, 2)},
    {"targets": np.full(EXAMPLES, -1)},
    {"targets": np.full(EXAMPLES, 2**62)},
    {"targets": np.zeros(EXAMPLES)},
    {"targets": np.zeros((EXAMPLES, 1), np.int64)},
    {"targets": np.array("x")},
    {"outputs": np.zeros((EXAMPLES, 3), np.float32)},
    {"outputs": np.zeros((EXAMPLES, 2), np.int64)},
    {"outputs": np.zeros(0, np.float32)},
    {"groups": np.zeros((EXAMPLES, 3), np.int64)},
    {"groups": np.zeros(EXAMPLES)},
    {"example_ids": np.zeros(EXAMPLES, np.int64)},
    {"more": np.zeros(1)},
    {"targets": None},
    dict.fromkeys(("targets", "example_ids"), np.zeros(0, np.int64)),
    dict.fromkeys(("targets", "example_ids"), np.arange(2)),
]


@pytest.mark.parametrize("changed", ARRAYS, ids=lambda changed: " ".join(changed))
def test_predictions_that_do_not_belong_together_are_damaged(copied: Path, changed) -> None:
    run = copied / RUN
    arrays = {**np.load(run / PREDICTIONS), **changed}
    np.savez(run / PREDICTIONS, **{k: v for k, v in arrays.items() if v is not None})
    record = json.loads((run / RECORD).read_text())
    record["predictions_sha256"] = file_digest(run / PREDICTIONS)
    (run / RECORD).write_bytes(signed(record))
    assert not one_line(lambda: read_record(run))
    study = read_study(copied)
    assert list(study.damaged) == [RUN.as_posix()]
    (damaged,) = [record for record in study.runs if record.status == "damaged"]
    assert damaged.run.pooler == "conv"
    both(copied)


@pytest.mark.parametrize("name", [RECORD, PREDICTIONS, STUDY, EXPLANATIONS, "texts.json"])
@pytest.mark.parametrize("kind", ["folder", "loop", "broken link", "NUL", "nothing"])
def test_files_of_any_kind(copied: Path, name: str, kind: str) -> None:
    path = copied / (RUN / name if name in (RECORD, PREDICTIONS) else name)
    path.unlink()
    if kind == "folder":
        path.mkdir()
        (path / RECORD).mkdir()
    elif kind == "NUL":
        path.write_bytes(b"\0" * 100)
    elif kind != "nothing":
        path.symlink_to(path.name if kind == "loop" else "nowhere")
    both(copied)


def test_folders_of_any_shape(copied: Path) -> None:
    deep = copied.joinpath(*"abcdefghij")
    deep.mkdir(parents=True)
    (deep / RECORD).write_text("[]")
    for name in (RECORD, "seed=x-y", os.fsdecode(b"\xff"), "a\nb"):
        (copied / name).mkdir()
        (copied / name / RECORD).write_text("{}")
    (copied / "loop").symlink_to(copied)
    (copied / "reviews/tiny/conv" / "seed=99999999999999999999-d0").mkdir()
    (copied / "reviews/tiny/conv" / "seed=99999999999999999999-d0" / RECORD).touch()
    study = read_study(copied)
    assert len(study.damaged) == 7
    assert len(study.finished) == 10
    assert any("7 files are damaged and left out" in note for note in findings_of(copied).notes)
    pages(copied)


def test_a_moved_record_counts_and_a_copy_does_not(copied: Path) -> None:
    shutil.copytree(copied / RUN, copied / "backup/conv")
    shutil.move(copied / "reviews/tiny/cls/seed=0-d0", copied / "elsewhere")
    study = read_study(copied)
    assert study.damaged == {"backup/conv": f"a copy of {RUN}"}
    assert [run.status for run in study.runs].count("ok") == 10
    assert "1 file is damaged and left out: backup/conv: a copy" in str(findings_of(copied).notes)
    both(copied)


def test_records_of_another_schema_or_study(copied: Path) -> None:
    (copied / RUN / RECORD).write_text('{"schema_version": 1, "checksum": "x", "cell": {}}')
    foreign = copied.parent / "other/reviews/tiny/gru/seed=0-d0"
    write_run(copied.parent / "other", "gru", 0, examples=EXAMPLES)
    shutil.copytree(foreign, copied / "reviews/tiny/gru/seed=0-d0")
    study = read_study(copied)
    assert "schema 1, this version of poolbench reads 3" in study.damaged[RUN.as_posix()]
    assert study.undeclared == ("reviews/tiny/gru/seed=0-d0",)
    both(copied.parent)
    both(copied)


def test_runs_of_other_code_are_marked(copied: Path) -> None:
    (note,) = [note for note in findings_of(copied).notes if "other code" in note]
    assert "10 of 11 runs were made by other code (digest c;" in note
    assert "rerun=stale" in note
    assert note.partition(" of ")[0] in str(read_leaderboard(copied).notes)
    assert all(run.is_stale == run.ok for run in read_study(copied).runs)


# Loading


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trained run."""
    from tests.conftest import TINY, plan
    from tests.conftest import train as train_all

    specs = plan(tmp_path_factory.mktemp("trained"), *TINY, "pooler=conv", "trainer.max_epochs=1")
    train_all(specs)
    return specs[0].folder


@pytest.mark.parametrize("every", [60, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_is_loaded_or_rejected(trained: Path, tmp_path: Path, every: int) -> None:
    folder = shutil.copytree(trained, tmp_path.joinpath("s", "d", "e", "p", "run"))
    document, session, draw = json.loads((folder / RECORD).read_text()), Session(), random.Random(0)
    assert one_line(lambda: load(folder, session))
    for place, value in mutations(document["run"]["config"]):
        if draw.random() > 1 / every:
            continue
        (folder / RECORD).write_bytes(signed(replaced(document, ("run", "config", *place), value)))
        try:
            one_line(lambda: load(folder, session))
        except Exception as error:
            raise AssertionError(f"{place} = {value!r}") from error


CHECKPOINTS: list[Any] = [
    None,
    [],
    {},
    {"state_dict": None},
    {"state_dict": {}},
    {"state_dict": {1: 2}},
    {"state_dict": {"model.head.classify.bias": "x"}},
    {"state_dict": {"model.head.classify.bias": torch.zeros(7)}},
]


@pytest.mark.parametrize("content", [*CHECKPOINTS, b"", b"PK", b"\x80\x04N."], ids=repr)
def test_a_foreign_checkpoint_is_one_line(trained: Path, tmp_path: Path, content: Any) -> None:
    folder = shutil.copytree(trained, tmp_path / "run")
    path = folder / "checkpoints/best.ckpt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    assert not one_line(lambda: load(folder))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_json_at_any_place(study: Path, data: st.DataObject) -> None:
    """As above with generated values, and several at once."""
    path = study / data.draw(st.sampled_from([*FILES, "texts.json"]))
    original = path.read_bytes()
    document = json.loads(original)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(list(places(document)) or [()]))
        if place:
            document = replaced(document, place, data.draw(JSON))
    try:
        path.write_bytes(signed(document) if path.name == RECORD else json.dumps(document).encode())
        both(study)
    finally:
        path.write_bytes(original)
