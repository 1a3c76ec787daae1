"""New text through a finished cell: the answers of the cell's own test, however it comes in."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poolbench.core.errors import BadInput
from poolbench.inference.load import Trained, load
from poolbench.runs.record import RECORD, read_predictions
from poolbench.training.session import prepare
from scripts import predict
from tests.conftest import ROOT
from tests.tiny_bert import tiny_bert

KINDS = {
    "frozen": ["pooler=attention"],
    "fine-tuned": ["pooler=mean", "encoder.tuning=full"],
    "content of four layers": ["pooler=max", "pooled_tokens=content", "layers=last4_mean"],
}
LEARNING = ["optimizer.lr=0.01", "trainer.max_epochs=10", "patience=10"]
HALF = 2e-2  # stored states are half precision, the encoder is not


@pytest.fixture
def finished(run, shared_output: Path) -> Any:
    """One finished cell of each kind, by its name."""

    def finished(kind: str) -> Path:
        folder: Path = run(*tiny_bert(shared_output), *KINDS[kind], *LEARNING)["folder"]
        return folder

    return finished


def texts_of_test(trained: Trained) -> list[str]:
    return list(prepare(trained.cfg).splits["test"]["text"])


def told(capsys, *arguments: object) -> list[dict[str, Any]]:
    assert predict.main([str(argument) for argument in arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("kind", KINDS)
def test_the_test_texts_get_the_classes_that_the_record_has(finished, capsys, kind: str) -> None:
    folder = finished(kind)
    capsys.readouterr()  # what training says is not meant
    trained, kept = load(folder), read_predictions(folder)
    texts = texts_of_test(trained)
    tolerance = 1e-4 if kind == "fine-tuned" else HALF
    np.testing.assert_allclose(trained.logits(texts), kept.logits, atol=tolerance, rtol=0)
    assert len(set(kept.predictions)) > 1, "one class for all texts: nothing is tested"
    answers = told(capsys, folder, *texts)
    assert [a["text"] for a in answers] == texts
    assert [trained.classes.index(a["label"]) for a in answers] == kept.predictions.tolist()
    expected = torch.from_numpy(kept.logits).softmax(dim=1)
    found = torch.tensor([[a["probabilities"][name] for name in trained.classes] for a in answers])
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)
    for a in answers:
        assert list(a["probabilities"].values()) == sorted(a["probabilities"].values())[::-1]
        assert a["probability"] == max(a["probabilities"].values())


def test_only_the_most_probable_classes_are_listed(finished, capsys) -> None:
    folder = finished("frozen")
    both, one = (told(capsys, folder, "A joy.", "--top", top)[0] for top in (2, 1))
    assert len(both["probabilities"]) == 2
    assert one["probabilities"] == {both["label"]: both["probability"]}
    with pytest.raises(SystemExit):
        predict.main([str(folder), "A joy.", "--top", "0"])
    assert "--top 0: expected 1 or more" in capsys.readouterr().err


def test_every_way_in_gives_the_same_lines(finished, capsys, tmp_path, monkeypatch) -> None:
    folder = finished("frozen")
    texts = ["A joy, from start to end.", "", 'He said "no", twice', "naïve ☃"]
    expected = told(capsys, folder, *texts)
    assert len(expected) == 4
    plain = "\ufeffA joy, from start to end.\r\n\n" + "\n".join(texts[2:])
    (tmp_path / "texts.txt").write_bytes(plain.encode())
    assert told(capsys, folder, "--file", tmp_path / "texts.txt") == expected
    quoted = (
        'id,review\n1,"A joy, from start to end."\n2,""\n3,"He said ""no"", twice"\n4,naïve ☃\n'
    )
    (tmp_path / "texts.csv").write_text(quoted)
    column = ("--text-column", "review")
    assert told(capsys, folder, "--file", tmp_path / "texts.csv", *column) == expected
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    assert told(capsys, folder, "--file", tmp_path / "texts.jsonl") == expected
    arrived = io.TextIOWrapper(io.BytesIO("\n".join(texts).encode()))
    monkeypatch.setattr("sys.stdin", arrived)
    assert told(capsys, folder) == expected


def process(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "scripts/predict.py", folder, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_line_is_answered_while_the_pipe_stays_open(finished) -> None:
    with process(finished("frozen")) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        for text in ("first", "second"):
            running.stdin.write(f"{text}\n".encode())
            running.stdin.flush()
            assert json.loads(running.stdout.readline())["text"] == text
        running.stdin.close()
        assert running.wait() == 0


def test_a_reader_that_leaves_early_ends_it_without_a_word(finished, tmp_path) -> None:
    (tmp_path / "many.txt").write_text("a film\n" * 5000)
    with process(finished("frozen"), "--file", str(tmp_path / "many.txt")) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() == 0


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "review\nfine\n", "no column 'text', it has: review"),
        ("a.csv", 'text\n"never closed\n', "unexpected end of data"),
        ("a.csv", "id,text\n1\n", "line 2: no 'text'"),
        ("a.jsonl", '{"text": "a"}\n{"txt": "b"}\n', "line 2: no JSON object with 'text'"),
        ("a.jsonl", '{"text": 7}\n', "'text' is 7, not text"),
        ("a.jsonl", '{"text": "\\ud800"}\n', "not Unicode text"),
        ("a.txt", b"fine\n\xff\n", "line 2: not UTF-8"),
        ("missing.txt", None, "No such file"),
    ],
)
def test_what_is_no_text_is_named_in_one_line(
    finished, capsys, tmp_path, name: str, content: str | bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    folder = finished("frozen")
    capsys.readouterr()  # what training says is not meant
    assert predict.main([str(folder), "--file", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    """A cell of one's own, to damage."""
    folder = tmp_path / "study/cell"
    for path in finished("frozen").rglob("*"):
        if path.is_file():
            copy = folder / path.relative_to(finished("frozen"))
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return folder


def said(folder: Path) -> str:
    with pytest.raises(BadInput) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_cell_that_cannot_answer_says_why(copied: Path) -> None:
    assert load(copied).classes == ("negative", "positive")
    weights = copied / "checkpoints/best.ckpt"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "damaged" in said(copied)
    weights.unlink()
    assert "best.ckpt is gone" in said(copied)
    assert said(copied.parent) == f"{copied.parent} is no cell, but holds some: try {copied}"
    (copied / RECORD).write_text("{}")
    assert "is not a record" in said(copied)
    (copied / RECORD).unlink()
    assert "holds no finished cell" in said(copied)
    assert "is not a folder" in said(copied / "nowhere")


def test_weights_of_another_model_are_refused(copied: Path) -> None:
    from poolbench.core.io import file_digest
    from poolbench.training.checkpoints import CHECKSUM

    weights = copied / "checkpoints/best.ckpt"
    kept = torch.load(weights, weights_only=True)
    del kept["state_dict"]["model.head.classify.bias"]
    torch.save(kept, weights)
    weights.with_name(weights.name + CHECKSUM).write_text(file_digest(weights))
    assert "another version of the code" in said(copied)
