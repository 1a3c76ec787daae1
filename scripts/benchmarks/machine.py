"""What this machine is and what it can do: matrix products, copies, instructions."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from poolbench.core import environment as provenance

PEERS = ("accelerate", "sentence-transformers")
SIDE = 2048
COPIED = 256_000_000
TRIES = 5


@dataclass(frozen=True)
class Rates:
    """The measured best of a machine.

    Attributes:
        flops: floating-point operations a second in a large matrix product (Pi).
        bytes: bytes a second in a large copy, those read and those written (beta).
    """

    flops: float
    bytes: float


def rates(dtype: torch.dtype, device: torch.device, side: int = SIDE) -> Rates:
    """Both rates, with the threads and the matrix-product precision that are set now."""
    return Rates(gemm_rate(dtype, device, side), copy_bandwidth(device))


def gemm_rate(dtype: torch.dtype, device: torch.device, side: int = SIDE) -> float:
    """Operations a second of the best of several (side x side) matrix products."""
    left = torch.randn(side, side, dtype=dtype, device=device)
    right = torch.randn(side, side, dtype=dtype, device=device)
    out = torch.empty_like(left)
    return 2.0 * side**3 / _best(lambda: torch.mm(left, right, out=out), device)


def copy_bandwidth(device: torch.device, size: int = COPIED) -> float:
    """Bytes a second, read and written ones together, of the best of several copies."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2.0 * size / _best(lambda: target.copy_(source), device)


def describe(device: torch.device) -> dict[str, Any]:
    """What stands beside every figure: hardware, threads, instructions, versions, precision."""
    return {
        **provenance.hardware(device),
        "instructions": [name for name in INSTRUCTIONS if name in cpu_flags()],
        "matmul_precision": torch.get_float32_matmul_precision(),
        "versions": provenance.versions() | _peer_versions(),
        "revision": provenance.revision(),
    }


INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")


def cpu_flags() -> frozenset[str]:
    """What the processor says it can do; empty where that cannot be read."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), ":")
    return frozenset(flags.split(":")[1].split())


def _peer_versions() -> dict[str, str]:
    found = {}
    for name in PEERS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _best(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of several tries, the first left out."""
    seconds = []
    for _ in range(1 + TRIES):
        _wait(device)
        started = time.perf_counter()
        work()
        _wait(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
