"""Damaged and foreign files of a study: report, leaderboard and loading never end in a traceback.

Every value of every file is replaced by values of other types and ranges, with valid checksums, and
files are truncated and bits flipped. The result is a report, or one error in one line.
"""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poolbench.core.io import file_digest
from poolbench.report import explained
from poolbench.report.build import figures_of, findings_of
from poolbench.runs.explanations import (
    EXPLANATIONS,
    read_explanations,
)
from poolbench.runs.record import PREDICTIONS, RECORD, read_record
from poolbench.runs.study import STUDY, read_declaration, read_study
from tests.conftest import works
from tests.robustness.mutations import (
    EXAMPLES,
    RUN,
    both,
    mutations,
    places,
    replaced,
    report,
    signed,
)


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
    if works(lambda: read(path)) or not number % 20:
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
                works(lambda: figures_of(findings_of(folder)))
        except Exception as error:
            raise AssertionError(f"{name}: {place} = {value!r}") from error
    path.write_bytes(original)


FILES = [str(RUN / RECORD), "reviews/tiny/max/seed=0-d0/record.json", STUDY, EXPLANATIONS]


@pytest.mark.parametrize("every", [100, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [*FILES, "texts.json"])
def test_every_value_of_every_file_may_be_replaced(copied: Path, name: str, every: int) -> None:
    check_all(copied, name, every, random.Random(0))
    assert works(lambda: report(copied)), "the study is as it was"


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
    assert not works(lambda: read_record(run))
    study = read_study(copied)
    assert list(study.damaged) == [RUN.as_posix()]
    (damaged,) = [record for record in study.runs if record.status == "damaged"]
    assert damaged.run.pooler == "conv"
    both(copied)


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
