"""Packed batches: hidden states and gradients equal the padded ones."""

import jaxtyping
import pytest
import torch
from torch import nn
from transformers import AttentionInterface

from poolbench.data.collate import Batch
from poolbench.encoders import packing as packing_module
from poolbench.encoders.huggingface import PretrainedEncoder
from poolbench.encoders.packing import FAMILIES, MULTIPLE, PACKED, Row
from tests.encoders import families
from tests.encoders.families import (
    DEPTH,
    LENGTHS,
    WIDTH,
    batch,
    difference,
    encoder,
    packing,
    real_states,
)


def gradients_of(of: PretrainedEncoder, one: Batch) -> dict[str, torch.Tensor | None]:
    """Gradients of a random function of the hidden states of real tokens, without dropout."""
    _set_dropout(of.train(), 0.0)
    of.zero_grad()
    draw = torch.Generator().manual_seed(1)
    weights = torch.randn(*one.attention_mask.shape, 1, WIDTH, generator=draw)
    of(one)[one.attention_mask].mul(weights[one.attention_mask]).sum().backward()
    return {name: p.grad for name, p in of.named_parameters()}


def check_gradients(
    found_by_name: dict[str, torch.Tensor | None], expected_by_name: dict[str, torch.Tensor | None]
) -> None:
    scale = max(float(g.abs().max()) for g in expected_by_name.values() if g is not None)
    for name, expected in expected_by_name.items():
        found = found_by_name[name]
        assert (found is None) == (expected is None), name
        if found is not None:
            # The bias of keys changes no attention weight: its gradient is rounding error only.
            error = float((found - expected).abs().max())
            assert error <= 1e-4 * float(expected.abs().max()) or error <= 1e-6 * scale, name


def _set_dropout(of: nn.Module, p: float) -> None:
    for module in of.modules():
        if isinstance(module, nn.Dropout):
            module.p = p


def test_every_family_that_packs_is_tested() -> None:
    assert families.FAMILIES.keys() | families.PACKING_ONLY.keys() >= FAMILIES


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_packed_hidden_states_and_gradients_are_the_padded_ones(family: str) -> None:
    padded, packed = encoder(family, tuning="full"), packing(family, tuning="full")
    expected = real_states(padded)
    assert difference(real_states(packed), expected) < 1e-5
    alone = torch.cat([real_states(packed, (row,)) for row in (0, 1, 2, 4, 5)])
    assert difference(alone, expected) < 1e-5
    one = batch(packed)
    assert packed(one)[~one.attention_mask].count_nonzero() == 0
    if family != "albert":  # uses one layer many times
        layers = [of.with_layers((0, DEPTH)) for of in (packed, padded)]
        assert difference(*map(real_states, layers)) < 1e-5
    check_gradients(gradients_of(packed, one), gradients_of(padded, one))


def test_attention_dropout_is_that_of_transformers() -> None:
    found = []
    for of in (encoder("bert", tuning="full"), packing("bert", tuning="full")):
        _set_dropout(of.train(), 0.0)
        for layer in of.model.encoder.layer:
            layer.attention.self.dropout.p = 0.5
        if not of.packed:
            of.model.set_attn_implementation("eager")
        torch.manual_seed(3)  # one text without padding: both draw the same numbers
        found.append(of(batch(of, (2,))))
    assert difference(*found) < 1e-5
    assert difference(of.eval()(batch(of, (2,))), found[0]) > 1e-2


def _without_window(*args: torch.Tensor, **given: object) -> object:
    return packing_module.attend(*args, **{**given, "sliding_window": None})


@pytest.mark.parametrize(
    ("family", "fault"), [("bert", "sdpa"), ("modernbert", "sdpa"), ("modernbert", "no window")]
)
def test_attention_across_texts_or_beyond_the_window_is_detected(family: str, fault: str) -> None:
    AttentionInterface.register("no window", _without_window)
    faulty = packing(family)
    faulty.model.set_attn_implementation(fault)
    assert difference(real_states(faulty), real_states(encoder(family))) > 0.1


def test_attention_in_several_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = real_states(packing("bert"))
    monkeypatch.setattr(packing_module, "SCORES", 1)
    assert difference(real_states(packing("bert")), expected) < 1e-5


def test_a_row_is_rounded_up_and_has_the_bounds_of_each_text() -> None:
    of = packing("bert", padding_side="left")
    one = batch(of)
    row = Row.of(one)
    assert len(row.where) == 2 * MULTIPLE == of.computed_positions(one)
    assert row.bounds.tolist() == [0, 1, 8, 48, 48, 61, 85, 128]
    real = one.attention_mask
    assert row.pack(one.input_ids)[: sum(LENGTHS)].tolist() == one.input_ids[real].tolist()
    assert torch.equal(row.unpack(row.pack(one.input_ids)), one.input_ids * real)
    assert row.position[:12].tolist() == [0, *range(7), *range(4)]


def test_a_batch_without_tokens_has_zero_states() -> None:
    of = packing("bert")
    assert of(batch(of, (3,))).count_nonzero() == 0


@pytest.mark.slow
def test_packing_can_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward and backward, for rows of several lengths; without inductor."""
    # The shape checks of the tests cannot be traced.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    plain, compiled = packing("bert", tuning="full"), packing("bert", tuning="full")
    compiled.compile(backend="aot_eager")
    for rows in ((0, 1), (1, 2, 4), (2, 3, 4, 5)):
        one = batch(plain, rows)
        check_gradients(gradients_of(compiled, one), gradients_of(plain, one))


def test_attention_with_dropout_is_never_left_to_the_kernel_without_it(monkeypatch) -> None:
    """Or fine-tuning would be another recipe on a GPU."""
    monkeypatch.setattr(packing_module, "varlen_available", lambda *_: True)
    monkeypatch.setattr(packing_module, "varlen_attn", pytest.fail)
    of = packing("bert", tuning="full").train()
    _set_dropout(of, 0.1)
    assert of(batch(of)).isfinite().all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_attention_with_dropout_equals_the_padded_one_on_a_gpu() -> None:
    """At a probability of dropout that drops nothing."""
    padded, packed = (make("bert", tuning="full").cuda().train() for make in (encoder, packing))
    _set_dropout(padded, 0.0)
    _set_dropout(packed, 1e-9)
    one = batch(packed).to(torch.device("cuda"))
    real = one.attention_mask
    with torch.autocast("cuda", torch.bfloat16):
        found = packed(one).float()
    assert difference(found[real], padded(one)[real]) < 5e-2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="varlen_attn needs a GPU")
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_varlen_attention_equals_the_padded_one_up_to_bfloat16(family: str) -> None:
    padded, packed = encoder(family).cuda(), packing(family).cuda()
    one = batch(packed).to(torch.device("cuda"))
    kernel = packed.attention_kernel(one.input_ids.device, torch.bfloat16)
    assert kernel.startswith("varlen_attn")
    exact = padded(one)
    with torch.autocast("cuda", torch.bfloat16):
        found = packed(one).float()
    assert difference(found[one.attention_mask], exact[one.attention_mask]) < 5e-2
    assert packed.model.config._attn_implementation == PACKED
