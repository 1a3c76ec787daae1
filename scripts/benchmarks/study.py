"""The poolers of a finished study, and the batch that its trainings saw."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from cells import asked
from omegaconf import DictConfig, OmegaConf

from poolbench.core.errors import BadInput
from poolbench.data.datamodule import CorpusDataModule
from poolbench.runs.record import RECORD, DamagedRecord, read_record
from poolbench.training.session import plain, prepare


@dataclass(frozen=True)
class Shape:
    """Of the states that a pooler gets.

    Attributes:
        batch: B.
        tokens: T.
        width: D.
    """

    batch: int
    tokens: int
    width: int


def pooler_configs(study: Path) -> tuple[str, dict[str, DictConfig]]:
    """The task (dataset x encoder) with the most finished cells, and one cell for each pooler.

    Where a pooler ran with several settings, the first by folder stands for it.

    Raises:
        BadInput: there is no finished cell.
    """
    records = [record for path in sorted(study.rglob(RECORD)) if (record := _finished(path))]
    if not records:
        raise BadInput(f"{study} holds no finished cell: give the folder of a study")
    task = Counter(_task(record) for record in records).most_common(1)[0][0]
    configs: dict[str, DictConfig] = {}
    # Records of earlier versions lack the groups that were added since.
    defaults = plain(asked([]).cfg)
    for record in records:
        if _task(record) == task:
            config = {**defaults, **record["config"]}
            configs.setdefault(record["cell"]["pooler"], OmegaConf.create(config))
    return task, configs


def shape_of(cfg: DictConfig) -> Shape:
    """The batch size, the median padded length of a training batch, and the encoder's width.

    Raises:
        BadInput: data or encoder cannot be had any more, or not from the settings of that time.
    """
    try:
        prepared = prepare(cfg)
    except TypeError as error:  # an argument that did not exist when the record was written
        raise BadInput(
            f"the settings of an earlier version do not fit, run again: {error}"
        ) from error
    encoder = prepared.encoder
    data = CorpusDataModule(
        prepared.corpus, cfg.batch_size, cfg.seed, encoder.padding_side, encoder.pad_id
    )
    tokens = median(batch.input_ids.shape[1] for batch in data.train_dataloader())
    return Shape(cfg.batch_size, round(tokens), encoder.hidden_dim)


def _finished(path: Path) -> dict[str, Any] | None:
    try:
        record = read_record(path.parent)
    except DamagedRecord:
        return None
    return record if record["status"] == "ok" else None


def _task(record: dict[str, Any]) -> str:
    return f"{record['cell']['dataset']} x {record['cell']['encoder']}"
