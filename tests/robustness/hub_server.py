"""A loopback server with the protocol of the Hugging Face hub, as far as its client needs it."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = hashlib.sha1(b"commit").hexdigest()
REVISIONS = ("main", COMMIT)


@dataclass
class Repository:
    """Files by path; ``failures`` is the number of answers 500 before a file is sent."""

    files: dict[str, bytes]
    gated: bool = False
    failures: int = 0

    @classmethod
    def of(cls, folder: Path, **rest: Any) -> "Repository":
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return cls({str(path.relative_to(folder)): path.read_bytes() for path in paths}, **rest)

    def entries(self, names: list[str] | None = None) -> list[dict[str, Any]]:
        """The files in a listing of the hub."""
        return [
            {"type": "file", "path": name, "size": len(content), "oid": etag(content)}
            for name, content in self.files.items()
            if names is None or name in names
        ]


@dataclass
class Hub:
    """Repositories by "models/owner/name" or "datasets/owner/name", and what was asked."""

    repositories: dict[str, Repository]
    requests: list[str] = field(default_factory=list)


def etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def serve(hub: Hub) -> Iterator[str]:
    """Serve a hub on a free port; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def log_message(self, *_: Any) -> None:
            pass

        def answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append(f"{self.command} {path}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if path == "/":
                return self.send(200, b"")
            parts = path.strip("/").split("/")
            api = parts[0] == "api"
            parts = parts[1:] if api else parts
            kind = parts.pop(0) if parts[0] in ("models", "datasets") else "models"
            repository = hub.repositories.get("/".join([kind, *parts[:2]]))
            if repository is None or len(parts) < 2:
                return self.refuse(404, "RepoNotFound", "Repository not found")
            name, rest = "/".join(parts[:2]), parts[2:]
            if api:
                return self.describe(name, repository, rest, body)
            if rest[0] != "resolve" or rest[1] not in REVISIONS:
                return self.refuse(404, "RevisionNotFound", "Invalid rev id")
            if repository.gated:
                return self.refuse(401, "GatedRepo", f"Access to {kind[:-1]} {name} is restricted.")
            if (content := repository.files.get("/".join(rest[2:]))) is None:
                return self.refuse(404, "EntryNotFound", "Entry not found")
            if repository.failures:
                repository.failures -= 1
                return self.refuse(500, "", "Internal error")
            headers = {"ETag": f'"{etag(content)}"', "X-Repo-Commit": COMMIT}
            return self.send(200, content, headers)

        def describe(self, name: str, repository: Repository, rest: list[str], body: bytes) -> None:
            if len(rest) > 1 and rest[1] not in REVISIONS:
                return self.refuse(404, "RevisionNotFound", "Invalid rev id")
            if rest[:1] == ["tree"]:
                under = "/".join(rest[2:])
                inside = [n for n in repository.files if not under or n.startswith(f"{under}/")]
                if not inside:
                    return self.refuse(404, "EntryNotFound", "Entry not found")
                return self.send_json(repository.entries(inside))
            if rest[:1] == ["paths-info"]:
                return self.send_json(repository.entries(json.loads(body)["paths"]))
            siblings = [{"rfilename": path} for path in repository.files]
            facts = {"id": name, "sha": COMMIT, "private": False, "siblings": siblings}
            return self.send_json({**facts, "gated": repository.gated and "manual", "tags": []})

        def refuse(self, status: int, code: str, message: str) -> None:
            self.send(status, message.encode(), {"X-Error-Code": code, "X-Error-Message": message})

        def send_json(self, content: Any) -> None:
            self.send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

        def send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
