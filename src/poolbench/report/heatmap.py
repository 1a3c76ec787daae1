"""The metric by layer and pooler, where a study pools several layers."""

from html import escape

import plotly.graph_objects as go

from poolbench.report.figures import Figure, clipped, laid_out
from poolbench.report.layers import by_height, layer_of
from poolbench.report.summary import Task, dagger_note, marked
from poolbench.runs.protocol import scaled_name

FEW = 8  # poolers whose names fit side by side
MOST_NUMBERED = 16  # poolers whose values fit into their cells
# As in the tables: the darker, the better.
SHADES = [[0, "rgba(0,114,178,0)"], [1, "rgba(0,114,178,.6)"]]


def layers_by_poolers(task: Task, metric: str) -> Figure | None:
    """Means in cells, the last layer at the top; None unless several layers were pooled."""
    if not task.layered:
        return None
    found = {layer_of(s.pooler): s for s in task.standings}
    places = [place for place in found if place]
    layers = sorted({layer for _, layer in places}, key=by_height)
    top: dict[str, float] = {}
    for (pooler, _), s in ((p, found[p]) for p in places):
        top[pooler] = max(top.get(pooler, -100.0), s.mean if s.mean is not None else -100.0)
    poolers = sorted(top, key=lambda name: -top[name])
    group = task.best.group if task.best else ()
    grid = [[found.get((pooler, layer)) for pooler in poolers] for layer in layers]
    texts = [
        ["" if not s or s.mean is None else f"{'★' * (s.pooler in group)}{s.mean:.1f}" for s in row]
        for row in grid
    ]
    cells = go.Heatmap(
        z=[[s and s.mean for s in row] for row in grid],
        text=texts,
        texttemplate="%{text}" if len(poolers) <= MOST_NUMBERED else "",
        customdata=[[escape(s.pooler) if s else "" for s in row] for row in grid],
        hovertemplate="%{customdata}: %{text}<extra></extra>",
        colorscale=SHADES,
        showscale=False,
        xgap=2,
        ygap=2,
    )
    plot = laid_out(go.Figure(cells, go.Layout(template=go.layout.Template())))
    names = {"tickvals": list(range(len(poolers))), "showgrid": False}
    names["ticktext"] = [clipped(marked(name), 16) for name in poolers]
    plot.update_xaxes(**names, side="top", tickangle=0 if len(poolers) <= FEW else -90)
    rows = {"tickvals": list(range(len(layers))), "showgrid": False}
    plot.update_yaxes(title_text="layer", ticktext=list(map(str, layers)), **rows)
    plot.update_layout(height=110 + 34 * len(layers) + 60 * (len(poolers) > FEW), margin_t=12)
    caption = (
        f"{scaled_name(metric)} by pooler and by the layer where the encoder stops; layer 0 is "
        "the embeddings. ★: cannot be ruled out as best."
    )
    return Figure("layers", caption + dagger_note(poolers), plot)
