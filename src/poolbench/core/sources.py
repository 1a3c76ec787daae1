"""The digest of the code that computes results; needs no torch, so that a report can compare it."""

import functools
import hashlib
from pathlib import Path

# Packages whose code can change the result of a run, and the modules in them that cannot.
PACKAGES = ("core", "data", "encoders", "poolers", "tasks", "training")
NEUTRAL = {
    f"training/{name}.py"
    for name in ("console", "launch", "loggers", "planner", "sweep", "sweep_progress")
}


@functools.cache
def code_digest() -> str:
    """Digest of the sources that can change the result of a run."""
    package = Path(__file__).parents[1]
    content = hashlib.sha256()
    for path in sorted(path for name in PACKAGES for path in (package / name).rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if name not in NEUTRAL:
            content.update(name.encode() + path.read_bytes())
    return content.hexdigest()[:16]
