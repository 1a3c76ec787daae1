"""A finished cell, ready to classify text it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from poolbench.core.errors import BadInput
from poolbench.data.collate import Batch, make_batch
from poolbench.data.tokenized import unlabelled
from poolbench.runs.record import RECORD, DamagedRecord, read_record
from poolbench.training.assembly import assemble, layers_read
from poolbench.training.checkpoints import intact
from poolbench.training.model import PooledClassifier
from poolbench.training.session import encoder_of, prepare

AT_ONCE = 64  # texts in a batch


@dataclass(frozen=True)
class Trained:
    """A model with its best weights, in eval mode.

    Attributes:
        folder: of the cell.
        record: what the cell left behind.
        cfg: its configuration.
        model: encoder (the real one, not its stored states), layers, pooler and head.
        classes: their names, in the order of the logits.
    """

    folder: Path
    record: dict[str, Any]
    cfg: DictConfig
    model: PooledClassifier
    classes: tuple[str, ...]

    def batches(self, texts: Sequence[str]) -> list[Batch]:
        """The texts as the encoder wants them, in their order; labels mean nothing."""
        encoder = self.model.encoder
        corpus = unlabelled(texts, encoder.tokenize)
        unpooled = encoder.unpooled_ids(self.cfg.pooled_tokens)
        return [
            make_batch(corpus, rows, encoder.padding_side, encoder.pad_id, unpooled)
            for rows in torch.arange(len(texts)).split(AT_ONCE)
        ]

    @torch.inference_mode()
    def logits(self, texts: Sequence[str]) -> Float[Tensor, "N C"]:
        """Scores of each text, in their order."""
        scores = [self.model(batch) for batch in self.batches(texts)]
        return torch.cat(scores) if scores else torch.zeros(0, len(self.classes))


def load(folder: Path) -> Trained:
    """The model of a finished cell.

    Raises:
        BadInput: the cell is not finished, its weights are gone or damaged, or its encoder has
            changed.
    """
    try:
        record = read_record(folder)
    except OSError as error:
        raise BadInput(_not_a_cell(folder)) from error
    except DamagedRecord as error:
        raise BadInput(f"{error}: run the cell again") from error
    if record["status"] != "ok":
        raise BadInput(f"{folder}: this cell has {record['status']}: {record.get('error')}")
    cfg = OmegaConf.create(record["config"])
    classes = tuple(record["data"]["classes"])
    try:
        encoder = encoder_of(cfg)
        if encoder.digest != record["digests"]["encoder"]:
            raise BadInput(f"{folder}: its encoder has changed since; put back the weights it had")
        parts = assemble(cfg, encoder, len(classes), lambda: prepare(cfg).corpus.token_counts)
        encoder = encoder.reading(layers_read(parts, encoder))
        model = PooledClassifier(encoder, parts.layers, parts.pooler, parts.head)
        kept = _weights(folder / "checkpoints/best.ckpt")
        # A frozen encoder is not in the checkpoint.
        there = encoder.state_dict(prefix="model.encoder.") if encoder.tuning == "frozen" else {}
        model.load_state_dict(
            {name.removeprefix("model."): value for name, value in (there | kept).items()}
        )
    except (TypeError, AttributeError, RuntimeError) as error:  # arguments, settings, weights
        reason = str(error).strip().splitlines()[0]
        raise BadInput(f"{folder} was made by another version of the code: {reason}") from error
    return Trained(folder, record, cfg, model.eval(), classes)


def _weights(path: Path) -> dict[str, Tensor]:
    if not path.exists():
        raise BadInput(f"{path} is gone: remove {path.parents[1] / RECORD} and run the cell again")
    if not intact(path):
        raise BadInput(
            f"{path} or its .sha256 is damaged: remove {path.parents[1] / RECORD} and run the cell "
            "again"
        )
    kept: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    return kept


def _not_a_cell(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} is not a folder"
    cell = min(folder.rglob(RECORD), default=None)
    if cell is None:
        return f"{folder} holds no finished cell: there is no {RECORD}"
    return f"{folder} is no cell, but holds some: try {cell.parent}"
