"""``pair_features=together``: both texts of a pair as one sequence, as the library encodes it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poolbench.inference.export import exportable_encoder
from poolbench.inference.load import load
from poolbench.runs.record import RunRecord
from poolbench.training.config import Config
from poolbench.training.session import Session
from tests.conftest import plan, rejection
from tests.tiny_bert import tiny_bert

PAIRS = [
    ("a film", "it is long and slow"),
    ("it is long and slow", "a film"),
    ("a film", "a film"),
    ("-", "slow"),
    ("long " * 40, "slow , " * 30),
    ("a film [SEP] slow", "never dull"),
]


def pairs(folder: Path) -> list[str]:
    written = []
    for name in ("train", "validation", "test"):
        path = folder / f"{name}.jsonl"
        rows = [{"text_a": a, "text_b": b, "label": "ab"[a < b]} for a, b in PAIRS]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        written.append(f"dataset.{name}={path}")
    return ["task=pair_classification", "dataset=files", *written, "dataset.max_examples=null"]


@pytest.mark.parametrize("route", ["padded", "left", "packed"])
def test_states_are_those_of_the_library(
    tmp_path: Path, shared_output: Path, session: Session, route: str
) -> None:
    own = [*pairs(tmp_path), *tiny_bert(shared_output), "pair_features=together"]
    (spec,) = plan(tmp_path, *own, session=session)
    inputs = session.inputs(Config.model_validate(spec.config))
    encoder: Any = inputs.encoder.with_layers((inputs.encoder.depth,))
    first, second = map(list, zip(*PAIRS, strict=True))
    theirs = encoder.tokenizer(first, second, truncation=True, max_length=64)
    alone = [{name: torch.tensor([v[i]]) for name, v in theirs.items()} for i in range(len(PAIRS))]
    if route == "left":
        encoder.padding_side = route
    if route == "packed":
        encoder.pack()
    batch = encoder.collate(inputs.data, inputs.data.splits["test"])
    assert len(batch) == len(batch.input_ids) == len(PAIRS)
    assert inputs.data.cut == 3, "the pair of long texts, in each split"
    with torch.no_grad():
        found = encoder(batch)[batch.attention_mask][:, 0]
        whole: Any = inputs.encoder
        expected = torch.cat([whole.model(**one).last_hidden_state[0] for one in alone])
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)


def test_runs_know_which_pairs_share_a_text(
    run: Callable[..., RunRecord], tmp_path: Path, shared_output: Path
) -> None:
    own = [*pairs(tmp_path), *tiny_bert(shared_output), "pooler=attention"]
    records = [run(*own, f"pair_features={features}") for features in ("uv", "together")]
    apart, together = (record.predictions for record in records)
    assert together.groups is not None
    assert apart.groups is not None
    np.testing.assert_array_equal(together.groups, apart.groups)
    assert not np.allclose(together.outputs, apart.outputs)
    trained = load(records[1].folder)
    assert "encodes one text" in rejection(lambda: exportable_encoder(trained))


def test_what_cannot_encode_two_texts_as_one_says_so(tmp_path: Path, shared_output: Path) -> None:
    own = [*pairs(tmp_path), "pair_features=together"]
    windows = [*tiny_bert(shared_output), "encoder.windows.size=8"]
    for chosen in (["encoder=embedding"], ["encoder=scratch"], windows):
        message = rejection(lambda chosen=chosen: plan(tmp_path, *own, *chosen))
        assert "does not encode two texts as one sequence" in message
