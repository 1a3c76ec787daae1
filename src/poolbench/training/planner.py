"""Estimate the cost of a command by training a little of it in a temporary folder."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from poolbench.encoders.feature_cache import cache_file, cache_hidden_states, cache_size_gb
from poolbench.runs.identity import RunSpec
from poolbench.stats.power import typical_difference
from poolbench.stats.verdict import plural
from poolbench.training.config import Config
from poolbench.training.console import clock
from poolbench.training.model import required_layers
from poolbench.training.run import make_trainer, train_run
from poolbench.training.session import Session
from poolbench.training.sweep import existing_record

# Examples of a sample: enough steps to time, few enough to wait for.
SAMPLE = {"frozen": 640, "full": 128}
LONGER = 3  # epochs of the second of two samples; the first has one
TIMED_TEXTS = 128  # by which the time of the encoder is estimated
MOST_POINTS = 50  # of a smallest difference that one could hope to find
EVALUATED = 1 / 3  # cost of an example that is only evaluated, relative to one trained on


@dataclass(frozen=True)
class Estimate:
    """Cost of the runs that have no result yet; GB are 10^9 bytes."""

    runs: tuple[int, int]  # all, finished
    cache_gb: tuple[float, float]  # cached hidden states: all, still to compute
    encoding_s: float  # to compute these
    training_s: tuple[float, float]  # shortest and longest, depending on early stopping
    memory_gb: float  # peak of the process
    findable: dict[str, tuple[float, float]]  # in points, by task with its size

    def __str__(self) -> str:
        low, high = (clock(self.encoding_s + seconds) for seconds in self.training_s)
        rows = [
            ("runs", f"{self.runs[0]}, {self.runs[1]} of them finished"),
            ("hidden states", "{:.2f} GB on disk, {:.2f} GB to compute".format(*self.cache_gb)),
            ("encoding", clock(self.encoding_s)),
            ("time", high if low == high else f"{low} to {high}, depending on early stopping"),
            ("memory", f"about {self.memory_gb:.1f} GB"),
        ]
        lines = [f"  {name:<14} {value}" for name, value in rows]
        for task, (least, most) in self.findable.items():
            size = f"{least:.1f} to {most:.1f} points"
            if most > MOST_POINTS:
                size = "none that could be hoped for: add seeds"
            lines.append(f"  smallest findable difference on {task}: {size}")
        return "\n".join(lines)


def estimate(specs: Sequence[RunSpec], session: Session) -> Estimate:
    """Time, disk and memory of planned runs; nothing of it stays on disk.

    One run of every variant is trained on a sample of its texts, for one epoch and for a few: the
    difference is the cost of an epoch, the rest is what a run costs in any case.
    """
    waiting = [spec for spec in specs if existing_record(spec) is None]
    variants: dict[str, list[RunSpec]] = defaultdict(list)
    for spec in waiting:
        variants[spec.variant].append(spec)
    untrained = [g[0] for g in variants.values() if not session.learns(_config(g[0]))]
    fixed, passes, memory = _untrained_cost(untrained, session)
    trained = [group for group in variants.values() if group[0] not in untrained]
    fixed += _measuring([group[0] for group in trained], session)
    shortest = longest = fixed
    with tempfile.TemporaryDirectory() as folder:  # one for all, so hidden states are shared
        if trained:  # what a process does once is not part of a run
            train_run(_sample(trained[0][0], folder, epochs=1), session)
        for group in trained:
            config = _config(group[0])
            fixed, epoch, used = _cost(group[0], session, folder)
            epochs = config.trainer.max_epochs
            shortest += len(group) * (fixed + epoch * min(epochs, config.patience + 1))
            longest += len(group) * (fixed + epoch * epochs)
            memory = max(memory, used)
        one_each = {spec.variant: spec for spec in specs}.values()
        learning = [spec for spec in one_each if session.learns(_config(spec))]
        sizes, missing, encoding = _caches(learning, session, folder)
    return Estimate(
        (len(specs), len(specs) - len(waiting)),
        (sum(sizes), missing),
        encoding + passes,
        (shortest, longest),
        memory + max(sizes, default=0.0),
        _findable(specs, session),
    )


def _findable(specs: Sequence[RunSpec], session: Session) -> dict[str, tuple[float, float]]:
    """The smallest difference that each dataset × encoder is likely to find, with its size."""
    tasks: dict[tuple[str, str], list[RunSpec]] = defaultdict(list)
    for spec in specs:
        tasks[spec.dataset, spec.encoder].append(spec)
    found = {}
    for (dataset, encoder), group in tasks.items():
        config = Config.model_validate(group[0].config)
        seeds, poolers = (len({getattr(s, k) for s in group}) for k in ("seed", "pooler"))
        if seeds < 2 or poolers < 2:
            continue
        splits = session.inputs(config).data.splits
        tested = list(splits) if config.folds else ["test"]
        examples = sum(len(splits[name]) for name in tested)
        size = f"{plural(seeds, 'seed')}, {plural(examples, 'example')}"
        chosen = config.comparison.alpha, config.comparison.power
        found[f"{dataset} × {encoder} ({size}, {plural(poolers, 'pooler')})"] = typical_difference(
            seeds, examples, poolers - 1, *chosen, config.folds > 0
        )
    return found


def _untrained_cost(specs: Sequence[RunSpec], session: Session) -> tuple[float, float, float]:
    """Seconds of runs that train nothing, seconds of the encoder for all of them, and GB.

    The encoder runs once over the texts of each dataset; a few of them are timed.
    """
    passes = memory = 0.0
    shared: dict[str, list[Config]] = defaultdict(list)
    for config in map(_config, specs):
        shared[config.model_dump_json(include={"dataset", "encoder", "task"})].append(config)
    for configs in shared.values():
        first, data = configs[0], session.inputs(configs[0]).data
        model = session.new_model(first)
        few = data.lengths.argsort()[:: max(1, len(data.lengths) // TIMED_TEXTS)]
        started = time.perf_counter()
        with torch.no_grad():
            for rows in few.split(32):
                model.encoder(model.encoder.collate(data.one_text_each(), rows))
        seconds = time.perf_counter() - started
        passes += seconds * len(data.ids) / int(data.lengths[few].sum())
        widths = (session.parts(config)[1].output_dim for config in configs)
        memory = max(memory, 4 * len(data.lengths) * sum(widths) / 1e9)
    return _measuring(specs, session), passes, memory


def _measuring(specs: Sequence[RunSpec], session: Session) -> float:
    """Seconds of certificates and throughputs, one of each for a variant; one variant is timed."""
    if not specs:
        return 0.0
    config = _config(specs[0])
    model, trainer = session.new_model(config), make_trainer(config)
    started = time.perf_counter()
    if config.certify:
        session.certificate(config, specs[0].variant, model)
    if config.measure:
        session.throughput(config, specs[0].variant, model, trainer)
    return len(specs) * (time.perf_counter() - started)


def _config(spec: RunSpec) -> Config:
    return Config.model_validate(spec.config)


def _cost(spec: RunSpec, session: Session, folder: str) -> tuple[float, float, float]:
    """Seconds of a run without its epochs, seconds of an epoch, and GB of memory."""
    seconds = []
    session.model(_config(_sample(spec, folder, 1)))  # hidden states are not part of a run
    for epochs in (1, LONGER):
        started = time.perf_counter()
        record = train_run(_sample(spec, folder, epochs), session)
        seconds.append(time.perf_counter() - started)
    assert record is not None
    work = []  # examples of an epoch, in the run and in the sample
    for each in (spec, _sample(spec, folder, epochs=1)):
        splits = session.inputs(Config.model_validate(each.config)).data.splits
        work.append(len(splits["train"]) + EVALUATED * len(splits["validation"]))
    epoch = max(seconds[1] - seconds[0], 0.0) / (LONGER - 1)
    memory = record.metrics["perf/peak_memory_mb"] / 1e3
    return max(seconds[0] - epoch, 0.0), epoch * work[0] / work[1], memory


def _sample(spec: RunSpec, folder: str, epochs: int) -> RunSpec:
    """The same run with few texts and epochs and nothing else, writing into ``folder``."""
    config = spec.config | {"certify": False, "measure": False}
    config["output_dir"] = folder
    config["logger"] = {"_target_": "poolbench.training.run_logger.RunLogger"}
    config["patience"] = epochs
    config["trainer"] = config["trainer"] | {"max_epochs": epochs, "enable_progress_bar": False}
    if "max_examples" in config["dataset"]:
        most = SAMPLE[config["encoder"].get("tuning", "frozen")]
        few = min(most, config["dataset"]["max_examples"] or most)
        config["dataset"] = config["dataset"] | {"max_examples": few}
    return spec.model_copy(update={"config": config, "digest": f"{spec.digest}-{epochs}"})


def _caches(
    specs: Iterable[RunSpec], session: Session, folder: str
) -> tuple[list[float], float, float]:
    """GB of each cache of hidden states, GB that are missing, and seconds to compute these."""
    sizes: dict[Path, float] = {}
    missing = seconds = 0.0
    for spec in specs:
        config = Config.model_validate(spec.config)
        if config.encoder.get("tuning") == "full" or not config.cache.enabled:
            continue
        data = session.inputs(config).data
        layers, pooler, _ = session.parts(config)
        read = required_layers(layers, pooler, session.encoder(config))
        encoder = session.run_encoder(config, read)
        path = cache_file(encoder, data, Path(config.output_dir) / "cache")
        if path in sizes:
            continue
        sizes[path] = cache_size_gb(encoder, data)
        if not path.exists():
            missing += sizes[path]
            few = session.inputs(Config.model_validate(_sample(spec, folder, 1).config)).data
            started = time.perf_counter()
            cache_hidden_states(encoder, few, Path(folder) / path.stem, 1e9, False)
            seconds += (time.perf_counter() - started) * len(data.ids) / len(few.ids)
    return list(sizes.values()), missing, seconds
