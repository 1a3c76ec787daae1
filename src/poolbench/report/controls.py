"""Controls in a report: compared like all others, marked with a dagger, never recommended."""

from collections.abc import Iterable, Sequence

from poolbench.stats.verdict import Comparison

CONTROLS = {"pitfall-": "pitfall", "control-": "width control"}
CONTROLS_EXPLAINED = (
    "† A control is compared and never recommended: a pitfall makes a known mistake on purpose; a "
    "width control has the width of another pooler but not its method."
)


def control(pooler: str) -> str | None:
    """Kind of a control, by its name; None for a pooler that may be recommended.

    Example:
        >>> control("pitfall-view_conv"), control("control-mean_1536"), control("mean")
        ('pitfall', 'width control', None)
    """
    return next((kind for prefix, kind in CONTROLS.items() if pooler.startswith(prefix)), None)


def marked(pooler: str) -> str:
    """The name as tables and figures show it: a control has a dagger."""
    return f"† {pooler}" if control(pooler) else pooler


def dagger_note(poolers: Iterable[str]) -> str:
    """Ends a caption: explains the dagger if one of the poolers is a control."""
    return " †\N{NO-BREAK SPACE}marks a control." if any(map(control, poolers)) else ""


def without_controls(pairs: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of poolers that may be recommended with each other."""
    return [c for c in pairs if not (control(c.first) or control(c.second))]
