"""The shell of a page: one HTML file that needs nothing but itself."""

import base64
import hashlib
from html import escape
from pathlib import Path

from plotly.offline import get_plotlyjs

HERE = Path(__file__).parent


def document(title: str, body: str, figures: bool = True) -> str:
    """A whole HTML document; plotly, 4 MB, is a part of it only where there are figures."""
    own = (HERE / "page.js").read_text()
    scripts = (get_plotlyjs(), own) if figures else (own,)
    # Only these scripts may run and nothing may be fetched, whatever a text contains.
    allowed = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{(HERE / 'page.css').read_text()}</style></head>"
        f"<body>{body}{''.join(f'<script>{script}</script>' for script in scripts)}</body></html>"
    )


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
