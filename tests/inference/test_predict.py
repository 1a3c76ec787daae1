"""Trained runs on new texts: the predictions of the run's own test, from every kind of input."""

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from poolbench.inference.load import load
from poolbench.runs.record import RECORD
from scripts import predict
from tests.conftest import ROOT, rejection
from tests.report.studies import write_run
from tests.tiny_bert import tiny_bert

KINDS = {
    "frozen": ["pooler=attention"],
    "fine-tuned": ["pooler=mean", "encoder.tuning=full"],
    "four layers, content": ["pooler=max", "pooled_tokens=content", "layers=last4_mean"],
}


@pytest.fixture
def trained_run(trained_bert: Callable[..., Path]) -> Callable[[str], Path]:
    """The folder of a finished run of a kind."""
    return lambda kind="frozen": trained_bert(*KINDS[kind])


@pytest.fixture
def answers(capsys) -> Callable[..., list[dict[str, Any]]]:
    """What the script prints."""

    def answers(*arguments: object) -> list[dict[str, Any]]:
        capsys.readouterr()
        assert predict.main([str(argument) for argument in arguments]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.split("\n") if line]

    return answers


@pytest.mark.parametrize("kind", KINDS)
def test_test_texts_get_the_recorded_predictions(trained_run, answers, session, kind: str) -> None:
    folder = trained_run(kind)
    trained = load(folder)
    recorded = trained.record.predictions
    texts = list(session.inputs(trained.config).splits["test"]["text"])
    # Cached hidden states are in half precision.
    tolerance = 1e-4 if kind == "fine-tuned" else 2e-2
    np.testing.assert_allclose(trained.logits(texts), recorded.outputs, atol=tolerance, rtol=0)
    assert len(set(recorded.predicted)) > 1, "the test needs more than one predicted class"
    found = answers(folder, *texts)
    assert [a["text"] for a in found] == texts
    assert [trained.classes.index(a["label"]) for a in found] == recorded.predicted.tolist()
    expected = torch.from_numpy(recorded.outputs).softmax(dim=1)
    given = torch.tensor([[a["probabilities"][name] for name in trained.classes] for a in found])
    torch.testing.assert_close(given, expected, atol=tolerance, rtol=0)


def test_the_most_probable_classes_come_first(trained_run, answers, capsys) -> None:
    both, one = (answers(trained_run(), "A joy.", "--top", top)[0] for top in (2, 1))
    values = list(both["probabilities"].values())
    assert values == sorted(values, reverse=True)
    assert sum(values) == pytest.approx(1, abs=1e-5)
    assert (
        one["probabilities"] == {both["label"]: both["probability"]} == {both["label"]: values[0]}
    )
    with pytest.raises(SystemExit):
        predict.main(["folder", "A joy.", "--top", "0"])
    assert "--top of 1 or more" in capsys.readouterr().err


def test_every_kind_of_input_gives_the_same_answers(
    trained_run, answers, tmp_path: Path, monkeypatch
) -> None:
    texts = ["A joy, from start to end.", "", 'He said "no", twice', "naïve \u2028 ☃"]
    expected = answers(trained_run(), *texts)
    plain = "\ufeffA joy, from start to end.\r\n\n" + "\n".join(texts[2:])
    (tmp_path / "texts.txt").write_bytes(plain.encode())
    (tmp_path / "texts.csv").write_text(
        'id,review\n1,"A joy, from start to end."\n2,""\n3,"He said ""no"", twice"\n'
        "4,naïve \u2028 ☃\n"
    )
    rows = [json.dumps({"review": text}, ensure_ascii=False) for text in texts]
    (tmp_path / "texts.jsonl").write_text("\n".join(rows))
    (tmp_path / "texts.jsonl.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    pd.DataFrame({"review": texts}).to_parquet(tmp_path / "texts.parquet")
    for name in ("texts.txt", "texts.csv", "texts.jsonl", "texts.jsonl.gz", "texts.parquet"):
        arguments = ("--file", tmp_path / name, "--text-column", "review")
        assert answers(trained_run(), *arguments) == expected, name
    stream = io.TextIOWrapper(io.BytesIO("\n".join(texts).encode()))
    monkeypatch.setattr("sys.stdin", stream)
    assert answers(trained_run()) == expected


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "scripts/predict.py", folder, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.slow
def test_a_line_is_answered_while_the_pipe_stays_open(trained_run) -> None:
    with start(trained_run()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in ("first", "second"):
            process.stdin.write(f"{text}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["text"] == text
        process.stdin.close()
        assert process.wait() == 0


@pytest.mark.slow
def test_a_reader_that_leaves_causes_no_message(trained_run, tmp_path: Path) -> None:
    (tmp_path / "many.txt").write_text("a film\n" * 5000)
    with start(trained_run(), "--file", str(tmp_path / "many.txt")) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "review\nfine\n", "has no column 'text': it has: 'review'"),
        ("a.csv", 'text\n"never closed\n', "line 2: double the quotes"),
        ("a.csv", "id,text\n0,good\n1\n", "line 3 has 1 columns"),
        ("a.jsonl", '{"text": "a"}\n{"txt": "b"}\n', "row 2: no text in 'text'"),
        ("a.jsonl", '{"text": 7}\n', "row 1: no text"),
        ("a.jsonl", '{"text": "a"}\nnot json\n', "line 2 is not JSON: Expecting value"),
        ("a.jsonl", '["text"]\n', "line 1 is not an object"),
        ("a.txt", b"fine\n\xff\n", "line 2: not UTF-8"),
        ("missing.txt", None, "No such file"),
    ],
)
def test_unusable_files_end_in_one_line(
    capsys, tmp_path: Path, name: str, content: str | bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    write_run(tmp_path / "study", "mean", 0)  # a record without weights: none are loaded
    (run,) = (tmp_path / "study").rglob("seed=0*")
    assert predict.main([str(run), "--file", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_half_a_surrogate_pair_is_rejected(trained_run, capsys) -> None:
    assert predict.main([str(trained_run()), "\ud800"]) == 2
    assert "not Unicode text" in capsys.readouterr().err


def test_a_run_that_cannot_be_loaded_says_why(trained_run, tmp_path: Path) -> None:
    folder = shutil.copytree(trained_run(), tmp_path / "study/run")
    weights = folder / "checkpoints/best.ckpt"
    checkpoint, content = torch.load(weights, weights_only=True), weights.read_bytes()
    assert load(folder).classes == ["negative", "positive"]
    middle = len(content) // 2
    weights.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    assert "damaged" in rejection(lambda: load(folder))
    del checkpoint["state_dict"]["model.head.classify.bias"]
    torch.save(checkpoint, weights)
    assert "another version" in rejection(lambda: load(folder))
    weights.unlink()
    assert "missing" in rejection(lambda: load(folder))
    assert str(folder) in rejection(lambda: load(folder.parent))
    (folder / RECORD).write_text("{}")
    assert "it is not a record" in rejection(lambda: load(folder))
    (folder / RECORD).unlink()
    assert "not a finished run" in rejection(lambda: load(folder))


def test_an_encoder_that_has_changed_is_rejected(run, tmp_path: Path) -> None:
    record = run(*tiny_bert(tmp_path), "pooler=mean")
    from safetensors.torch import load_file, save_file

    path = tmp_path / "tiny-bert/model.safetensors"
    weights = {name: value + 1 for name, value in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
    assert "encoder have changed" in rejection(lambda: load(record.folder))
