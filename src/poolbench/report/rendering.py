"""Jinja templates: HTML with autoescape, Markdown escaped likewise, and plain text."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from poolbench.report.controls import CONTROLS_EXPLAINED, dagger_note, marked
from poolbench.report.glossary import GLOSSARY, baseline_note
from poolbench.runs.protocol import METRIC_NAMES

ESCAPES = str.maketrans(
    {"<": "&lt;", ">": "&gt;", "&": "&amp;"} | {c: f"\\{c}" for c in "\\`*_[]|#"}
)
TEMPLATES = Path(__file__).parent / "templates"


def markdown_text(value: object) -> str:
    """Text on one line that Markdown and HTML leave as it is; Markup stays unchanged."""
    plain = re.sub(r"\s+", " ", str(value).translate(ESCAPES))
    return value if isinstance(value, Markup) else plain


@cache
def environment(kind: str) -> Environment:
    """The environment of one kind of template: html, md or txt."""
    env = Environment(
        loader=PackageLoader("poolbench.report"),
        autoescape=kind == "html",
        finalize=markdown_text if kind == "md" else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {"zip": zip, "code": lambda line: Markup(" ".join(line.split()))}
    env.globals |= {"controls_explained": CONTROLS_EXPLAINED, "baseline_note": baseline_note}
    env.globals |= {"metric_names": METRIC_NAMES}
    env.globals |= {"glossary": GLOSSARY, "dagger_note": dagger_note, "marked": marked}
    return env


def render(template: str, **context: Any) -> str:
    """A template with its context."""
    return environment(template.rpartition(".")[2]).get_template(template).render(context)


def render_page(template: str, plotly: bool = False, **context: Any) -> str:
    """A whole HTML page in one file; plotly.js, 4 MB, is a part of it only if it has figures."""
    css, own = ((TEMPLATES / f"page.{kind}").read_text() for kind in ("css", "js"))
    scripts = [get_plotlyjs(), own] if plotly else [own]
    # Only these scripts may run and nothing may be fetched, whatever a text contains.
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    return render(template, css=css, scripts=scripts, digests=digests, **context)
