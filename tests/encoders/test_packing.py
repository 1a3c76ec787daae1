"""Packed states and gradients are the padded ones, in every family that packs."""

import functools

import jaxtyping
import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface, AutoConfig, AutoModel

from poolbench.data.collate import Batch, make_batch
from poolbench.data.loaders import movie_reviews
from poolbench.data.tokenized import tokenise
from poolbench.encoders import packed
from poolbench.encoders.huggingface import PretrainedEncoder
from poolbench.encoders.packing import MULTIPLE, PACKED, Row
from tests.data.test_collate import corpus
from tests.encoders.families import DEPTH, FAMILIES, SIZES, VOCABULARY, WIDTH, encoder
from tests.encoders.test_huggingface import minilm

# What a family needs beyond the sizes that all share.
MORE = {
    "albert": {"embedding_size": WIDTH},
    "camembert": {"pad_token_id": 1},
    "eurobert": {"num_key_value_heads": 2},
    "mistral": {"num_key_value_heads": 2, "sliding_window": 4},
    "nomic_bert": {},
    "qwen2": {"num_key_value_heads": 2},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 8},
    "xlm-roberta": {"pad_token_id": 1},
}
SPECIAL = {"bos_token_id": None, "eos_token_id": None, "cls_token_id": None}
LENGTHS = (1, 7, 40, 0, 13, 24)
PACKING = sorted(packed.FAMILIES)
ONE_LAYER = {"albert"}  # used many times over


@functools.cache
def texts(side: str, rows: tuple[int, ...] = tuple(range(len(LENGTHS)))) -> Batch:
    """Random words, more of them than a model has positions; one text is empty."""
    draw = torch.Generator().manual_seed(0)
    ids = [torch.randint(2, VOCABULARY, (n,), generator=draw).tolist() for n in LENGTHS]
    return make_batch(corpus(ids), torch.tensor(rows), side)


def make(family: str, **knobs: object) -> PretrainedEncoder:
    torch.manual_seed(0)
    # Ten times the usual weights: with those, a text hardly looks at its other tokens.
    settings = {**SIZES, **SPECIAL, "initializer_range": 0.2, **{**FAMILIES, **MORE}[family]}
    made = AutoModel.from_config(AutoConfig.for_model(family, **settings))
    made = made.get_encoder() if made.config.is_encoder_decoder else made
    return encoder(family, made, **{"padding_side": "right", **knobs})


def both(family: str, **knobs: object) -> tuple[PretrainedEncoder, PretrainedEncoder]:
    """An encoder that pads, and the same one packing."""
    padding, packing = make(family, **knobs), make(family, **knobs)
    packing.pack()
    assert packing.packed
    return padding, packing


def differs(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float(((found - expected).abs().max() / expected.abs().max()).detach())


def states_differ(
    padding: PretrainedEncoder, packing: PretrainedEncoder, batch: Batch, on: Batch | None = None
) -> float:
    with torch.inference_mode():
        expected, found = padding(on or batch), packing(batch)
    real, there = batch.attention_mask, (on or batch).attention_mask
    return differs(found[real], expected[there])


def test_every_family_that_packs_is_tested() -> None:
    assert set(PACKING) <= FAMILIES.keys() | MORE.keys()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", PACKING)
def test_packed_states_are_the_padded_ones(family: str, side: str) -> None:
    padding, packing = both(family, padding_side=side)
    batch = texts(side)
    assert batch.tokens > SIZES["max_position_embeddings"]
    assert states_differ(padding, packing, batch) < 1e-5
    assert packing(batch)[~batch.attention_mask].count_nonzero() == 0


@pytest.mark.parametrize("family", PACKING)
def test_a_text_alone_has_the_states_it_has_in_company(family: str) -> None:
    padding, packing = both(family)
    for row in (0, 2, 4):
        assert states_differ(padding, packing, texts("right", (row,))) < 1e-5
    with torch.inference_mode():
        company = packing(texts("right"))[4, : LENGTHS[4]]
        assert differs(packing(texts("right", (4,)))[0], company) < 1e-5


@pytest.mark.parametrize("family", sorted({*PACKING} - ONE_LAYER))
def test_other_layers_are_the_padded_ones(family: str) -> None:
    padding, packing = (of.reading((1, DEPTH)) for of in both(family))
    assert packing.packed, "a reading of a packing encoder packs"
    assert states_differ(padding, packing, texts("right")) < 1e-5
    padding, packing = (of.reading((0, 1)) for of in both(family))
    assert states_differ(padding, packing, texts("right")) < 1e-5


def gradients_of(encoder: PretrainedEncoder, batch: Batch) -> dict[str, torch.Tensor | None]:
    """Of a random function of the states at real tokens; without dropout."""
    _set_dropout(encoder.train(), 0.0)
    encoder.zero_grad()
    draw = torch.Generator().manual_seed(1)
    wanted = torch.randn(*batch.attention_mask.shape, 1, WIDTH, generator=draw)
    encoder(batch)[batch.attention_mask].mul(wanted[batch.attention_mask]).sum().backward()
    return {name: p.grad for name, p in encoder.named_parameters()}


def check_gradients(
    found_ones: dict[str, torch.Tensor | None], expected_ones: dict[str, torch.Tensor | None]
) -> None:
    scale = max(float(g.abs().max()) for g in expected_ones.values() if g is not None)
    for name, expected in expected_ones.items():
        found = found_ones[name]
        assert (found is None) == (expected is None), name
        if found is not None:
            # A bias of keys changes no attention weight: its gradient is rounding and nothing else.
            error = float((found - expected).abs().max())
            assert error <= 1e-4 * float(expected.abs().max()) or error <= 1e-6 * scale, name


@pytest.mark.parametrize("family", PACKING)
def test_gradients_are_the_padded_ones(family: str) -> None:
    padding, packing = both(family, tuning="full")
    batch = texts("right")
    check_gradients(gradients_of(packing, batch), gradients_of(padding, batch))


def test_attention_dropout_is_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "drop", functional.dropout)  # with the library's numbers
    batch = texts("right", (2,))
    found = []
    for of in both("bert", tuning="full"):
        _set_dropout(of.train(), 0.0)
        for layer in of.model.encoder.layer:
            layer.attention.self.dropout.p = 0.5
        if not of.packed:
            of.model.set_attn_implementation("eager")
        torch.manual_seed(3)  # one text without padding: both draw the same numbers
        found.append(of(batch))
    assert differs(*found) < 1e-5
    assert differs(of.eval()(batch), found[0]) > 1e-2


def _set_dropout(of: nn.Module, p: float) -> None:
    for module in of.modules():
        if isinstance(module, nn.Dropout):
            module.p = p


def _without_window(*args: torch.Tensor, **given: object) -> object:
    return packed.attend(*args, **{**given, "sliding_window": None})


@pytest.mark.parametrize(
    ("family", "fault"), [("bert", "sdpa"), ("modernbert", "sdpa"), ("modernbert", "no window")]
)
def test_a_text_that_sees_its_neighbours_or_too_far_is_noticed(family: str, fault: str) -> None:
    AttentionInterface.register("no window", _without_window)
    padding, packing = both(family)
    packing.model.set_attn_implementation(fault)
    assert states_differ(padding, packing, texts("right")) > 0.1


def test_texts_in_several_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    padding, packing = both("bert")
    monkeypatch.setattr(packed, "SCORES", 1)
    assert states_differ(padding, packing, texts("right")) < 1e-5


@pytest.mark.parametrize("family", sorted({*FAMILIES} - {*PACKING}))
def test_a_family_that_cannot_pack_goes_on_padding(family: str) -> None:
    padding, packing = make(family), make(family)
    packing.pack()
    assert not packing.packed
    assert torch.equal(padding(texts("right")), packing(texts("right")))
    assert packing.computed(texts("right")) == texts("right").attention_mask.numel()


def test_a_row_is_rounded_and_says_where_each_text_begins() -> None:
    batch = texts("left")
    row = Row.of(batch)
    assert len(row.where) == 2 * MULTIPLE == make_packing().computed(batch)
    assert row.bounds.tolist() == [0, 1, 8, 48, 48, 61, 85, 128]
    assert row.pack(batch.input_ids)[: row.tokens].tolist() == (
        batch.input_ids[batch.attention_mask].tolist()
    )
    real = batch.attention_mask
    assert torch.equal(row.unpack(row.pack(batch.input_ids)), batch.input_ids * real)
    assert row.position[:12].tolist() == [0, *range(7), *range(4)]


def test_a_batch_without_any_token_has_zero_states() -> None:
    assert make_packing()(texts("right", (3,))).count_nonzero() == 0


def make_packing() -> PretrainedEncoder:
    return both("bert")[1]


def test_real_weights_on_real_text_give_the_same_states() -> None:
    padding, packing = minilm(max_length=128), minilm(max_length=128)
    packing.pack()
    splits = movie_reviews("rotten_tomatoes", 1000, 2530, 0, max_examples=32)
    batch = make_batch(tokenise(splits, padding.tokenize), torch.arange(32))
    assert states_differ(padding, packing, batch) < 3e-6


def test_packing_can_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backward too, for rows of several lengths; inductor itself is left out."""
    # They are checked while testing only, and that checker cannot be traced.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    plain, compiled = make("bert", tuning="full"), make("bert", tuning="full")
    plain.pack()
    compiled.pack()
    compiled.compile(backend="aot_eager")
    for rows in ((0, 1), (1, 2, 4), (2, 3, 4, 5)):
        batch = texts("right", rows)
        check_gradients(gradients_of(compiled, batch), gradients_of(plain, batch))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="varlen_attn needs a GPU")
@pytest.mark.parametrize("family", PACKING)
def test_varlen_attention_is_the_padded_one_up_to_bfloat16(family: str) -> None:
    padding, packing = (of.cuda() for of in both(family))
    batch = texts("right").to(torch.device("cuda"))
    assert packing.attention(batch.input_ids.device, torch.bfloat16).startswith("varlen_attn")
    exact = padding(batch)
    with torch.autocast("cuda", torch.bfloat16):
        found = packing(batch).float()
    assert differs(found[batch.attention_mask], exact[batch.attention_mask]) < 5e-2
    assert packing.model.config._attn_implementation == PACKED
