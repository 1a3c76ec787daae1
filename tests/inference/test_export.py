"""What was exported says what was trained: for texts of any length, alone or in any batch."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from poolbench.core.errors import BadInput
from poolbench.inference import as_onnx, as_sentence_transformer
from poolbench.inference.beside import ABOUT
from poolbench.inference.load import Trained, load
from poolbench.inference.parity import some_tested
from scripts import export
from tests.conftest import ROOT
from tests.tiny_bert import tiny_bert

for library in ("onnx", "onnxscript", "onnxruntime", "sentence_transformers"):
    pytest.importorskip(library, reason=f"{library} is not installed: the extra 'export'")

LEARNING = ["optimizer.lr=0.01", "trainer.max_epochs=10", "patience=10"]
POOLERS = ("mean", "cls", "max", "attention", "conv", "mean_max", "last", "native", "gru")
ONNX = {
    **{name: [f"pooler={name}"] for name in POOLERS},
    "token ids, content, layers, left": [
        "pooler=idf_mean",
        "pooled_tokens=content",
        "layers=last4_mean",
        "encoder.padding_side=left",
    ],
    "pooler's own layers, fine-tuned, prefix": [
        "pooler=max_pool_bert",
        "encoder.tuning=full",
        "encoder.prefix='the film : '",
    ],
}
MODES = ("mean", "cls", "max", "mean_max", "mean_sqrt", "weighted_mean", "last")
LIBRARY = {
    **{name: [f"pooler={name}"] for name in MODES},
    "deeper head, left, fine-tuned, prefix": [
        "pooler=weighted_mean",
        "head=mlp",
        "encoder.padding_side=left",
        "encoder.tuning=full",
        "encoder.prefix='the film : '",
    ],
}
REFUSED = {
    "attention": (["pooler=attention"], "no pooling like attention"),
    "content": (["pooler=mean", "pooled_tokens=content"], "pools special tokens too"),
    "layers": (["pooler=mean", "layers=last4_mean"], "pools the last layer only"),
}


@pytest.fixture
def cell(run, shared_output: Path) -> Any:
    """The folder of a finished cell."""

    def cell(*overrides: str) -> Path:
        folder: Path = run(*tiny_bert(shared_output), *LEARNING, *overrides)["folder"]
        return folder

    return cell


def exported(capsys, folder: Path, to: str, out: Path) -> str:
    """The line that the script prints."""
    assert export.main([str(folder), "--to", to, "--out", str(out)]) == 0
    printed: str = capsys.readouterr().out.strip()
    assert re.fullmatch(rf"{re.escape(str(out))}: largest .* equal: 64 of 64(\nas .*)?", printed)
    return printed


def texts_of(trained: Trained) -> list[str]:
    """From nothing to more than fits."""
    _, texts = some_tested(trained, 16)
    return ["", "film", "A joy.", *texts, "an endless film " * 40]


def close(found: np.ndarray, expected: torch.Tensor) -> None:
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("kind", ONNX)
def test_onnx_says_the_same(cell, capsys, tmp_path: Path, kind: str) -> None:
    import onnxruntime

    folder = cell(*ONNX[kind])
    exported(capsys, folder, "onnx", tmp_path / "out")
    trained = load(folder)
    texts = texts_of(trained)
    expected = trained.logits(texts)
    close(as_onnx.onnx_logits(tmp_path / "out", texts), expected)
    alone = [as_onnx.onnx_logits(tmp_path / "out", [text]) for text in texts]
    close(np.concatenate(alone), expected)
    (batch,) = trained.batches(texts[:5])
    session = onnxruntime.InferenceSession(tmp_path / "out/model.onnx")
    more = nn.ConstantPad1d((0, 64 - batch.input_ids.shape[1]), trained.model.encoder.pad_id)
    if trained.model.encoder.padding_side == "left":
        more.padding = more.padding[::-1]
    padded = {"input_ids": more(batch.input_ids).numpy()}
    more.value = 0
    padded["attention_mask"] = more(batch.attention_mask.long()).numpy()
    assert padded["input_ids"].shape == (5, 64)
    close(session.run(None, padded)[0], expected[:5])


@pytest.mark.parametrize("kind", LIBRARY)
def test_sentence_transformers_says_the_same(cell, capsys, tmp_path: Path, kind: str) -> None:
    folder = cell(*LIBRARY[kind])
    exported(capsys, folder, "sentence-transformers", tmp_path / "out")
    trained = load(folder)
    texts = texts_of(trained)
    expected = trained.logits(texts)
    logits = as_sentence_transformer.sentence_transformer_logits
    close(logits(tmp_path / "out", texts), expected)
    close(np.concatenate([logits(tmp_path / "out", [text]) for text in texts[-3:]]), expected[-3:])


@pytest.mark.parametrize("kind", REFUSED)
def test_what_the_target_cannot_say_is_refused(cell, capsys, tmp_path: Path, kind: str) -> None:
    overrides, said = REFUSED[kind]
    out = tmp_path / "out"
    arguments = [str(cell(*overrides)), "--to", "sentence-transformers", "--out", str(out)]
    capsys.readouterr()  # what training says is not meant
    assert export.main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "--to onnx" in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_a_tokenizer_of_our_own_is_refused(run, capsys, tmp_path: Path) -> None:
    folder = run("encoder=scratch", "pooler=mean")["folder"]
    for to in ("onnx", "sentence-transformers"):
        assert export.main([str(folder), "--to", to, "--out", str(tmp_path / "out")]) == 2
        assert "has a tokenizer of its own" in capsys.readouterr().err


@pytest.mark.parametrize("to", ["onnx", "sentence-transformers"])
def test_the_readme_classifies_without_a_network(cell, capsys, tmp_path: Path, to: str) -> None:
    folder = cell("pooler=mean", "head=mlp")
    exported(capsys, folder, to, tmp_path / "out")
    (code,) = re.findall(r"```python\n(.*?)```", (tmp_path / "out/README.md").read_text(), re.S)
    # An address that nothing answers: what asks for the hub fails.
    offline = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "out",
        env=offline,
        capture_output=True,
        text=True,
        check=True,
    )
    trained = load(folder)
    best = trained.logits(["A joy.", "A waste of time."]).argmax(dim=1).tolist()
    assert done.stdout.strip() == str([trained.classes[i] for i in best])


def test_a_wrong_export_is_told_and_exits_1(cell, capsys, tmp_path: Path, monkeypatch) -> None:
    """A planted fault: sentence-transformers pools by another rule than the cell."""
    from poolbench.poolers.cls import ClsPooler

    folder = cell("pooler=cls")
    monkeypatch.setitem(as_sentence_transformer.MODES, ClsPooler, ("max",))
    arguments = [str(folder), "--to", "sentence-transformers", "--out", str(tmp_path / "out")]
    assert export.main(arguments) == 1
    printed = capsys.readouterr()
    assert "64 of 64" not in printed.out
    assert "error: what was exported is not what was trained" in printed.err


def test_only_an_earlier_export_is_replaced(cell, capsys, tmp_path: Path) -> None:
    folder, out = cell("pooler=mean"), tmp_path / "out"
    exported(capsys, folder, "onnx", out)
    before = (out / "model.onnx").stat().st_ino
    exported(capsys, folder, "onnx", out)
    assert (out / "model.onnx").stat().st_ino != before
    assert json.loads((out / ABOUT).read_text())["classes"] == ["negative", "positive"]
    (tmp_path / "mine").mkdir()
    assert export.main([str(folder), "--to", "onnx", "--out", str(tmp_path / "mine")]) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out"]


def test_what_has_no_onnx_form_is_refused(cell, tmp_path: Path) -> None:
    trained = load(cell("pooler=mean"))

    class Unknown(nn.Module):
        input_dim = num_classes = 2

        def forward(self, pooled: torch.Tensor) -> torch.Tensor:
            return torch.linalg.svdvals(pooled[:, :4].reshape(-1, 2, 2))

    trained.model.head = Unknown()
    with pytest.raises(BadInput, match="has no ONNX form"):
        as_onnx.write_onnx(trained, tmp_path)


def test_help_needs_no_torch() -> None:
    code = "import sys; from scripts import export, predict; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
