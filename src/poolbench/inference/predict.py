"""Read texts and predict their class, their labels or their score.

This module does not import torch: a file that cannot be read is reported at once.
"""

from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolbench.core.errors import UserError

if TYPE_CHECKING:
    from poolbench.inference.load import TrainedModel

GROUP = 64  # texts
BLOCK = 1 << 16  # bytes


def predict(trained: "TrainedModel", texts: Sequence[str], top: int) -> Iterator[dict[str, Any]]:
    """For each text its score, or its label or labels and the ``top`` most probable classes.

    The most probable one is first. Of several labels those more probable than 1/2 are predicted.

    Raises:
        UserError: a text contains half a surrogate pair, which no tokenizer accepts; or the task
            needs two texts.
    """
    for start in range(0, len(texts), GROUP):
        group = texts[start : start + GROUP]
        try:
            "".join(group).encode()
        except UnicodeEncodeError as error:
            raise UserError(f"not Unicode text: {error}") from error
        outputs = trained.logits(group).double()
        if trained.record.task == "regression":
            for text, (score,) in zip(group, outputs.tolist(), strict=True):
                yield {"text": text, "score": float(f"{score:.7g}")}  # the digits of float32
            continue
        values, places = trained.probabilities(outputs).sort(dim=1, descending=True)
        for text, of, classes in zip(group, values.tolist(), places.tolist(), strict=True):
            found = {trained.classes[c]: round(p, 6) for c, p in zip(classes, of, strict=True)}
            label, probability = next(iter(found.items()))
            answer: dict[str, Any] = {"label": label, "probability": probability}
            if trained.record.task == "multilabel":
                answer = {"labels": list(found)[: sum(p > 0.5 for p in of)]}
            yield {"text": text, **answer, "probabilities": dict([*found.items()][:top])}


def read_file(path: Path, column: str = "text") -> list[str]:
    """The texts of a file: a column of a table as in ``data/tables.py``, or the lines of others.

    Raises:
        UserError: the file cannot be read, is not UTF-8, or a row has no text in ``column``.
    """
    from poolbench.data import tables  # which takes a second

    if tables.file_type(path) in tables.READERS:
        texts: list[str] = tables.read_table(path, [column]).columns[column]
        for row, text in enumerate(texts, 1):
            if not isinstance(text, str):
                raise UserError(f"{path}, row {row}: no text in {column!r}: set --text-column")
        return texts
    try:
        content = _decode(path.read_bytes(), str(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    return _lines(content) if content else []


def read_stream(stream: BufferedReader) -> Iterator[list[str]]:
    """The lines of a stream, in groups of those that have arrived: an open pipe delays none.

    Raises:
        UserError: a line is not UTF-8.
    """
    rest, line = b"", 1
    while block := stream.read1(BLOCK):
        arrived, newline, rest = (rest + block).rpartition(b"\n")
        if newline:
            yield _lines(_decode(arrived + newline, "standard input", line))
            line += 1 + arrived.count(b"\n")
    if rest:
        yield _lines(_decode(rest, "standard input", line))


def _lines(content: str) -> list[str]:
    return content.replace("\r\n", "\n").removesuffix("\n").split("\n")


def _decode(content: bytes, name: str, line: int = 1) -> str:
    try:
        # A file may start with a byte order mark.
        return content.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line += content.count(b"\n", 0, error.start)
        raise UserError(f"{name}, line {line}: not UTF-8; convert it first") from error
