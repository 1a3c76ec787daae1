"""What a CPU can prove about training on a GPU: no step reads a value, and bf16 trains."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision

from poolbench.data.collate import Batch
from poolbench.training import sweep
from poolbench.training.launch import compose_runs
from poolbench.training.lit_module import LitPooledModel
from poolbench.training.session import Session
from tests.conftest import QUIET, ROOT, SMALL, TINY, scored_pairs

POOLERS = sorted(
    str(path.relative_to(ROOT / "conf/pooler").with_suffix(""))
    for path in (ROOT / "conf/pooler").rglob("*.yaml")
)
EXPERIMENTS = [
    "gpu",
    "finetune",
    *sorted(f"published/{p.stem}" for p in (ROOT / "conf/experiment/published").glob("*.yaml")),
]
INPUTS = {
    "cached": [],
    "packed": ["encoder.tuning=full"],
    "padded": ["encoder.tuning=full", "batching=padded"],
}
NEEDS = {
    "control/projected_mean": ["matched.width=32"],
    "control/mlp_mean": ["matched.width=32", "matched.parameters=1972"],
    "max_pool_bert": ["encoder.layers=4"],
}

# A pooler gets the same from each of the three: one pooler is enough for everyday.
CASES = [
    pytest.param(
        pooler, inputs, marks=[] if inputs == "cached" or pooler == "mean" else pytest.mark.slow
    )
    for pooler in POOLERS
    for inputs in INPUTS
]


def module_of(session: Session, *overrides: str) -> tuple[LitPooledModel, Batch]:
    """A module as a run makes it, and a training batch."""
    config = compose_runs(*SMALL, *TINY, *overrides)[0].config
    data = session.datamodule(config)
    (batch, *_) = data.train_dataloader()
    model = copy.deepcopy(session.model(config))
    module = LitPooledModel(model, session.task(config), config.optimizer, config.seed)
    return module, batch


@pytest.mark.parametrize(("pooler", "inputs"), CASES)
def test_no_training_step_reads_a_value(
    session: Session, shared_output: Path, pooler: str, inputs: str
) -> None:
    """On the meta device there are no values: what reads one there makes a GPU wait."""
    overrides = [
        f"pooler={pooler}",
        f"output_dir={shared_output}",
        *INPUTS[inputs],
        *NEEDS.get(pooler, []),
    ]
    module, batch = module_of(session, *overrides)
    meta = torch.device("meta")
    module.to(meta).on_train_epoch_start()
    module.training_step(batch.to(meta), 0).backward()
    trained = [p for p in module.parameters() if p.requires_grad]
    assert any(p.grad is not None for p in trained)
    assert module.loss_sum.device == meta


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_clipping_is_that_of_lightning_bit_by_bit(session: Session, precision: str) -> None:
    """Without fused optimizers, which Lightning's own clipping rejects."""

    class Original(LitPooledModel):
        configure_gradient_clipping = pl.LightningModule.configure_gradient_clipping

        def configure_optimizers(self) -> Any:
            configured = super().configure_optimizers()
            del configured["optimizer"]._step_supports_amp_scaling
            return configured

    weights = [
        fit(
            session,
            kind,
            pl.Trainer(**QUIET, max_steps=4, precision=precision, gradient_clip_val=0.1),
        )
        for kind in (LitPooledModel, Original)
    ]
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    free = fit(session, LitPooledModel, pl.Trainer(**QUIET, max_steps=4, precision=precision))
    assert not all(torch.equal(a, b) for a, b in zip(weights[0], free, strict=True))


@pytest.mark.parametrize("fused", [False, True])
def test_scaled_gradients_are_unscaled_before_they_are_clipped(
    session: Session, monkeypatch, fused: bool
) -> None:
    """One step of SGD at learning rate 1 moves the weights by the norm that gradients are cut to.

    The GradScaler of 16-mixed multiplies gradients by 1024. A fused optimizer would divide them in
    its step, after the clipping: the planted fault.
    """
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    amp = MixedPrecision("16-mixed", "cpu", scaler)
    trainer = pl.Trainer(**QUIET, max_steps=1, plugins=[amp], gradient_clip_val=0.01)
    sgd = ["optimizer._target_=torch.optim.SGD", "optimizer.lr=1", "optimizer.encoder_lr=1"]
    sgd += ["optimizer.schedule=constant", "optimizer.warmup=0", "optimizer.weight_decay=0"]
    if fused:
        # What the module asks its trainer for.
        monkeypatch.setattr(pl.Trainer, "precision", "bf16-mixed")
    before, after = fit(session, LitPooledModel, trainer, *sgd, both=True)
    moved = torch.stack([(a - b).norm() for a, b in zip(after, before, strict=True)]).norm()
    assert float(moved) == pytest.approx(0.01 / 1024 if fused else 0.01, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_shipped_recipe_trains_in_bf16(
    session: Session, tmp_path: Path, experiment: str
) -> None:
    """With its optimizer, clipping and batches, on few texts and a small random encoder."""
    small = [
        "dataset=rotten_tomatoes",
        "dataset.max_examples=64",
        "encoder=scratch",
        "encoder.layers=4",
        "trainer.accelerator=cpu",
        "trainer.precision=bf16-mixed",
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=2",
        "certify=false",
        "measure=false",
        "logger=none",
        f"output_dir={tmp_path}",
    ]
    if "Similarity" in compose_runs(f"experiment={experiment}")[0].config.task["_target_"]:
        small += ["dataset=files", f"dataset.train={scored_pairs(tmp_path)}"]
    requests = compose_runs(f"experiment={experiment}", *small)
    tuned = requests[0].config.encoder["tuning"] == "full"
    assert requests[0].config.trainer.gradient_clip_val == (1.0 if tuned else None)
    distinct = {r.config.model_dump_json(exclude={"seed"}): r for r in requests}
    specs = sweep.plan(list(distinct.values()), session)
    for spec in specs:
        record = sweep.train_run(spec, session)
        assert np.isfinite([epoch["train/loss"] for epoch in record.history]).all()
        assert record.trained or tuned is False
        assert record.predictions.outputs.dtype == np.float32


def test_a_batch_is_pinned_and_copied_as_a_whole(session: Session, monkeypatch) -> None:
    _, batch = module_of(session)
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda t: pinned.append(t) or t.clone())
    copy = batch.pin_memory()
    assert len(pinned) == len([v for v in vars(batch).values() if isinstance(v, torch.Tensor)])
    assert copy.tokens == batch.tokens
    assert copy.input_ids is not batch.input_ids


def fit(
    session: Session,
    kind: type[LitPooledModel],
    trainer: pl.Trainer,
    *overrides: str,
    both: bool = False,
) -> Any:
    """The weights after training, or before and after."""
    module, _ = module_of(session, "encoder.tuning=full", "pooler=attention", *overrides)
    module = kind(module.model, module.task, module.optimizer_config, module.seed)
    before = [p.detach().clone() for p in module.parameters()]
    config = compose_runs(*SMALL, *TINY)[0].config
    loader = session.datamodule(config).train_dataloader()
    trainer.fit(module, loader)
    after = [p.detach() for p in module.parameters()]
    return (before, after) if both else after
