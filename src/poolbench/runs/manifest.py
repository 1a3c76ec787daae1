"""What a study declared before its results: ``study.json``, beside the cells."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poolbench.core.errors import BadInput
from poolbench.core.io import locked, replacing

MANIFEST = "study.json"


def declare(folder: Path, comparison: dict[str, Any], cells: Sequence[dict[str, Any]]) -> None:
    """Add cells to the manifest in ``folder``; several processes may do so at once.

    Args:
        folder: of the study.
        comparison: reference, metric, margin and planned looks; ``published``, the table to
            compare with, is no choice of the study's own: the last one that is told counts.
        cells: names, folder below the study's, and the command that gives each one.

    Raises:
        BadInput: the study was declared with another comparison: results may be known by now.
    """
    with locked(folder / ".study.lock"):
        known = read_manifest(folder) or {"comparison": comparison, "cells": []}
        for key, value in comparison.items():
            if key != "published" and known["comparison"].get(key) != value:
                raise BadInput(
                    f"study {folder.name} was declared with comparison.{key}="
                    f"{known['comparison'].get(key)}, not {value}: keep it, or name another study"
                )
        if comparison.get("published"):
            known["comparison"]["published"] = comparison["published"]
        by_folder = {cell["folder"]: cell for cell in [*known["cells"], *cells]}
        content = {"schema_version": 1, **known, "cells": list(by_folder.values())}
        with replacing(folder / MANIFEST) as file:
            file.write(json.dumps(content, indent=1).encode())


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest in ``folder``; None where there is none, or none that can be read."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return manifest if "comparison" in manifest and "cells" in manifest else None
