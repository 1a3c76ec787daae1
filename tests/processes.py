"""``train.py`` on little data in a process of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import ROOT, TINY

TRAIN = str(ROOT / "train.py")
LITTLE = [*TINY, "dataset.max_examples=64", "certify=false", "measure=false", "logger=none"]
AFTER = f"""
import runpy, sys
sys.argv[0] = {TRAIN!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def start(
    output: Path, *arguments: str, prelude: str = "", **environment: str
) -> "subprocess.Popen[str]":
    """Start it beside the folder ``output``; ``prelude`` is code that it runs first."""
    program = ["-c", prelude + AFTER] if prelude else [TRAIN]
    given = {argument.partition("=")[0] for argument in arguments}
    little = [o for o in LITTLE if o.partition("=")[0] not in given]
    return subprocess.Popen(
        [sys.executable, *program, *arguments, *little, f"output_dir={output}"],
        cwd=output.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | environment,
    )


def send_once(process: "subprocess.Popen[str]", number: int, output: Path, pattern: str) -> None:
    """Send a signal as soon as there is a file below ``output``."""
    deadline = time.monotonic() + 200
    while not list(output.rglob(pattern)) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)


def finish(process: "subprocess.Popen[str]", code: int = 0) -> str:
    """What it has printed when it ends with this exit code."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, out + err
    return out + err
