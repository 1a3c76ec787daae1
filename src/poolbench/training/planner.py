"""What a command would cost, found out by running a little of it in a place that is thrown away."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, open_dict

from poolbench.data.tokenized import Corpus
from poolbench.encoders.base import Encoder
from poolbench.encoders.feature_cache import encode_once, states_file, states_size
from poolbench.runs.identity import identify
from poolbench.training.run import run_cell
from poolbench.training.session import Prepared, encoder_as_run, model_of, prepare
from poolbench.training.sweep import Planned, finished
from poolbench.training.together import Shared, fusable, stackable

# Examples of a sample: enough steps to time, few enough to wait for.
SAMPLE = {"frozen": 640, "full": 128}
LONGER = 3  # epochs of the second of two samples; the first has one
EVALUATED = 1 / 3  # the cost of an example that is only classified, of one that is trained on
FURTHER = 0.1  # the cost of an epoch for one more seed in a shared loop: benchmark.py fused


@dataclass(frozen=True)
class States:
    """Token states that a sweep stores.

    Attributes:
        gigabytes: on disk, 10^9 bytes.
        seconds: to compute them; 0 where they are there.
    """

    gigabytes: float
    seconds: float


@dataclass(frozen=True)
class Estimate:
    """What is ahead.

    Attributes:
        cells: asked for, and those of them that are finished.
        states: of each encoder, dataset and choice of layers.
        seconds: (shortest, longest) of all cells: early stopping decides between them.
        memory_gb: the most that the process should take up.
    """

    cells: tuple[int, int]
    states: list[States]
    seconds: tuple[float, float]
    memory_gb: float

    def __str__(self) -> str:
        asked, done = self.cells
        stored = sum(s.gigabytes for s in self.states)
        missing = sum(s.gigabytes for s in self.states if s.seconds)
        encoding = sum(s.seconds for s in self.states)
        low, high = (_clock(encoding + seconds) for seconds in self.seconds)
        rows = [
            ("cells", f"{asked}, {done} of them finished"),
            ("token states", f"{stored:.2f} GB on disk, {missing:.2f} GB of it still to compute"),
            ("encoding", _clock(encoding)),
            ("time", high if low == high else f"{low} to {high}, as early stopping will have it"),
            ("memory", f"about {self.memory_gb:.1f} GB"),
        ]
        return "\n".join(f"  {name:<14} {value}" for name, value in rows)


def estimate(planned: Sequence[Planned]) -> Estimate:
    """Time, disk and memory of cells that are planned; nothing of it stays on disk.

    One cell of every kind runs on a sample of its texts, for one epoch and for a few: the
    difference is the cost of an epoch, the rest is what a cell costs in any case.
    """
    open_cells = [p for p in planned if finished(p.cell) is None]
    kinds: dict[str, list[Planned]] = defaultdict(list)
    for p in open_cells:
        kinds[p.cell.variant].append(p)
    shortest = longest = memory = 0.0
    with tempfile.TemporaryDirectory() as folder:  # one for all: its states are computed once
        for alike in kinds.values():
            cfg, cost = alike[0].asked.cfg, _cost(alike[0], folder)
            most = cfg.trainer.max_epochs
            shortest += cost.seconds(len(alike), min(most, cfg.patience + 1))
            longest += cost.seconds(len(alike), most)
            memory = max(memory, cost.memory_gb)
    states = list(_states(planned))
    largest = max((s.gigabytes for s in states), default=0.0)
    return Estimate(
        (len(planned), len(planned) - len(open_cells)),
        states,
        (shortest, longest),
        memory + largest,
    )


@dataclass(frozen=True)
class Cost:
    """What a kind of cell costs.

    Attributes:
        always: seconds, however many epochs.
        epoch: seconds of each.
        shared: its seeds train in one loop.
        memory_gb: without stored states.
    """

    always: float
    epoch: float
    shared: bool
    memory_gb: float

    def seconds(self, seeds: int, epochs: int) -> float:
        """Of all its seeds."""
        alone = 1 + FURTHER * (seeds - 1) if self.shared else seeds
        return seeds * self.always + alone * epochs * self.epoch


def _cost(p: Planned, folder: str) -> Cost:
    small, prepared = _sampled(p, folder)
    _timed(small, p, prepared, epochs=1)  # imports and states: not a part of every cell
    one, _ = _timed(small, p, prepared, epochs=1)
    few, memory = _timed(small, p, prepared, epochs=LONGER)
    work = _work(prepare(p.asked.cfg).corpus) / _work(prepared.corpus)
    epoch = max(few - one, 0.0) / (LONGER - 1)
    shared = fusable(small) and stackable(model_of(small, prepared))
    return Cost(max(one - epoch, 0.0), epoch * work, shared, memory)


def _timed(cfg: DictConfig, p: Planned, prepared: Prepared, epochs: int) -> tuple[float, float]:
    """Seconds that a small cell takes, and GB of memory."""
    cfg.trainer.max_epochs = cfg.patience = epochs
    cell = identify(cfg, p.asked.choices, prepared.digests)
    started = time.perf_counter()
    loop = Shared([(cfg, cell)], waiting={}).of(cfg, cell, prepared)
    record = run_cell(cfg, cell, prepared, loop)
    assert record is not None
    return time.perf_counter() - started, record["metrics"]["perf/peak_memory_mb"] / 1e3


def _states(planned: Sequence[Planned]) -> Iterator[States]:
    seen = set()
    for p in planned:
        cfg = p.asked.cfg
        if cfg.encoder.tuning == "full" or not cfg.cache.enabled:
            continue
        prepared = prepare(cfg)
        encoder = encoder_as_run(cfg, prepared)
        path = states_file(encoder, prepared.corpus, Path(cfg.output_dir) / "cache")
        if path in seen:
            continue
        seen.add(path)
        seconds = 0.0 if path.exists() else _encoding(p, encoder, len(prepared.corpus.ids))
        yield States(states_size(encoder, prepared.corpus), seconds)


def _encoding(p: Planned, encoder: Encoder, tokens: int) -> float:
    """Seconds to encode so many tokens, from a sample of them."""
    with tempfile.TemporaryDirectory() as folder:
        _, prepared = _sampled(p, folder)
        spent = []
        for name in ("warm-up", "timed"):
            started = time.perf_counter()
            encode_once(encoder, prepared.corpus, Path(folder) / name, 1e9, False)
            spent.append(time.perf_counter() - started)
        return spent[1] * tokens / len(prepared.corpus.ids)


def _sampled(p: Planned, folder: str) -> tuple[DictConfig, Prepared]:
    """The configuration of a cell with few texts, which leaves what it makes in ``folder``."""
    cfg = p.asked.cfg.copy()
    with open_dict(cfg):
        cfg.output_dir, cfg.trainer.enable_progress_bar = folder, False
        cfg.logger = {"_target_": "poolbench.training.loggers.no_logger"}
        if "max_examples" in cfg.dataset:
            most = SAMPLE[cfg.encoder.tuning]
            cfg.dataset.max_examples = min(most, cfg.dataset.max_examples or most)
    return cfg, prepare(cfg)


def _work(corpus: Corpus) -> float:
    """Examples of an epoch, those that are only classified counted for less."""
    return len(corpus.splits["train"]) + EVALUATED * len(corpus.splits["validation"])


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
