"""Data and weights that come as Python packages, so that the default run needs no hub."""

import importlib.util
from pathlib import Path

from poolbench.core.errors import BadInput
from poolbench.core.io import file_digest


def wheel_file(package: str, inside: str, sha256: str) -> Path:
    """The path of a file that an installed package carries, found without importing the package.

    Raises:
        BadInput: the package is not installed, or the file is not the expected one.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise BadInput(f"{package} is not installed: pip install {package.replace('_', '-')}")
    path = Path(spec.submodule_search_locations[0]) / inside
    if not path.is_file() or file_digest(path) != sha256:
        raise BadInput(
            f"{path.name} in {package} is missing or not the expected file: "
            f"pip install --force-reinstall {package.replace('_', '-')}"
        )
    return path
