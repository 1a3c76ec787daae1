"""The environment of a result: library versions, hardware, code, and the precision of products."""

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
    """The machine, and the settings that change the last digits of a sum."""
    gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if gpu else _cpu("model name"),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }


@functools.cache
def revision() -> dict[str, Any] | None:
    """Git commit of the code and whether files differ from it; None outside a checkout."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def set_matmul_precision() -> None:
    """Let oneDNN multiply float32 matrices on AMD processors with AVX-512 and without AMX.

    ``torch.set_float32_matmul_precision("medium")`` allows bfloat16 products. Without AMX oneDNN
    has no such kernel, so products stay float32 (relative error 3e-7, as before) and take about
    a third of the time of the default library. On every other machine nothing is changed.
    """
    if (
        not torch.cuda.is_available()
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and not torch.cpu._is_amx_tile_supported()
        and _cpu("vendor_id") == "AuthenticAMD"
    ):
        torch.set_float32_matmul_precision("medium")
        # With oneDNN, torch's fused attention on the CPU takes ten times as long as without.
        torch.backends.cuda.enable_flash_sdp(False)


def _cpu(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith(field))
    except (OSError, StopIteration, IndexError):
        return platform.processor() or "CPU"
