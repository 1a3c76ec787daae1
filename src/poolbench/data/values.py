"""Check the values of a column: an unusable one is an error that names split, row and column."""

import math
import re
from collections.abc import Callable
from typing import Any

from poolbench.core.errors import UserError
from poolbench.data.tables import Table

NUMBER = re.compile(r"\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*", re.ASCII)


def checked(
    table: Table, split: str, column: str, usable: Callable[[Any], bool], expected: str
) -> list[Any]:
    """The values of a column, as they are.

    Raises:
        UserError: there are none, or one is not ``usable``.
    """
    values = table.columns[column]
    if not values:
        raise UserError(f"{split} has no rows")
    for row, value in enumerate(values):
        if not usable(value):
            found = "nothing" if value in (None, "") else f"{value!r:.40} ({type(value).__name__})"
            raise UserError(
                f"{split} row {row}: column '{column}' contains {found}, expected {expected}"
            )
    return values


def texts(table: Table, split: str, column: str) -> list[str]:
    """A column of texts, which may be empty."""
    return checked(table, split, column, is_text, "text")


def texts_or_none(table: Table, split: str, column: str) -> list[str | None]:
    """A column of texts; empty ones become None, since some types of files have no other None."""
    values = checked(table, split, column, lambda v: v is None or is_text(v), "text or nothing")
    return [value or None for value in values]


def names(table: Table, split: str, column: str, role: str) -> list[str]:
    """A column of integers or strings, as strings; indices of classes by the name of the class."""
    values = checked(table, split, column, is_name, f"an integer or a string as {role}")
    classes = dict(enumerate(table.classes.get(column, ())))
    return [str(classes.get(value, value)) for value in values]


def numbers(table: Table, split: str, column: str) -> list[float]:
    """A column of finite numbers, which may be given as strings."""
    values = checked(table, split, column, is_number, "a finite number")
    return [float(value) for value in values]


def is_text(value: Any) -> bool:
    """Whether a value is a string that has an encoding; a lone surrogate, as in JSON, has none."""
    return isinstance(value, str) and (value.isascii() or not re.search("[\ud800-\udfff]", value))


def is_name(value: Any) -> bool:
    """Whether a value is an integer or a string that is not empty."""
    return type(value) is int or (value != "" and is_text(value))


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, or a string that is one."""
    if isinstance(value, str):
        return NUMBER.fullmatch(value) is not None and math.isfinite(float(value))
    # Integers are compared exactly: one above the largest float is not finite as a float.
    largest = float("1.7976931348623157e308")
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= largest
