"""The metric by layer and pooler, where a study pools several layers."""

from html import escape

from poolbench.report.controls import dagger_note, marked
from poolbench.report.figures import Figure, Part, axis, clipped, heatmap, layout
from poolbench.report.layers import by_height, layer_of
from poolbench.report.summary import Task
from poolbench.runs.protocol import scaled_name

FEW = 8  # poolers whose names fit side by side
MOST_NUMBERED = 16  # poolers whose values fit into their cells


def layers_by_poolers(task: Task, metric: str) -> Figure | None:
    """Means in cells, the highest layer at the top; None unless several layers were pooled."""
    found = {place: s for s in task.standings if s.scores and (place := layer_of(s.pooler))}
    if not task.layered or not found:
        return None
    layers = sorted({layer for _, layer in found}, key=by_height)
    poolers = list(dict.fromkeys(pooler for pooler, _ in found))  # highest mean first
    grid = [[found.get((pooler, layer)) for pooler in poolers] for layer in layers]
    group = task.best.group if task.best else ()
    means = [[s and s.mean for s in row] for row in grid]
    shown = [[escape(marked(s.pooler)) if s else "" for s in row] for row in grid]
    cells = heatmap(means, shown, "%{customdata}: %{z:.2f}")
    if len(poolers) <= MOST_NUMBERED:
        cells["texttemplate"] = "%{text}"
        cells["text"] = [
            [f"{'★' * (s.pooler in group)}{s.mean:.1f}" if s else "" for s in row] for row in grid
        ]
    few = len(poolers) <= FEW
    names: Part = {"tickvals": list(range(len(poolers))), "showgrid": False, "side": "top"}
    names |= {"ticktext": [clipped(marked(n), 16) for n in poolers], "tickangle": 0 if few else -90}
    rows: Part = {"tickvals": list(range(len(layers))), "showgrid": False}
    rows["ticktext"] = [f"{layer} " for layer in layers]
    height = 110 + 34 * len(layers) + 90 * (not few)
    caption = (
        f"{scaled_name(metric)} by pooler and by the layer where the encoder stops; layer 0 is "
        "the embeddings. ★: cannot be ruled out as best."
    )
    drawing = layout(axis("", **names), axis("layer", **rows), height=height)
    return Figure("layers", caption + dagger_note(poolers), [cells], drawing)
