"""Classify new text with a finished cell: JSON lines out, one for each text, in their order.

    python scripts/predict.py outputs/first/rotten_tomatoes/minilm/mean/seed=0-1a2b3c4d "A joy."
    python scripts/predict.py <cell> --file reviews.txt
    python scripts/predict.py <cell> --file reviews.csv --text-column review
    tail -f reviews.txt | python scripts/predict.py <cell>

A text file and standard input hold one text a line. What has arrived is answered: neither a large
file nor a pipe that stays open holds anything back.
"""

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

from poolbench.core.errors import BadInput

AT_ONCE = 64  # texts classified together
BLOCK = 1 << 16  # bytes
LONGEST_FIELD = 1 << 30  # characters in a field of a csv file


def main(arguments: list[str] | None = None) -> int:
    """0: every text has its line; 2: it cannot be done, for the reason in one line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.texts and options.file:
        parser.error("give texts or --file, not both")
    if options.top < 1:
        parser.error(f"--top {options.top}: expected 1 or more")
    try:
        source = opened(options.file) if options.file else sys.stdin.buffer
        from poolbench.inference.load import (
            load,  # torch, which an unreadable file need not wait for
        )

        trained = load(options.cell)
        groups = [options.texts] if options.texts else grouped(source, options)
        for group in groups:
            for start in range(0, len(group), AT_ONCE):
                texts = whole_characters(group[start : start + AT_ONCE])
                scores = trained.logits(texts).double().softmax(dim=1).tolist()
                for text, probabilities in zip(texts, scores, strict=True):
                    told = answer(text, probabilities, trained.classes, options.top)
                    print(json.dumps(told, ensure_ascii=False))
                sys.stdout.flush()
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever reads has all they wanted; Python would complain when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    return 0


def answer(
    text: str, probabilities: Sequence[float], classes: Sequence[str], top: int
) -> dict[str, Any]:
    """One line of output, with the ``top`` most probable classes, best first."""
    order = sorted(range(len(classes)), key=probabilities.__getitem__, reverse=True)
    likely = {classes[i]: round(probabilities[i], 6) for i in order[:top]}
    label = classes[order[0]]
    return {
        "text": text,
        "label": label,
        "probability": likely[label],
        "probabilities": likely,
    }


def whole_characters(texts: list[str]) -> list[str]:
    """The texts as they are.

    Raises:
        BadInput: one holds half of a character, which no tokenizer takes.
    """
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BadInput(f"{text!r} is not Unicode text: {error.reason}") from error
    return texts


def opened(path: Path) -> BufferedReader:
    """The file, open.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error


def grouped(source: BufferedReader, options: argparse.Namespace) -> Iterator[list[str]]:
    """The texts of a stream in groups, each as soon as it is there.

    Raises:
        BadInput: something in it is no text.
    """
    name = str(options.file or "standard input")
    kind = options.file.suffix if options.file else ""
    arrived = lines(source, name)
    if kind in (".csv", ".tsv"):
        rows = (line + "\n" for group in arrived for line in group)
        texts = _of_csv(rows, name, options.text_column, "\t" if kind == ".tsv" else ",")
    elif kind == ".jsonl":
        texts = _of_jsonl((line for group in arrived for line in group), name, options.text_column)
    else:
        yield from arrived
        return
    while group := list(islice(texts, AT_ONCE)):
        yield group


def lines(source: BufferedReader, name: str) -> Iterator[list[str]]:
    """The lines of a stream, each time those that have arrived.

    Raises:
        BadInput: a line is not UTF-8.
    """
    rest, done = b"", 0
    while block := source.read1(BLOCK):
        *whole, rest = (rest + block).split(b"\n")
        yield [_decoded(line, done + i, name) for i, line in enumerate(whole, start=1)]
        done += len(whole)
    if rest:
        yield [_decoded(rest, done + 1, name)]


def _decoded(line: bytes, number: int, name: str) -> str:
    try:
        # Some programs begin a file with a byte order mark.
        return line.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{name}, line {number}: not UTF-8; convert the file first") from error


def _of_csv(rows: Iterable[str], name: str, column: str, delimiter: str) -> Iterator[str]:
    csv.field_size_limit(LONGEST_FIELD)
    table = csv.DictReader(rows, delimiter=delimiter, strict=True)
    try:
        columns = table.fieldnames or []
        if column not in columns:
            raise BadInput(
                f"{name} has no column '{column}', it has: {', '.join(columns)}; use --text-column"
            )
        for row in table:
            if row[column] is None:
                raise BadInput(f"{name}, line {table.line_num}: no '{column}'")
            yield row[column]
    except csv.Error as error:
        raise BadInput(f"{name}, line {table.line_num}: {error}") from error


def _of_jsonl(rows: Iterable[str], name: str, column: str) -> Iterator[str]:
    for number, row in enumerate(rows, start=1):
        if not row.strip():
            continue
        try:
            text = json.loads(row)[column]
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{name}, line {number}: no JSON object with '{column}'; see --text-column"
            ) from error
        if not isinstance(text, str):
            raise BadInput(f"{name}, line {number}: '{column}' is {text!r}, not text")
        yield text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cell", type=Path, help="folder of a finished cell, with its record.json")
    parser.add_argument("texts", nargs="*", help="texts; without any, a file or standard input")
    parser.add_argument("--file", type=Path, help="one text a line, or .csv, .tsv, .jsonl")
    parser.add_argument("--text-column", default="text", help="of a table; default: text")
    parser.add_argument("--top", type=int, default=5, help="probabilities shown; default: 5")
    return parser


if __name__ == "__main__":
    sys.exit(main())
