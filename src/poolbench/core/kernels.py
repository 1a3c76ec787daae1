"""Which kernels compute a cell: chosen by what the machine is, never by a clock.

A timing is not the same twice, and a choice that follows one would give two cells of a study, or
two halves of a resumed one, different last digits. So the choice rests on the processor and on a
check of accuracy with a margin of a thousand; docs/performance.md has the timings behind it.
"""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

# Sends float32 products to oneDNN and lets it use bfloat16. Without AMX it has no kernel that does,
# so they stay float32, and take a third of the time that MKL needs where it is not on Intel's.
TO_ONEDNN = "medium"


@contextlib.contextmanager
def chosen() -> Iterator[None]:
    """The kernels of this machine, for as long as the context lasts.

    Under oneDNN torch's fused attention for the CPU is ten times slower than without, and slower
    than plain matrix products: it gives way to them.
    """
    if not onednn():
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(TO_ONEDNN)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


@functools.cache
def onednn() -> bool:
    """Should oneDNN multiply float32 matrices? Where there is no GPU, and it is known to pay."""
    return (
        not torch.cuda.is_available()
        and torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and not torch.cpu._is_amx_tile_supported()
        and _vendor() == "AuthenticAMD"
        and error(TO_ONEDNN) < 4 * error("highest")
    )


def varlen(device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Can the flash kernel behind ``varlen_attn`` compute heads of this width?"""
    return (
        device.type == "cuda"
        and dtype in (torch.float16, torch.bfloat16)
        and width % 8 == 0
        and width <= 256
        and torch.cuda.get_device_capability(device) >= (8, 0)
    )


def error(precision: str) -> float:
    """The relative error of a float32 product: near 3e-7, or near 3e-3 where it is really bf16.

    Args:
        precision: as ``torch.set_float32_matmul_precision`` takes it.
    """
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(256, 384, generator=draw), torch.randn(384, 512, generator=draw)
    exact = a.double() @ b.double()
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        return float((a @ b - exact).norm() / exact.norm())
    finally:
        torch.set_float32_matmul_precision(before)


def summary() -> dict[str, str]:
    """What a record says of the choice."""
    if onednn():
        return {"float32_products": "oneDNN", "sdpa": "math"}
    return {"float32_products": "torch's default", "sdpa": "torch's default"}


def _vendor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("vendor_id"))
    except (OSError, StopIteration, IndexError):
        return ""
