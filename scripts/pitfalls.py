"""What each pooling mistake costs, beside the pooler it should have been.

    python train.py experiment=pitfalls
    python scripts/pitfalls.py
    python scripts/pitfalls.py --batches   # also: does a text keep its class in another batch?

The first table comes from the records alone. ``--batches`` loads encoder and trained heads and
classifies the test texts again, in their own order, so many at a time.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poolbench.runs.record import RECORD, read_predictions, read_record

TWINS = {
    "unmasked_mean": "mean",
    "unmasked_max": "max",
    "zero_padded_max": "max",
    "position_zero": "cls",
    "final_position": "last",
    "view_conv": "conv",
}
BATCH_SIZES = (1, 8, 32, 128)
# What does not change a result, and what the two of a pair may differ in.
BESIDE_THE_POINT = ("pooler", "seed", "output_dir", "study", "logger", "comparison", "retry_failed")


@dataclass(frozen=True, eq=False)
class Cell:
    """A finished cell.

    Attributes:
        pooler: its name, without ``pitfall-``.
        setting: everything but pooler and seed; equal for cells that may be compared.
        right: of each test text, is its class the right one? (n,)
        predictions: class of each test text, (n,).
    """

    folder: Path
    pooler: str
    seed: int
    padding: str
    setting: str
    config: dict[str, Any]
    right: NDArray[np.bool_]
    predictions: NDArray[np.int64]


def read(folders: Iterable[Path]) -> list[Cell]:
    """The finished cells in ``folders``; failed ones are left out."""
    cells = []
    for folder in folders:
        record = read_record(folder)
        if record["status"] != "ok":
            continue
        config, kept = record["config"], read_predictions(folder)
        rest = {key: value for key, value in config.items() if key not in BESIDE_THE_POINT}
        cells.append(
            Cell(
                folder=folder,
                pooler=record["cell"]["pooler"].removeprefix("pitfall-"),
                seed=record["cell"]["seed"],
                padding=config["encoder"].get("padding_side", "right"),
                setting=json.dumps(rest, sort_keys=True),
                config=config,
                right=kept.predictions == kept.labels,
                predictions=kept.predictions,
            )
        )
    return cells


def costs(cells: Sequence[Cell]) -> list[str]:
    """A Markdown table: each pitfall and its twin, over the seeds that both have."""
    found = {(cell.setting, cell.pooler, cell.seed): cell for cell in cells}
    lines = [
        "| padding | pitfall | accuracy | twin | accuracy | cost, points | differ | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for setting in sorted({cell.setting for cell in cells}, reverse=True):
        for pitfall, twin in TWINS.items():
            pairs = [
                (cell, found[setting, twin, seed])
                for (where, pooler, seed), cell in sorted(found.items(), key=lambda item: item[0])
                if (where, pooler) == (setting, pitfall) and (setting, twin, seed) in found
            ]
            if pairs:
                lines.append(_cost(pitfall, twin, pairs))
    return lines


def _cost(pitfall: str, twin: str, pairs: Sequence[tuple[Cell, Cell]]) -> str:
    wrong, right = (np.array([pair[i].right.mean() for pair in pairs]) for i in (0, 1))
    cost = 100 * (right - wrong)
    spread = f" ± {cost.std(ddof=1):.1f}" if len(pairs) > 1 else ""
    other = np.mean([(a.predictions != b.predictions).mean() for a, b in pairs])
    values = (
        pairs[0][0].padding,
        f"`{pitfall}`",
        f"{wrong.mean():.3f}",
        f"`{twin}`",
        f"{right.mean():.3f}",
        f"{cost.mean():+.1f}{spread}",
        f"{100 * other:.1f} %",
        str(len(pairs)),
    )
    return f"| {' | '.join(values)} |"


def changes(cells: Sequence[Cell]) -> list[str]:
    """A Markdown table: test texts whose class is another one than when classified alone."""
    lines = [
        f"| padding | pooler | {' | '.join(f'{size} at a time' for size in BATCH_SIZES[1:])} |",
        "|---" * (len(BATCH_SIZES) + 1) + "|",
    ]
    by_setting = defaultdict(list)
    for cell in cells:
        by_setting[cell.setting].append(cell)
    for _, alike in sorted(by_setting.items(), reverse=True):
        shares = _shares(alike)
        for twin in dict.fromkeys(TWINS.values()):
            for pooler in (twin, *(pitfall for pitfall in TWINS if TWINS[pitfall] == twin)):
                if pooler in shares:
                    told = " | ".join(f"{100 * share:.1f} %" for share in shares[pooler])
                    lines.append(f"| {alike[0].padding} | `{pooler}` | {told} |")
    return lines


def _shares(cells: Sequence[Cell]) -> dict[str, NDArray[np.float64]]:
    """Pooler -> share of changed classes for each batch size but the first, mean over seeds."""
    import torch  # only here: the first table needs none
    from omegaconf import OmegaConf

    from poolbench.data.collate import make_batch
    from poolbench.inference.load import load
    from poolbench.training.session import prepare

    models = [load(cell.folder).model for cell in cells]
    encoder = models[0].encoder
    corpus = prepare(OmegaConf.create(cells[0].config)).corpus
    test = torch.tensor(corpus.splits["test"])
    classes = np.empty((len(BATCH_SIZES), len(cells), len(test)), dtype=int)
    with torch.inference_mode():
        for i, size in enumerate(BATCH_SIZES):
            done = 0
            for example_ids in test.split(size):
                batch = make_batch(corpus, example_ids, encoder.padding_side, encoder.pad_id)
                states = encoder(batch)
                for j, model in enumerate(models):
                    logits = model.head(model.pool(states, batch))
                    classes[i, j, done : done + len(batch)] = logits.argmax(dim=1).numpy()
                done += len(batch)
    changed = (classes[1:] != classes[0]).mean(axis=2)  # (batch sizes, cells)
    of_pooler = defaultdict(list)
    for j, cell in enumerate(cells):
        of_pooler[cell.pooler].append(changed[:, j])
    return {pooler: np.mean(shares, axis=0) for pooler, shares in of_pooler.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description="What each pooling mistake costs.")
    parser.add_argument("study", type=Path, nargs="?", default=Path("outputs/pitfalls"))
    parser.add_argument("--batches", action="store_true", help="classify again, so many at a time")
    args = parser.parse_args()
    cells = read(sorted(path.parent for path in args.study.rglob(RECORD)))
    if not cells:
        hint = "run first: python train.py experiment=pitfalls"
        print(f"error: {args.study} holds no finished cell; {hint}", file=sys.stderr)
        return 2
    print(*costs(cells), sep="\n")
    if args.batches:
        print("\nTest texts that get another class than alone, by the texts in the batch:\n")
        print(*changes(cells), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
