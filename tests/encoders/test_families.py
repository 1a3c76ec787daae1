"""Model families: hidden states and classification heads are those of transformers."""

import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from poolbench.core.errors import UserError
from poolbench.encoders.packing import FAMILIES as PACKING_FAMILIES
from poolbench.poolers.native import NativePooler
from tests.encoders.families import (
    DEPTH,
    FAMILIES,
    LENGTHS,
    WIDTH,
    batch,
    config,
    difference,
    encoder,
    model,
    packing,
    real_states,
    texts,
)

EVERY_LAYER = tuple(range(DEPTH + 1))


@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_depend_on_the_text_alone_and_equal_those_of_transformers(
    family: str,
) -> None:
    of = encoder(family).with_layers(EVERY_LAYER)
    together = real_states(of)
    one = batch(of, (0, 1, 2, 4, 5))
    with torch.inference_mode():
        expected = model(family)(
            input_ids=one.input_ids,
            attention_mask=one.attention_mask.long(),
            output_hidden_states=True,
        )
    # Some families normalise the last layer once more.
    states = [*expected.hidden_states[:DEPTH], expected.last_hidden_state]
    states = torch.stack(states, dim=2)[one.attention_mask]
    assert difference(together, states) < 1e-5

    alone = torch.cat([real_states(of, (row,)) for row in (0, 1, 2, 4, 5)])
    assert difference(alone, together) < 1e-5
    left = encoder(family, padding_side="left").with_layers(EVERY_LAYER)
    assert difference(real_states(left), together) < 1e-5
    for layer in EVERY_LAYER:
        single = encoder(family).with_layers((layer,))
        assert difference(real_states(single)[:, 0], together[:, layer]) < 1e-5
    if family in PACKING_FAMILIES:
        for side in ("left", "right"):
            packed = packing(family, padding_side=side).with_layers(EVERY_LAYER)
            assert packed.packed
            assert difference(real_states(packed), together) < 1e-5
    else:
        padded = encoder(family)
        padded.pack()
        assert not padded.packed
        assert padded.computed_positions(one) == one.attention_mask.numel()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_ends_after_the_highest_layer_in_use(family: str) -> None:
    whole = encoder(family)
    cut = whole.with_layers((1,))
    blocks = {type(m) for m in _blocks(whole.model)}
    assert sum(type(m) in blocks for m in cut.modules()) == 1
    assert len(_blocks(whole.model)) == DEPTH, "the original is unchanged"


def _blocks(of: nn.Module) -> nn.ModuleList:
    return next(m for m in of.modules() if isinstance(m, nn.ModuleList) and len(m) == DEPTH)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_finite_with_padding_and_empty_texts(family: str) -> None:
    of = encoder(family, tuning="full", padding_side="left").train()
    one = batch(of)
    of(one)[one.attention_mask].sum().backward()
    for name, parameter in of.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


# Family -> names of the dense layers and of the last linear layer in transformers.
HEADS = {
    "bert": ("bert.pooler.dense", "classifier"),
    "roberta": ("classifier.dense", "classifier.out_proj"),
    "distilbert": ("pre_classifier", "classifier"),
    "electra": ("classifier.dense", "classifier.out_proj"),
    "deberta-v2": ("pooler.dense", "classifier"),
    "mpnet": ("classifier.dense", "classifier.out_proj"),
    "modernbert": ("head.dense", "classifier"),
    "llama": (None, "score"),
}


@pytest.mark.parametrize(
    ("family", "changed"),
    [
        *((family, {}) for family in HEADS),
        ("modernbert", {"classifier_pooling": "cls"}),
        ("modernbert", {"classifier_pooling": "mean"}),
    ],
)
def test_the_native_head_gives_the_logits_of_transformers(
    family: str, changed: dict[str, str]
) -> None:
    torch.manual_seed(0)
    reference = AutoModelForSequenceClassification.from_config(
        config(family, num_labels=3, **changed)
    ).eval()
    dense, last = HEADS[family]
    of = encoder(family, reference.base_model)
    pooler = NativePooler(WIDTH, of.native_head()).eval()
    if dense:
        ours = next(part for part in pooler.transform if isinstance(part, nn.Linear))
        if family == "bert":  # its dense layer is pretrained and already copied
            reference.base_model.pooler = of.pooling_layer[0]
        else:
            ours.load_state_dict(reference.get_submodule(dense).state_dict())
    classify = reference.get_submodule(last)
    one = batch(of, (1, 2, 4, 5))
    with torch.inference_mode():
        expected = reference(one.input_ids, attention_mask=one.attention_mask.long()).logits
        found = classify(pooler(of(one)[:, :, 0], one.pooling_mask))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_family_without_classification_head_is_an_error() -> None:
    with pytest.raises(UserError, match=r"t5 has no classification head .* bert, roberta"):
        encoder("t5").native_head()


def test_special_tokens_are_left_out_of_pooling_on_request() -> None:
    of = encoder("bert")
    of.special_ids = (int(batch(of).input_ids[1, 0]),)
    one = of.collate(texts(), torch.tensor([1, 2]), "content")
    special = one.input_ids == of.special_ids[0]
    assert special[0, 0]
    assert torch.equal(one.pooling_mask, one.attention_mask & ~special)
    every = of.collate(texts(), torch.tensor([1, 2]), "all")
    assert torch.equal(every.pooling_mask, every.attention_mask)
    assert int(every.attention_mask.sum()) == LENGTHS[1] + LENGTHS[2]
