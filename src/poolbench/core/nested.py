"""Nested configurations as dotted keys."""

from collections.abc import Iterator, Mapping
from typing import Any


def leaves(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values, in order.

    Example:
        >>> list(leaves({"seed": 0, "optimizer": {"lr": 0.1}}))
        [('seed', 0), ('optimizer.lr', 0.1)]
    """
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
