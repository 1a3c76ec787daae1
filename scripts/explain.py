"""Show the weight of every word in a prediction, for each pooler of a study.

    python scripts/explain.py outputs/first --text "A joy, from start to end."
    python scripts/explain.py <run> <other run> --text "A joy." --html joy.html
    python scripts/explain.py outputs/first --disagreements

The last one explains test texts on which poolers disagree, for the report of the study.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from poolbench.core.errors import UserError
from poolbench.core.io import atomic_write
from poolbench.report.explained import FAINT, disagreed, strips_page
from poolbench.report.summary import find
from poolbench.runs import explanations as stored
from poolbench.runs.record import RECORD
from poolbench.runs.study import read_study

if TYPE_CHECKING:
    from poolbench.inference.load import TrainedModel

BLOCKS = "▁▂▃▄▅▆▇█"


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 if nothing can be explained."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", help="runs, or studies")
    parser.add_argument("--text", nargs="+", default=(), help="texts to explain")
    parser.add_argument("--seed", type=int, help="of the runs of a study; default: the lowest")
    parser.add_argument("--html", type=Path, help="also write a page")
    parser.add_argument("--disagreements", action="store_true", help="explain for the report")
    options = parser.parse_args(arguments)
    if bool(options.text) == options.disagreements:
        parser.error("give --text or --disagreements")
    try:
        if options.disagreements:
            for folder in options.folders:
                explain_disagreements(folder)
        else:
            explain_texts(options.folders, options.text, options.seed, options.html)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def explain_texts(
    folders: Sequence[Path], texts: Sequence[str], seed: int | None, html: Path | None
) -> None:
    """Print the explanation of every pooler for the texts, and write a page if asked to."""
    from poolbench.inference.explain import explain

    runs = [run for folder in folders for run in runs_of(folder, seed)]
    groups = list(zip(*(explain(trained, texts) for trained in load_all(runs)), strict=True))
    if html:
        with atomic_write(html) as file:
            file.write(strips_page(texts, groups).encode())
    console = Console(highlight=False)
    for text, group in zip(texts, groups, strict=True):
        console.rule(Text(text, overflow="ellipsis", no_wrap=True), align="left")
        for explanation in group:
            console.print(*as_bars(explanation), "", sep="\n")


def explain_disagreements(folder: Path) -> None:
    """Write ``explanations.json`` for the examples that the report of a study shows."""
    from poolbench.inference.explain import explain

    study = read_study(folder)
    found: dict[tuple[str, str, int], dict[str, stored.Explanation]] = {}
    for task in find(study, study.protocol).tasks:
        wanted = disagreed(task)
        runs = [task.standing(pooler).finished[0].folder for pooler in wanted]
        for trained in load_all(runs) if task.texts else ():
            examples = sorted(wanted[trained.record.run.pooler])
            texts = [task.texts[example] for example in examples]
            for example, explanation in zip(examples, explain(trained, texts), strict=True):
                key = str(trained.record.predictions_sha256)
                found.setdefault((task.dataset, task.encoder, example), {})[key] = explanation
    if not found:
        raise UserError(f"{folder}: no two poolers disagree on texts that the study has kept")
    examples = [
        stored.ExplainedExample(
            dataset=task[0], encoder=task[1], example=example, explanations=runs
        )
        for (*task, example), runs in found.items()
    ]
    path = stored.write_explanations(folder, stored.Explanations(examples=examples))
    print(f"{len(found)} texts in {path}; to show them: python scripts/report.py {folder}")


def runs_of(folder: Path, seed: int | None) -> list[Path]:
    """The run itself; or one run for each pooler of a study, of this seed or of the lowest."""
    if (folder / RECORD).exists():
        return [folder]
    chosen: dict[tuple[str, str, str], Path] = {}
    for record in read_study(folder).finished:
        run = record.run
        if seed in (None, run.seed):
            chosen.setdefault((run.dataset, run.encoder, run.pooler), record.folder)
    if not chosen:
        raise UserError(f"{folder} contains no finished run (seed: {seed})")
    return list(chosen.values())


def load_all(folders: Sequence[Path]) -> Iterator["TrainedModel"]:
    """The trained models; one that cannot be loaded is reported and left out."""
    from poolbench.inference.load import load
    from poolbench.training.session import Session

    session, errors = Session(), []
    for folder in folders:
        try:
            yield load(folder, session)
        except UserError as error:
            errors.append(error)
            print(f"left out: {error}", file=sys.stderr)
    if len(errors) == len(folders):
        raise errors[-1]


def as_bars(explanation: stored.Explanation) -> tuple[Text, Text]:
    """A title, and the words with bars; a bar after a minus sign counts against the class."""
    title = Text.assemble(
        (explanation.pooler, "bold"),
        f"  {explanation.label} {explanation.probability:.2f}  ",
        (explanation.method, "dim"),
    )
    line = Text()
    heights = explanation.relative_weights
    for (word, _, special), height in zip(explanation.words, heights, strict=True):
        line.append(word, "dim" if special else "")
        if abs(height) >= FAINT:
            bar = BLOCKS[math.ceil(abs(height) * len(BLOCKS)) - 1]
            sign, colour = ("\N{MINUS SIGN}", "red") if height < 0 else ("", "cyan")
            line.append(sign + bar, colour)
        line.append(" ")
    return title, line


if __name__ == "__main__":
    sys.exit(main())
