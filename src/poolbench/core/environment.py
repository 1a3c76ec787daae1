"""Where a result comes from: library versions, hardware, revision of the code."""

import functools
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

LIBRARIES = (
    "poolbench",
    "torch",
    "pytorch-lightning",
    "transformers",
    "datasets",
    "hydra-core",
    "wandb",
    "torchmetrics",
    "numpy",
)


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries a result depends on; absent ones are left out."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware(device: torch.device) -> dict[str, Any]:
    """The machine; the thread count too, since it changes the last digits of a sum."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu(),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
    }


@functools.cache
def revision() -> dict[str, Any] | None:
    """Commit of the code and whether files differ from it; None outside a git checkout."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        return platform.processor() or "CPU"
