"""The other libraries that a benchmark may measure; none of them is needed by the program."""

import importlib.util


def missing(package: str) -> str | None:
    """A line that says what to install, or None where the package is there.

    Example:
        >>> missing("no_such_package")
        'no-such-package is not installed: pip install -e ".[bench]"'
    """
    if importlib.util.find_spec(package) is not None:
        return None
    return f'{package.replace("_", "-")} is not installed: pip install -e ".[bench]"'
