"""A leaderboard as one HTML page and as Markdown."""

from collections import Counter
from html import escape

from poolbench.report.blocks import NOTHING, Entry, details, facts, number, paragraphs, table, text
from poolbench.report.controls import EXPLAINED as CONTROLS_EXPLAINED
from poolbench.report.controls import control, marked
from poolbench.report.document import document
from poolbench.report.leaderboard import Leaderboard, Row
from poolbench.report.markdown import plain
from poolbench.report.origin import DIGITS
from poolbench.stats.mean import ALPHA
from poolbench.stats.verdict import METRIC_NAMES, counted, percent

EXPLAINED = (
    "A row is one pooler under one configuration, by one revision of the code, on one state of "
    f"data and weights. The {percent(1 - ALPHA)} interval is of its mean, over seeds and test "
    "examples; it needs two seeds. Whether two poolers differ is not read off two intervals: the "
    "report of a study compares them in pairs.",
    "Unusual settings are those that most rows of the same dataset and encoder do not have. A "
    "stale row is not what the newest row of its dataset and encoder is, and must not be compared "
    "with current ones; which row is the newest the times of the record files say.",
)


def leaderboard_page(board: Leaderboard) -> str:
    """The leaderboard as HTML that needs nothing but itself."""
    told = "".join(f"<p>{escape(line)}</p>" for line in _explained(board))
    body = (
        '<header><h1>poolbench leaderboard</h1><div class="answer">'
        f'<p class="headline">{escape(_summary(board))}</p></div></header>'
        f"<main>{_table(board)}{told}{_without(board)}"
        f"<h2>How each row is made again</h2>{_made(board)}</main>"
    )
    return document("poolbench leaderboard", body, figures=False)


def leaderboard_markdown(board: Leaderboard) -> str:
    """The leaderboard as GitHub Markdown; names and messages of the user are escaped."""
    metric = f"{METRIC_NAMES[board.metric]} (%)"
    head = ["#", "dataset", "encoder", "pooler", "unusual settings", metric]
    head += [f"{percent(1 - ALPHA)} interval", "seeds", "examples", "pooler parameters", "state"]
    words = ("dataset", "encoder", "pooler", "unusual settings", "state")
    lines = [head, ["---" if name in words else "---:" for name in head]]
    for place, row in enumerate(board.rows, 1):
        parameters = _parameters(row)
        shown = [
            str(place),
            row.cell.dataset,
            row.cell.encoder,
            marked(row.cell.pooler),
            ", ".join(row.unusual),
            f"{row.mean.value:.2f}",
            _span(row),
            str(len(row.results)),
            f"{_examples(row):,}",
            "" if parameters is None else f"{parameters:,}",
            _state(row),
        ]
        lines.append([plain(cell) for cell in shown])
    parts = ["# poolbench leaderboard", plain(_summary(board))]
    parts += [
        "\n".join(f"| {' | '.join(line)} |" for line in lines),
        *map(plain, _explained(board)),
    ]
    if board.without or board.notes:
        told = [*map(plain, _named(board)), *map(plain, board.notes)]
        parts += ["## Without a result, and notes", "\n".join(f"* {line}" for line in told)]
    parts.append("## How each row is made again")
    for place, row in enumerate(board.rows, 1):
        origin = "; ".join(f"{name} {value}" for name, value in _origin(row))
        parts.append(f"**{place}. {plain(row.cell.pooler)}**: {plain(origin)}")
        # Indented, so that nothing in a command can end the block.
        parts.append("\n".join(f"    {' '.join(line.split())}" for line in commands(row)))
    return "\n\n".join(part for part in parts if part) + "\n"


def _explained(board: Leaderboard) -> tuple[str, ...]:
    controls = any(control(row.cell.pooler) for row in board.rows)
    return (*EXPLAINED, CONTROLS_EXPLAINED) if controls else EXPLAINED


def commands(row: Row) -> list[str]:
    """What trains the cells of a row again, where it was kept.

    Commands that differ in nothing but the seed become one sweep over their seeds.
    """
    seeds: dict[tuple[str, ...], list[str]] = {}
    for result in row.results:
        if result.cell.command:
            seed = f"seed={result.cell.seed}"
            words = result.cell.command.split(" ")
            rest = tuple("seed=" if word == seed else word for word in words)
            seeds.setdefault(rest, []).append(str(result.cell.seed))
    told = []
    for rest, found in seeds.items():
        line = " ".join(f"seed={','.join(found)}" if word == "seed=" else word for word in rest)
        told.append(line.replace("train.py", "train.py -m", 1) if len(found) > 1 else line)
    return told


def _table(board: Leaderboard) -> str:
    columns = ["pooler", f"{METRIC_NAMES[board.metric]} (%)", f"{percent(1 - ALPHA)} interval"]
    columns += ["seeds", "dataset", "encoder", "unusual settings", "state", "examples"]
    columns.append("parameters")
    rows = [
        [
            _name(row, place),
            number(row.mean.value, ".2f"),
            Entry(_span(row) or NOTHING, row.mean.interval and row.mean.value, "number"),
            number(len(row.results), "d"),
            text(row.cell.dataset, "tag"),
            text(row.cell.encoder, "tag"),
            Entry("<br>".join(map(escape, row.unusual)), ", ".join(row.unusual), "code tag"),
            text(", ".join(row.stale) or "current", "tag tied" if row.stale else ""),
            number(_examples(row), ",d"),
            number(_parameters(row), ",d"),
        ]
        for place, row in enumerate(board.rows, 1)
    ]
    return table("Leaderboard", columns, rows)


def _name(row: Row, place: int) -> Entry:
    """On a narrow screen this column is always seen, so it says what is stale."""
    name = row.cell.pooler
    mark = ' <span class="quiet">stale</span>' if row.stale else ""
    return Entry(f'<a href="#row-{place}">{escape(marked(name))}</a>{mark}', name)


def _made(board: Leaderboard) -> str:
    told = []
    for place, row in enumerate(board.rows, 1):
        lines = "".join(f'<p class="code">{escape(line)}</p>' for line in commands(row))
        where = f"{row.cell.pooler} on {row.cell.dataset} x {row.cell.encoder}"
        body = details(f"Row {place}: {where}, {_state(row)}", lines + facts(_origin(row)))
        told.append(f'<div id="row-{place}">{body}</div>')
    return "".join(told)


def _origin(row: Row) -> list[tuple[str, str]]:
    digests = row.cell.record.get("digests") or {}
    cells = (f"{r.cell.digest} (seed {r.cell.seed}, {r.cell.folder})" for r in row.results)
    told = [("code", _code(row)), ("record schema", str(row.results[0].schema))]
    told += [(n, str(digests[n])[:DIGITS]) for n in ("data", "encoder", "tokens") if n in digests]
    told.append(("cells", ", ".join(cells)))
    unplanned = sum(not r.cell.command for r in row.results)
    if unplanned:
        told.append(("no command kept for", counted(unplanned, "cell")))
    return told


def _code(row: Row) -> str:
    code = row.results[0].code
    if code is None:
        return "revision not recorded"
    commit, modified = code
    return commit[:DIGITS] + " with uncommitted changes" * modified


def _state(row: Row) -> str:
    return f"stale: {', '.join(row.stale)}" if row.stale else "current"


def _span(row: Row) -> str:
    found = row.mean.interval
    return "" if found is None else f"{found[0]:.1f} to {found[1]:.1f}"


def _examples(row: Row) -> int:
    return len(row.results[0].scores)


def _parameters(row: Row) -> int | None:
    found = (row.cell.record.get("parameters") or {}).get("pooler")
    return None if found is None else int(found)


def _summary(board: Leaderboard) -> str:
    cells = sum(len(row.results) for row in board.rows)
    stale = sum(bool(row.stale) for row in board.rows)
    told = f"{counted(len(board.rows), 'row')} from {counted(cells, 'finished cell')}"
    told += f", {stale} of them stale." if stale else "."
    return told + (f" {_counts(board)}." if board.without else "")


def _counts(board: Leaderboard) -> str:
    found = Counter(cell.status for cell in board.without)
    kinds = ", ".join(f"{n} {status}" for status, n in found.items())
    return f"{counted(len(board.without), 'cell')} without a result: {kinds}"


def _named(board: Leaderboard) -> list[str]:
    return [
        f"{cell.status}: {cell.folder}" + (f": {cell.error}" if cell.error else "")
        for cell in board.without
    ]


def _without(board: Leaderboard) -> str:
    named = details(_counts(board), paragraphs(_named(board)), shown=True) if board.without else ""
    noted = paragraphs(board.notes) if board.notes else ""
    return f"<h2>Without a result, and notes</h2>{named}{noted}" if named or noted else ""
