"""Show what each pooling mistake costs compared with the correct pooler.

    python train.py experiment=pitfalls
    python scripts/pitfalls.py
    python scripts/pitfalls.py --batches

The first table needs the records only. ``--batches`` classifies the test texts again in batches of
several sizes: how many predictions differ from those of a text alone?
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from poolbench.core.errors import UserError
from poolbench.runs.record import RunRecord
from poolbench.runs.study import read_study

TWINS = {
    "unmasked_mean": "mean",
    "unmasked_max": "max",
    "zero_padded_max": "max",
    "position_zero": "cls",
    "final_position": "last",
    "view_conv": "conv",
}
BATCH_SIZES = (1, 8, 32, 128)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 if there is no study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path, nargs="?", default=Path("outputs/pitfalls"))
    parser.add_argument("--batches", action="store_true", help="also classify in other batches")
    options = parser.parse_args(arguments)
    try:
        runs = read_study(options.study).finished
        print(costs(runs).to_string(float_format="{:.3f}".format))
        if options.batches:
            print("\nPredictions (%) that differ from those of a text alone, by batch size:\n")
            print(changes(runs).to_string(float_format="{:.1f}".format))
    except UserError as error:
        print(f"error: {error}; python train.py experiment=pitfalls", file=sys.stderr)
        return 2
    return 0


def costs(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """For each pitfall and its correct twin, over the seeds that both have in one setting:
    accuracies, the cost in points with its standard deviation, and predictions that differ (%)."""
    rows = pd.DataFrame([_row(run) for run in runs])
    wrong = rows[rows["pooler"].isin(TWINS)].assign(twin=lambda table: table["pooler"].map(TWINS))
    key = ["setting", "seed", "twin"]
    pairs = wrong.merge(rows.rename(columns={"pooler": "twin"}), on=key, suffixes=("", " of twin"))
    pairs["cost"] = 100 * (pairs["accuracy of twin"] - pairs["accuracy"])
    predicted = zip(pairs["predictions"], pairs["predictions of twin"], strict=True)
    pairs["differ"] = [100 * np.mean(a != b) for a, b in predicted]
    pairs["sd"] = pairs["cost"]
    groups = pairs.groupby(["padding", "pooler", "twin"], sort=False)
    means = ["accuracy", "accuracy of twin", "cost", "differ"]
    return groups.agg({**dict.fromkeys(means, "mean"), "sd": "std", "seed": "count"})


def changes(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """Predictions that differ from those of a text alone (%), by batch size, mean over seeds."""
    rows = pd.DataFrame([_row(run) for run in runs]).assign(run=list(runs))
    tables = [_changes_of(group) for _, group in rows.groupby("setting", sort=False)]
    return pd.concat(tables).groupby(["padding", "pooler"]).mean()


def _changes_of(rows: pd.DataFrame) -> pd.DataFrame:
    import torch

    from poolbench.inference.load import load
    from poolbench.training.session import Session

    session = Session()
    trained = [load(run.folder, session) for run in rows["run"]]
    encoder, data = trained[0].model.encoder, session.inputs(trained[0].config).data
    table = rows[["padding", "pooler"]].copy()
    alone: list[np.ndarray] = []
    for size in BATCH_SIZES:
        parts: list[list[np.ndarray]] = [[] for _ in trained]
        for examples in torch.tensor(data.splits["test"]).split(size):
            batch = encoder.collate(data, examples)
            with torch.inference_mode():
                states = encoder(batch)
                for part, one in zip(parts, trained, strict=True):
                    logits = one.model.head(one.model.pool(states, batch))
                    part.append(logits.argmax(dim=1).numpy())
        classes = [np.concatenate(part) for part in parts]
        alone = alone or classes
        table[size] = [100 * np.mean(a != b) for a, b in zip(alone, classes, strict=True)]
    return table.drop(columns=1)


def _row(record: RunRecord) -> dict[str, object]:
    """``setting`` is equal for runs that differ only in pooler and seed."""
    settings = {k: v for k, v in record.run.settings.items() if not k.startswith("pooler.")}
    return {
        "setting": json.dumps(settings, sort_keys=True),
        "padding": record.run.setting("encoder.padding_side") or "right",
        "pooler": record.run.pooler.removeprefix("pitfall-"),
        "seed": record.run.seed,
        "accuracy": record.metrics["test/accuracy"],
        "predictions": record.predictions.predictions,
    }


if __name__ == "__main__":
    sys.exit(main())
