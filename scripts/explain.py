"""What did it pool? The weight of every word, for each pooler of a study side by side.

    python scripts/explain.py outputs/first --text "A joy, from start to end."
    python scripts/explain.py <cell> <other cell> --text "A joy." --html joy.html
    python scripts/explain.py outputs/first --disagreements

The last one explains the test texts on which poolers disagree, for the report of the study.
"""

import argparse
import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from poolbench.core.errors import BadInput
from poolbench.core.io import replacing
from poolbench.report.build import findings_of
from poolbench.report.explained import (
    FAINT,
    Explained,
    Strip,
    disagreed,
    strips_page,
    write_explained,
)
from poolbench.runs.record import RECORD
from poolbench.runs.study import read_study

if TYPE_CHECKING:
    from poolbench.inference.load import Trained

BLOCKS = "▁▂▃▄▅▆▇█"


def main(arguments: list[str] | None = None) -> int:
    """0: done; 2: it cannot be done, for the reason in one line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if bool(options.text) == options.disagreements:
        parser.error("give --text or --disagreements")
    try:
        if options.disagreements:
            for study in options.folders:
                explain_disagreements(study)
        else:
            explain_texts(options)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever reads has all they wanted; Python would complain when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def explain_texts(options: argparse.Namespace) -> None:
    """Print what every pooler takes from the texts, and write the page where one is asked for.

    Raises:
        BadInput: no cell can be loaded, or the page cannot be written.
    """
    from poolbench.inference.explain import explain

    folders = [cell for folder in options.folders for cell in cells_of(folder, options.seed)]
    by_pooler = [explain(trained, options.text) for trained in loaded(folders)]
    groups = list(zip(*by_pooler, strict=True))
    if options.html:
        try:
            with replacing(options.html) as file:
                file.write(strips_page(options.text, groups).encode())
        except OSError as error:
            raise BadInput(f"cannot write {options.html}: {error.strerror}") from error
    console = Console(highlight=False)
    for text, group in zip(options.text, groups, strict=True):
        console.rule(Text(text, overflow="ellipsis", no_wrap=True), align="left")
        for strip in group:
            console.print(head(strip), written(strip), "", sep="\n")
    if options.html:
        print(options.html)


def explain_disagreements(study: Path) -> None:
    """Write ``explained.json`` of a study.

    Raises:
        BadInput: no study, no test texts, or no cell that can be loaded.
    """
    from poolbench.inference.explain import explain

    findings = findings_of(study)
    strips: dict[tuple[str, str, int], dict[str, Strip]] = {}
    for task in findings.tasks:
        wanted = disagreed(task, findings.protocol.reference)
        if task.texts is None or not wanted:
            continue
        folders = [study / task.standing(pooler).finished[0].folder for pooler in wanted]
        for trained in loaded(folders):
            examples = sorted(wanted[trained.record["cell"]["pooler"]])
            found = explain(trained, [task.texts[example] for example in examples])
            for example, strip in zip(examples, found, strict=True):
                key = task.dataset, task.encoder, example
                strips.setdefault(key, {})[trained.record["checksum"]] = strip
    if not strips:
        raise BadInput(f"{study}: there are no two poolers that disagree on texts it has kept")
    path = write_explained(study, Explained(strips))
    print(f"{len(strips)} texts in {path}; the report shows them: python scripts/report.py {study}")


def cells_of(folder: Path, seed: int | None) -> list[Path]:
    """The cell itself, or of each pooler below the folder one: the asked seed, else the lowest.

    Raises:
        BadInput: there is no finished cell.
    """
    if (folder / RECORD).exists():
        return [folder]
    chosen: dict[tuple[str, str, str], Path] = {}
    for cell in read_study(folder).cells:
        if cell.ok and seed in (None, cell.seed):
            chosen.setdefault((cell.dataset, cell.encoder, cell.pooler), folder / cell.folder)
    if not chosen:
        asked = "" if seed is None else f" with seed {seed}"
        raise BadInput(f"{folder} holds no finished cell{asked}")
    return list(chosen.values())


def loaded(folders: Sequence[Path]) -> Iterator["Trained"]:
    """The cells, one after another; one that cannot be loaded is named and left out.

    Raises:
        BadInput: none can be loaded.
    """
    from poolbench.inference.load import load

    failed = 0
    for folder in folders:
        try:
            trained = load(folder)
        except BadInput as error:
            failed += 1
            if failed == len(folders):
                raise
            print(f"left out: {error}", file=sys.stderr)
        else:
            yield trained


def head(strip: Strip) -> Text:
    """The pooler, what it predicts, and what its weights are."""
    return Text.assemble(
        (strip.pooler, "bold"), f"  {strip.label} {strip.probability:.2f}  ", (strip.how, "dim")
    )


def written(strip: Strip) -> Text:
    """The words, each with its bar; a bar after a minus sign speaks against the class."""
    line = Text()
    for word, special, height in zip(strip.words, strip.special, strip.heights, strict=True):
        line.append(word, "dim" if special else "")
        if abs(height) >= FAINT:
            bar = BLOCKS[math.ceil(abs(height) * len(BLOCKS)) - 1]
            line.append(
                f"\N{MINUS SIGN}{bar}" if height < 0 else bar, "red" if height < 0 else "cyan"
            )
        line.append(" ")
    return line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", help="cells, or studies")
    parser.add_argument("--text", nargs="+", default=(), help="texts to explain")
    parser.add_argument("--seed", type=int, help="of a study's cells; default: the lowest")
    parser.add_argument("--html", type=Path, help="write a page too")
    parser.add_argument(
        "--disagreements", action="store_true", help="explain what the report of a study shows"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
