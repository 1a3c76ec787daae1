"""From texts to test predictions on a frozen encoder: one cell, against sentence vectors of
sentence-transformers with a logistic regression on top, which is how SetFit trains its head.

Both encode everything themselves. Ours also encodes validation texts, chooses its epoch by them,
and leaves a record; theirs has a solver that needs neither.
"""

import argparse
import tempfile
from itertools import count
from pathlib import Path

import numpy as np
import torch
from cells import asked, train_cell
from encode import encoder_folder
from outcome import Claim, Outcome
from peers import missing
from rounds import Variant, interleave, ratio, timed

from poolbench.training.session import Prepared, prepare

OURS, PEER = "poolbench", "sentence-transformers and logistic regression"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Size of the measurement."""
    parser.add_argument("--examples", type=int, default=400, help="at most, in each split")
    parser.set_defaults(rounds=3)


def measure(overrides: list[str], rounds: int, examples: int) -> Outcome:
    """Seconds from loaded texts to test predictions.

    Args:
        overrides: of the configuration: data, encoder, pooler of our side.
        rounds: how often each variant runs.
        examples: at most so many in each split.

    Raises:
        BadInput: the encoder's weights are in no folder that both sides can load.
    """
    same = [f"dataset.max_examples={examples}", *overrides]
    cfg = asked(same).cfg
    where, prepared = encoder_folder(cfg.encoder), prepare(cfg)
    accuracies: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        folders = (Path(folder) / str(number) for number in count())

        def ours() -> None:
            record, _ = train_cell([*same, f"output_dir={next(folders)}"])
            accuracies[OURS] = record["metrics"]["test/accuracy"]

        variants: dict[str, Variant] = {OURS: timed(ours)}
        note = missing("sentence_transformers")
        if note is None:
            variants[PEER] = _peer(where, prepared, accuracies)
        seconds = interleave(variants, rounds)
    claims = [Claim(f"test accuracy, {name}", value) for name, value in accuracies.items()]
    if note is None:
        claims.insert(0, Claim("times as fast", ratio(seconds, PEER, OURS).median))
    return Outcome(
        "frozen_head",
        {"examples": examples, "threads": torch.get_num_threads()},
        OURS,
        seconds,
        claims,
        notes=[note] if note else [],
    )


def _peer(where: Path, prepared: Prepared, accuracies: dict[str, float]) -> Variant:
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression

    model = SentenceTransformer(str(where), device="cpu")
    model.max_seq_length = prepared.encoder.max_length
    train, test = prepared.splits["train"], prepared.splits["test"]

    def work() -> None:
        vectors = [model.encode(part["text"], show_progress_bar=False) for part in (train, test)]
        head = LogisticRegression(max_iter=1000).fit(vectors[0], train["label"])
        found = head.predict(vectors[1])
        accuracies[PEER] = float(np.mean(found == np.array(test["label"])))

    return timed(work)
