"""Serve the report of a study on this machine and rebuild it whenever a record appears."""

import signal
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

from poolbench.core.errors import UserError, one_line
from poolbench.report.rendering import TEMPLATES, render
from poolbench.runs.progress import runs_in_progress
from poolbench.runs.record import RECORD
from poolbench.runs.study import STUDY

HOST = "127.0.0.1"  # other machines cannot connect
PORT = 8765
QUIET_MINUTES = 10  # without an update a run is said to be interrupted
CURVE = (120, 28)  # width and height in pixels


class LiveReport(ThreadingHTTPServer):
    """Answers ``/`` (the page), ``/live`` (runs in progress) and ``/report.html``.

    Args:
        study: folder of the study.
        build: writes the report and returns the path of its page.
        port: 0 lets the system choose.

    Raises:
        UserError: the study is not a folder, or the port cannot be used.
    """

    daemon_threads = True

    def __init__(self, study: Path, build: Callable[[], Path], port: int = PORT) -> None:
        if not study.is_dir():
            raise UserError(f"{study} is not a folder")
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise UserError(f"cannot serve on port {port}: {error}; add --serve PORT") from error
        self.study, self.build, self.building = study, build, Lock()
        self.page, self.built = b"", ""

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.server_port}/"

    @property
    def version(self) -> str:
        """Changes when a record or the declaration of the study is written or removed."""
        paths = [*self.study.rglob(RECORD), self.study / STUDY]
        return sha256(repr(sorted(_states(paths))).encode()).hexdigest()[:16]

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and content for a path without its query."""
        if path == "/":
            return 200, (TEMPLATES / "serve.html").read_bytes()
        if path == "/live":
            rows = [(run, age, _curves(run.history)) for run, age in runs_in_progress(self.study)]
            context = {"rows": rows, "version": self.version, "quiet": 60 * QUIET_MINUTES}
            return 200, render("live.html", curve=CURVE, **context).encode()
        return (200, self.report()) if path == "/report.html" else (404, b"not found")

    def report(self) -> bytes:
        """The page of the report, built again if a record has changed."""
        with self.building:
            version = self.version
            if version != self.built:
                try:
                    self.page = self.build().read_bytes()
                except Exception as error:  # no record yet, say; the next one builds it again
                    self.page = render("waiting.html", error=one_line(error)).encode()
                self.built = version
            return self.page

    def run(self) -> None:
        """Serve until Ctrl-C."""
        # A shell starts background jobs with this signal ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with self:
                print(f"{self.address} shows the study and follows it; Ctrl-C ends", flush=True)
                self.serve_forever()
        except KeyboardInterrupt:
            print()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the error of a request in one line; a browser that left is none."""
        error = sys.exception()
        if error and not isinstance(error, ConnectionError):
            print(f"error: {type(error).__name__}: {one_line(error)}", file=sys.stderr)


class _Handler(BaseHTTPRequestHandler):
    server: LiveReport

    def do_GET(self) -> None:
        # A foreign page may give its own name the address of this machine.
        own = {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}
        known = self.headers["Host"] in own
        status, content = (
            self.server.answer(self.path.partition("?")[0]) if known else (403, b"unknown host")
        )
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not printed."""


def _states(paths: list[Path]) -> Iterator[tuple[str, int]]:
    for path in paths:
        try:
            yield str(path), path.stat().st_mtime_ns
        except OSError:
            continue


def _curves(history: list[dict[str, float]]) -> dict[str, tuple[str, float]]:
    """By metric: points of its curve over the epochs, and the last value."""
    curves: dict[str, tuple[str, float]] = {}
    for name in sorted({key for epoch in history for key in epoch} - {"epoch", "seconds"}):
        values = [epoch[name] for epoch in history if name in epoch]
        low, span = min(values), max(values) - min(values) or 1.0
        right, down = CURVE[0] / max(1, len(values) - 1), CURVE[1] - 4
        points = (
            f"{i * right:.1f},{2 + down * (1 - (v - low) / span):.1f}" for i, v in enumerate(values)
        )
        curves[name] = " ".join(points), values[-1]
    return curves
