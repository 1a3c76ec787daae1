"""Export runs, run the program of an export, and compare."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts import export

for library in ("onnx", "onnxscript", "onnxruntime", "sentence_transformers"):
    pytest.importorskip(library, reason=f"{library} is not installed: the extra 'export'")

# From nothing to more than fits.
TEXTS = ["", "film", "A joy.", "A waste of time, and not short.", "an endless film " * 40]


def export_to(target: str, folder: Path, out: Path) -> int:
    return export.main([str(folder), "--to", target, "--out", str(out)])


def readme_program(out: Path) -> str:
    """What the program in the README of an export prints."""
    (code,) = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.S)
    # Nothing answers at this address: a request to the hub fails.
    offline = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=out, env=offline, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def close(found: np.ndarray, expected: torch.Tensor) -> None:
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-5, rtol=2e-5)
