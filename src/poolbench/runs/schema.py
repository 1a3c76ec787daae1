"""JSON files as typed models: one reader, whose failures are RecordErrors, and one writer."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from poolbench.core.errors import UserError
from poolbench.core.io import atomic_write

EXACT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
Model = TypeVar("Model", bound=BaseModel)
Number = Annotated[float, Field(ge=-1e39, le=1e39)]  # any float32; its square is still finite
Count = Annotated[int, Field(ge=0, lt=2**53)]
Percent = Annotated[float, Field(ge=-100, le=100)]  # a correlation may be negative


class RecordError(UserError):
    """A file of a study that is damaged, or of another version of the schema."""


def read_json(path: Path, model: type[Model], verified: Callable[[bytes], bytes] = bytes) -> Model:
    """The file as a model: types are not converted.

    Args:
        verified: returns the JSON to parse, or raises ValueError with a reason.

    Raises:
        FileNotFoundError: there is no file.
        RecordError: it cannot be read, or does not match the schema.
    """
    try:
        return model.model_validate_json(verified(path.read_bytes()), strict=True)
    except (FileNotFoundError, RecordError):
        raise
    except ValidationError as error:
        raise damaged(path, first_error(error)) from error
    except (OSError, ValueError) as error:
        raise damaged(path, getattr(error, "strerror", None) or str(error)) from error


def write_json(path: Path, content: BaseModel) -> None:
    """Replace the file in one step."""
    with atomic_write(path) as file:
        file.write(content.model_dump_json(indent=1).encode())


def damaged(path: Path, reason: object) -> RecordError:
    """The error for a file that cannot be used."""
    return RecordError(f"{path} is damaged: {reason}")


def first_error(error: ValidationError) -> str:
    """Where the first value is that does not match a schema, and what was expected."""
    detail = error.errors(include_url=False, include_input=False)[0]
    return ": ".join(filter(None, (".".join(map(str, detail["loc"])), detail["msg"])))
