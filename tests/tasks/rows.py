"""Files of each task in which the texts say what is predicted."""

import json
from pathlib import Path

import numpy as np

WORDS = [
    *("red", "blue", "green", "old", "new", "river", "house", "film"),
    *("dog", "cat", "good", "bad", "slow", "quick", "warm"),
]
TINY = ("encoder=embedding", "dataset=files", "batch_size=16", "dataset.max_examples=null")
TWO_TEXTS = ("pair_classification", "pair_regression", "similarity", "retrieval")


def write_rows(folder: Path, task: str, rows: int = 160) -> str:
    """A jsonl file in which the texts say what is predicted."""
    draw = np.random.default_rng(0)
    lines = []
    for i in range(rows):
        a, b = (draw.choice(WORDS, 6).tolist() for _ in range(2))
        shared = int(draw.integers(7))
        b[:shared] = a[:shared]
        row = {"text": " ".join([*a, str(i // 2)])}
        if task in TWO_TEXTS:
            row = {"text_a": " ".join([*a, str(i // 2)]), "text_b": " ".join([*b, str(i)])}
        labels = [word for word in ("red", "dog", "film") if word in a]
        row |= {
            "classification": {"label": "red" if "red" in a else "other"},
            "multilabel": {"labels": labels},
            "regression": {"score": len(labels) + 3.0},
            "pair_classification": {"label": "near" if shared > 3 else "far"},
            "pair_regression": {"score": shared / 2},
            "similarity": {"score": float(shared)},
            "retrieval": {},
        }[task]
        if task == "retrieval":
            row = {"query": row["text_a"], "document": row["text_a"] + f" {' '.join(b[:2])}"}
        lines.append(json.dumps(row))
    path = folder / f"{task}.jsonl"
    path.write_text("\n".join(lines))
    return f"dataset.train={path}"
