"""Poolers on several layers: what is compared is then a pooler on a layer, ``mean@3``."""

import re
from collections.abc import Collection, Mapping

from poolbench.stats.best import Best

NAME = re.compile(r"(?P<pooler>.+)@(?P<layer>-?\d+)")


def layer_of(name: str) -> tuple[str, int] | None:
    """Pooler and layer of a name.

    Example:
        >>> layer_of("mean@3"), layer_of("mean@-1"), layer_of("mean")
        (('mean', 3), ('mean', -1), None)
    """
    found = NAME.fullmatch(name)
    return (found["pooler"], int(found["layer"])) if found else None


def by_height(layer: int) -> tuple[bool, int]:
    """Sorts layers from the lowest; negative ones count from the last layer."""
    return layer < 0, layer


def on_highest_layer(pooler: str, names: Collection[str]) -> str | None:
    """The name of a pooler on its highest layer."""
    places = {name: layer_of(name) for name in names}
    found = {place[1]: n for n, place in places.items() if place and place[0] == pooler}
    return found[max(found, key=by_height)] if found else None


def lowest_layer(best: Best, means: Mapping[str, float], speeds: Mapping[str, float]) -> str:
    """Where the encoder can stop, in a sentence.

    That is the lowest layer whose pooler with the highest mean is shown to lose less than the
    margin against every other pooler and layer.

    Args:
        best: comparisons with the best of all poolers on all layers.
        means: the metric by name.
        speeds: throughput of inference by name, where it is known.
    """
    leader = max(best.loss, key=means.__getitem__)
    tops: dict[int, str] = {}
    for name in sorted(best.loss, key=lambda n: -means[n]):
        if place := layer_of(name):
            tops.setdefault(place[1], name)
    margin = f"the {best.margin:g}-point margin"
    ordered = sorted(tops, key=by_height)
    tied = [layer for layer in ordered if best.loss[tops[layer]] < best.margin]
    if not tied:
        open_ = next((n for n in ordered if tops[n] in best.group), None)
        named = f": layer {open_} ({tops[open_]}) cannot be ruled out" if open_ is not None else ""
        return f"No layer is shown to be within {margin} of all others{named}."
    lowest = tops[tied[0]]
    if lowest == leader:
        return f"No layer below {tied[0]} is shown to be within {margin} of {leader}."
    faster = ""
    if lowest in speeds and leader in speeds:
        faster = f", {speeds[lowest] / speeds[leader]:.2g} times as fast"
    return f"Stop at layer {tied[0]}: {lowest} is tied with {leader} within {margin}{faster}."
