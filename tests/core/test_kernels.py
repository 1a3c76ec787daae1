"""The choice of kernels follows from the machine, is as accurate as float32, and ends."""

import subprocess
import sys

import pytest
import torch
from torch.backends.cuda import flash_sdp_enabled
from torch.nn.functional import scaled_dot_product_attention

from poolbench.core import kernels

PROBE = """
import torch
from poolbench.core import kernels
torch.set_num_threads(1)
a = torch.randn(300, 384, generator=torch.Generator().manual_seed(0))
with kernels.chosen():
    print(kernels.summary(), (a @ a.T).double().sum().item().hex())
"""


def test_every_process_of_a_machine_chooses_and_computes_alike() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(3)
    }
    assert len(said) == 1


def test_the_choice_is_as_accurate_as_float32() -> None:
    a, b = torch.randn(256, 384), torch.randn(384, 512)
    exact = a.double() @ b.double()
    with kernels.chosen():
        found = a @ b
    assert float((found - exact).norm() / exact.norm()) < 4 * kernels.error("highest")


def test_products_that_are_really_bfloat16_would_be_refused() -> None:
    a, b = torch.randn(256, 384), torch.randn(384, 512)
    exact = a.double() @ b.double()
    rounded = (a.bfloat16() @ b.bfloat16()).double()
    assert float((rounded - exact).norm() / exact.norm()) > 1_000 * kernels.error("highest")


@pytest.mark.parametrize(
    "missing",
    [
        "poolbench.core.kernels._vendor",
        "torch.cpu._is_amx_tile_supported",
        "poolbench.core.kernels.error",
    ],
)
def test_a_machine_on_which_it_may_not_pay_or_not_be_exact_keeps_torchs_own(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {
        "poolbench.core.kernels._vendor": lambda: "GenuineIntel",
        "torch.cpu._is_amx_tile_supported": lambda: True,
        "poolbench.core.kernels.error": {"highest": 3e-7, "medium": 3e-3}.__getitem__,
    }
    monkeypatch.setattr(missing, answers[missing])
    kernels.onednn.cache_clear()
    try:
        assert not kernels.onednn()
        with kernels.chosen():
            assert flash_sdp_enabled()
            assert torch.get_float32_matmul_precision() == "highest"
        assert kernels.summary()["float32_products"] == "torch's default"
    finally:
        kernels.onednn.cache_clear()


def test_what_was_set_before_comes_back_after_an_error_too() -> None:
    before = torch.get_float32_matmul_precision(), flash_sdp_enabled()
    with kernels.chosen():
        assert flash_sdp_enabled() != kernels.onednn()
    with pytest.raises(ZeroDivisionError), kernels.chosen():
        raise ZeroDivisionError
    assert (torch.get_float32_matmul_precision(), flash_sdp_enabled()) == before


def test_attention_is_the_same_whatever_computes_it() -> None:
    q, k, v = torch.randn(3, 2, 4, 20, 8).unbind()
    mask = torch.rand(2, 1, 20, 20) > 0.3
    expected = scaled_dot_product_attention(q, k, v, attn_mask=mask)
    with kernels.chosen():
        torch.testing.assert_close(scaled_dot_product_attention(q, k, v, attn_mask=mask), expected)
