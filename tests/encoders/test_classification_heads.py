"""Every family of encoders: the same result whatever the padding, and the library as the oracle."""

import functools

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from poolbench.core.errors import BadInput
from poolbench.data.collate import Batch, make_batch
from poolbench.data.loaders import movie_reviews
from poolbench.data.tokenized import tokenise
from poolbench.encoders.layer_mix import OneLayer
from poolbench.poolers.native import NativePooler
from poolbench.training.model import LinearHead, PooledClassifier
from tests.encoders.families import DEPTH, FAMILIES, LEFT_ONLY, WIDTH, config, encoder, model
from tests.poolers.supplied import build
from tests.poolers.test_contract import POOLERS

ROWS = torch.tensor([0, 3, 1, 6])


@functools.cache
def splits():
    return movie_reviews("rotten_tomatoes", 1000, 2530, 0, max_examples=8)


def batch(of, rows: torch.Tensor = ROWS) -> Batch:
    return make_batch(tokenise(splits(), of.tokenize), rows, of.padding_side, of.pad_id)


@functools.cache
def whole(family: str):
    return encoder(family)


@functools.cache
def encoded(family: str) -> list[tuple[Batch, torch.Tensor, list[int]]]:
    """Some texts together, each alone, and padded on the other side: states, and which they are."""
    of = whole(family)
    asked = [(of, ROWS, [0, 1, 2, 3]), *((of, row.view(1), [i]) for i, row in enumerate(ROWS))]
    if family not in LEFT_ONLY:
        asked.append((encoder(family, padding_side="left"), ROWS, [0, 1, 2, 3]))
    with torch.inference_mode():
        return [(batch(one, rows), one(batch(one, rows)), which) for one, rows, which in asked]


def classifier(of, name: str) -> PooledClassifier:
    layers = OneLayer(of.hidden_dim, of.depth, -1)
    pooler = build(name, of.hidden_dim)
    torch.manual_seed(1)
    return PooledClassifier(of, layers, pooler, LinearHead(pooler.output_dim, 3)).eval()


def differs(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("name", POOLERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_pooled_text_depends_on_the_text_alone(family: str, name: str) -> None:
    classify = classifier(whole(family), name)
    with torch.inference_mode():
        pooled = [(classify.pool(states, one), which) for one, states, which in encoded(family)]
    together = pooled[0][0]
    for found, which in pooled[1:]:
        assert differs(found, together[which]) < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_training_through_the_padding_keeps_gradients_finite(family: str) -> None:
    of = encoder(family, tuning="full", padding_side="left")
    classify = classifier(of, "attention").train()
    classify(batch(of)).sum().backward()
    for name, parameter in of.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


# What the family calls its dense layers and its last linear layer.
NAMES = {
    "bert": ("bert.pooler.dense", "classifier"),
    "roberta": ("classifier.dense", "classifier.out_proj"),
    "distilbert": ("pre_classifier", "classifier"),
    "electra": ("classifier.dense", "classifier.out_proj"),
    "deberta-v2": ("pooler.dense", "classifier"),
    "mpnet": ("classifier.dense", "classifier.out_proj"),
    "modernbert": ("head.dense", "classifier"),
    "llama": (None, "score"),
}


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("family", NAMES)
def test_native_gives_the_logits_of_the_familys_own_classifier(family: str, pooling: str) -> None:
    if pooling == "mean" and family != "modernbert":
        pytest.skip("ModernBERT alone can pool in two ways")
    torch.manual_seed(0)
    changed = {"classifier_pooling": pooling} if family == "modernbert" else {}
    theirs = AutoModelForSequenceClassification.from_config(
        config(family, num_labels=3, **changed)
    ).eval()
    dense, last = NAMES[family]
    of = encoder(family, theirs.base_model)
    pooler = NativePooler(WIDTH, of.native_head())
    if dense:
        ours = [part for part in pooler.transform if isinstance(part, torch.nn.Linear)]
        ours[0].load_state_dict(
            theirs.get_submodule(dense).state_dict() if family != "bert" else ours[0].state_dict()
        )
    head = LinearHead(WIDTH, 3)
    head.classify.load_state_dict(
        {"bias": torch.zeros(3), **theirs.get_submodule(last).state_dict()}
    )
    mine = PooledClassifier(of, OneLayer(WIDTH, DEPTH, -1), pooler, head).eval()
    one = batch(of)
    if family == "bert":
        # Taken over at load: put it back where the library looks for it.
        theirs.base_model.pooler = of.pooling_layer[0]
    with torch.inference_mode():
        expected = theirs(one.input_ids, attention_mask=one.attention_mask.long()).logits
        torch.testing.assert_close(mine(one), expected, rtol=1e-4, atol=1e-5)


def test_a_family_without_a_head_of_its_own_says_so() -> None:
    with pytest.raises(BadInput, match=r"t5 has no classification head .* bert, roberta"):
        encoder("t5").native_head()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_layer_is_the_librarys(family: str) -> None:
    of = encoder(family)
    one = batch(of)
    mask = one.attention_mask
    inputs = {"input_ids": one.input_ids, "attention_mask": mask.long()}
    if of.padding_side == "left":
        inputs["position_ids"] = (mask.long().cumsum(1) - 1).clamp(min=0)
    with torch.inference_mode():
        expected = model(family)(**inputs, output_hidden_states=True)
        assert len(expected.hidden_states) == DEPTH + 1
        # The last one is what comes out of the model, which some families normalise once more.
        states = [*expected.hidden_states[:DEPTH], expected.last_hidden_state]
        found = of.reading(tuple(range(DEPTH + 1)))(one)
        for layer, state in enumerate(states):
            torch.testing.assert_close(found[:, :, layer][mask], state[mask], rtol=1e-4, atol=1e-5)
            alone = of.reading((layer,))(one)[:, :, 0]
            torch.testing.assert_close(alone[mask], state[mask], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_encoder_stops_at_the_layer_that_is_read(family: str) -> None:
    of = encoder(family)
    cut = of.reading((1,))
    run = []
    kinds = {type(block) for block in _blocks(of.model)}
    for module in cut.modules():
        if type(module) in kinds:
            module.register_forward_hook(lambda *_: run.append(1))
    cut(batch(cut))
    assert len(run) == 1
    assert len(_blocks(of.model)) == DEPTH, "the original must stay whole"
    assert sum(p.numel() for p in cut.parameters()) < sum(p.numel() for p in of.parameters())


def _blocks(of) -> torch.nn.ModuleList:
    return next(m for m in of.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == DEPTH)
