"""Matrix products keep float32 accuracy; the code digest covers what computes results."""

import torch

from poolbench.core import environment
from poolbench.core.sources import code_digest


def test_the_matmul_setting_keeps_float32_accuracy() -> None:
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(256, 384, generator=draw), torch.randn(384, 512, generator=draw)
    exact = a.double() @ b.double()
    precision, flash = torch.get_float32_matmul_precision(), torch.backends.cuda.flash_sdp_enabled()
    try:
        environment.set_matmul_precision()
        error = float((a @ b - exact).norm() / exact.norm())
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.cuda.enable_flash_sdp(flash)
    assert error < 1e-6


def test_versions_hardware_and_digest_identify_the_environment() -> None:
    assert environment.versions()["torch"] == torch.__version__
    assert environment.hardware(torch.device("cpu"))["threads"] == torch.get_num_threads()
    assert len(code_digest()) == 16
