"""A training step of a head on stored states: under Lightning as cells use it, and in a bare loop.

Both run the same batches, model, loss, optimiser and schedule from the same seed, and have to end
with the same training loss: otherwise they did not do the same work. (Dropout is the exception: the
bare loop does not draw it from a stream of its own at each step.) What Lightning adds to a step
does not depend on the model: on ``encoder=scratch``, whose steps are short, it is measured best.
"""

import argparse
import tempfile
import time
from itertools import count
from math import ceil
from typing import Any

import torch
from omegaconf import DictConfig
from torch.nn import functional
from torch.optim import AdamW
from transformers import get_scheduler

from poolbench.benchmarks.cells import asked, train_cell
from poolbench.benchmarks.outcome import Claim, Outcome
from poolbench.benchmarks.rounds import difference, interleave
from poolbench.data.datamodule import CorpusDataModule, ShuffledBatches
from poolbench.prepare import model_of, prepare
from poolbench.throughput import WARM_UP

BARE = "bare loop"
LIGHTNING = "cell under Lightning"
TARGET_US = 150.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Size of the measurement."""
    parser.add_argument("--epochs", type=int, default=2, help="in each round")
    parser.add_argument("--examples", type=int, default=4000, help="at most, in each split")


def measure(overrides: list[str], rounds: int, epochs: int, examples: int) -> Outcome:
    """Seconds a step, data loading included; validation, checkpoints and the first steps are not.

    Args:
        overrides: of the configuration: pooler, head, dataset, encoder.
        rounds: how often each variant runs.
        epochs: of each run.
        examples: at most so many in each split.
    """
    losses: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        cell = [
            f"dataset.max_examples={examples}",
            f"trainer.max_epochs={epochs}",
            f"patience={epochs}",
            "trainer=cpu",
            *overrides,
            f"output_dir={folder}",
        ]
        studies = (f"study=round{number}" for number in count())

        def lightning() -> float:
            record, _ = train_cell([*cell, next(studies)])
            losses[LIGHTNING] = record["metrics"]["train/loss"]
            return _seconds_a_step(record)

        def bare() -> float:
            seconds, losses[BARE] = bare_loop(asked(cell).cfg)
            return seconds

        seconds = interleave({BARE: bare, LIGHTNING: lightning}, rounds)
    extra = difference(seconds, LIGHTNING, BARE)
    apart = abs(losses[LIGHTNING] - losses[BARE])
    return Outcome(
        "loop",
        {"pooler": asked(cell).choices["pooler"], "threads": torch.get_num_threads()},
        BARE,
        seconds,
        claims=[
            Claim(
                "microseconds a step more than the bare loop", 1e6 * extra.median, TARGET_US, True
            ),
            Claim("training losses apart", apart, 1e-5, at_most=True),
        ],
        details={"more_us": {name: 1e6 * value for name, value in vars(extra).items()}},
    )


def bare_loop(cfg: DictConfig) -> tuple[float, float]:
    """Seconds a step of a plain PyTorch loop over the cell's batches, and its last epoch's loss."""
    prepared = prepare(cfg)
    model, corpus = model_of(cfg, prepared), prepared.corpus
    encoder = model.encoder
    data = CorpusDataModule(corpus, cfg.batch_size, cfg.seed, encoder.padding_side, encoder.pad_id)
    loader = data.train_dataloader()
    order = loader.sampler
    assert isinstance(order, ShuffledBatches)
    parameters = [p for p in model.parameters() if p.requires_grad]
    settings = cfg.optimizer
    optimizer = AdamW(parameters, settings.lr, weight_decay=settings.weight_decay, fused=True)
    steps = cfg.trainer.max_epochs * len(loader)
    schedule = get_scheduler(settings.schedule, optimizer, round(settings.warmup * steps), steps)
    seconds, timed, loss_sum = 0.0, 0, torch.zeros(())
    for epoch in range(cfg.trainer.max_epochs):
        order.set_epoch(epoch)
        loss_sum.zero_()
        started = time.perf_counter()
        for number, batch in enumerate(loader):
            if (epoch, number) == (0, WARM_UP):
                started = time.perf_counter()
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(batch), batch.labels)
            if model.pooler.extra_loss is not None:
                loss = loss + model.pooler.extra_loss
            loss.backward()
            optimizer.step()
            schedule.step()
            loss_sum += loss.detach() * len(batch)
        seconds += time.perf_counter() - started
        timed += len(loader) - WARM_UP * (epoch == 0)
    return seconds / timed, float(loss_sum) / len(corpus.splits["train"])


def _seconds_a_step(record: dict[str, Any]) -> float:
    examples = record["data"]["examples"]["train"]
    steps = ceil(examples / record["config"]["batch_size"])
    return float(examples / steps / record["metrics"]["perf/samples_per_sec"])
