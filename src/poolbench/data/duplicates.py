"""Count what makes accuracies differ from those on new texts: shared texts, conflicting labels."""

import datasets


def count_duplicates(splits: datasets.DatasetDict) -> dict[str, int]:
    """Counts that are not zero, by what they count."""
    columns = splits["train"].column_names
    values = {split: {c: table[c][:] for c in columns} for split, table in splits.items()}
    counts = {}
    for column in {"text", "group"} & set(columns):
        known = set(values["train"][column])
        for split in ("validation", "test"):
            shared = sum(value in known for value in values[split][column])
            counts[f"{split} examples have a {column} that train has too"] = shared
    labels: dict[str, set[int]] = {}
    for table in values.values():
        for text, label in zip(table["text"], table["label"], strict=True):
            labels.setdefault(text, set()).add(label)
    counts["texts have different labels"] = sum(len(found) > 1 for found in labels.values())
    return {what: count for what, count in counts.items() if count}
