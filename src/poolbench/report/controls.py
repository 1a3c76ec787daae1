"""Controls: poolers that a study compares and a report never recommends."""

from collections.abc import Iterable

MARK = "†"
KINDS = {"pitfall-": "pitfall", "control-": "width control"}
EXPLAINED = (
    f"{MARK} A control is there to be compared with, never to be used: a pitfall makes a known "
    "mistake on purpose; a width control has the width of another pooler and not its idea, so what "
    "it gains is gained by width alone."
)


def control(pooler: str) -> str | None:
    """What kind of control a pooler is, by its name; None for one that may be recommended.

    Example:
        >>> control("pitfall-view_conv"), control("control-mean_1536"), control("mean")
        ('pitfall', 'width control', None)
    """
    return next((kind for start, kind in KINDS.items() if pooler.startswith(start)), None)


def note(poolers: Iterable[str]) -> str:
    """What the mark means, to end a caption with; empty where none of the poolers is a control."""
    return f" {MARK}\N{NO-BREAK SPACE}marks a control." if any(map(control, poolers)) else ""


def marked(pooler: str) -> str:
    """The name as a table or a figure shows it: a control has a dagger."""
    return f"{MARK} {pooler}" if control(pooler) else pooler
