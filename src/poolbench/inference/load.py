"""Load a trained run to use it on new texts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from poolbench.core.errors import UserError
from poolbench.data.collate import Batch
from poolbench.data.tokenized import tokenize_texts
from poolbench.inference.finished import check_one_text, finished_run
from poolbench.runs.record import RECORD, RunRecord
from poolbench.training.callbacks import is_intact
from poolbench.training.components import check_components
from poolbench.training.config import Config, validate
from poolbench.training.model import PooledModel, build_parts, build_task, required_layers
from poolbench.training.session import Session

BATCH_SIZE = 64


@dataclass(frozen=True)
class TrainedModel:
    """The model of a run with its best weights, in eval mode.

    The encoder computes hidden states, also if the run used cached ones.
    """

    record: RunRecord
    config: Config
    model: PooledModel
    session: Session

    @property
    def classes(self) -> list[str]:
        """Names, in the order of the logits."""
        return self.record.data.classes

    def batches(self, texts: Sequence[str]) -> list[Batch]:
        """The texts in their order, tokenized; the labels have no meaning."""
        encoder = self.model.encoder
        data = tokenize_texts(texts, encoder.tokenize)
        rows = range(len(texts))
        groups = [rows[i : i + BATCH_SIZE] for i in rows[::BATCH_SIZE]]
        tokens = self.config.pooled_tokens
        return [encoder.collate(data, torch.tensor(group), tokens) for group in groups]

    @torch.inference_mode()
    def logits(self, texts: Sequence[str]) -> Float[Tensor, "N C"]:
        """Outputs of the head for each text, in their order: logits, or one score.

        Raises:
            UserError: the task predicts something of two texts.
        """
        check_one_text(self.record)
        found = [self.model(batch) for batch in self.batches(texts)]
        return torch.cat(found) if found else torch.zeros(0, self.model.head.output_dim)

    def probabilities(self, logits: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
        """Of each class, which sum to 1; or of each label, by itself."""
        labels = self.record.task == "multilabel"
        return logits.sigmoid() if labels else logits.softmax(dim=1)

    @torch.inference_mode()
    def vectors(self, texts: Sequence[str]) -> Float[Tensor, "N P"]:
        """Pooled vectors of each text, in their order."""
        model, batches = self.model, self.batches(texts)
        return torch.cat([model.pool(model.encoder(batch), batch) for batch in batches])


def load(folder: Path, session: Session | None = None) -> TrainedModel:
    """The model of the finished run in ``folder``.

    Runs that share a ``session`` load their encoder once.

    Raises:
        UserError: the run is not finished, its weights are missing or damaged, or its encoder has
            changed.
    """
    session = session or Session()
    record = finished_run(folder)
    config = validate(record.run.config)
    check_components(config)
    encoder = session.encoder(config)
    if encoder.digest != record.digests.encoder:
        raise UserError(f"{folder}: the files of the encoder have changed: restore them")
    state = _weights(folder / "checkpoints/best.ckpt") if record.trained else {}
    nothing = tokenize_texts([], lambda _: ([], 0))
    task = build_task(config, replace(nothing, class_names=tuple(record.data.classes)))
    try:
        parts = build_parts(config, encoder, task, lambda: session.inputs(config).data.token_counts)
        encoder = encoder.with_layers(required_layers(parts[0], parts[1], encoder))
        model = PooledModel(encoder, *parts)
        if encoder.tuning == "frozen":  # not in the checkpoint
            state |= encoder.state_dict(prefix="encoder.")
        model.load_state_dict(state, strict=record.trained)
    except (TypeError, AttributeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{folder} was written by another version of the code: {reason}") from error
    return TrainedModel(record, config, model.eval(), session)


def _weights(path: Path) -> dict[str, Tensor]:
    """The weights of encoder, layers, pooler and head in a checkpoint."""
    try:
        if not is_intact(path):
            raise ValueError("a checksum in it does not match")
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        return {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    except Exception as error:  # torch raises many kinds for foreign files
        state = "damaged" if path.exists() else "missing"
        fix = f"remove {RECORD} of that run and train it again"
        raise UserError(f"{path} is {state}: {fix}") from error
