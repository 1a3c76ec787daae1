"""Show the weight of every word in a prediction, for each pooler of a study.

    python scripts/explain.py outputs/first --text "A joy, from start to end."
    python scripts/explain.py <run> <other run> --text "A joy." --html joy.html
    python scripts/explain.py outputs/first --disagreements

The last one explains test texts on which poolers disagree, for the report of the study.
"""

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from poolbench.core.errors import UserError, command
from poolbench.core.io import atomic_write
from poolbench.inference.finished import check_explainable, explainable, finished_run
from poolbench.report.explained import FAINT, disagreed, strips_page
from poolbench.report.naming import named_by_settings
from poolbench.report.summary import find
from poolbench.runs import explanations as stored
from poolbench.runs.record import RECORD
from poolbench.runs.schema import write_json
from poolbench.runs.study import read_study

BLOCKS = "▁▂▃▄▅▆▇█"


@command
def main(arguments: list[str]) -> int:
    """Exit code 0, or 2 if nothing can be explained."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("folders", type=Path, nargs="+", help="runs, or studies")
    parser.add_argument("--text", nargs="+", default=(), help="texts to explain")
    parser.add_argument("--seed", type=int, help="of the runs of a study; default: the lowest")
    parser.add_argument("--html", type=Path, help="also write a page")
    parser.add_argument("--disagreements", action="store_true", help="explain for the report")
    options = parser.parse_args(arguments)
    if bool(options.text) == options.disagreements:
        parser.error("give --text or --disagreements")
    if options.text:
        runs = [run for folder in options.folders for run in runs_of(folder, options.seed)]
        explain_texts(runs, options.text, options.html)
    for folder in options.folders if options.disagreements else ():
        explain_disagreements(folder)
    return 0


def runs_of(folder: Path, seed: int | None) -> list[Path]:
    """The run itself; or one run for each pooler of a study, of this seed or of the lowest.

    Runs of a study without a class of one text are left out; UserError if there are no others.
    """
    if (folder / RECORD).exists():
        check_explainable(finished_run(folder))
        return [folder]
    finished = [r for r in read_study(folder).finished if seed in (None, r.run.seed)]
    chosen: dict[tuple[str, str, str], Path] = {}
    for record in (r for r in finished if explainable(r.task)):
        run = record.run
        chosen.setdefault((run.dataset, run.encoder, run.pooler), record.folder)
    if not chosen:
        check_explainable(*finished)
        raise UserError(f"{folder} contains no finished run (seed: {seed})")
    return list(chosen.values())


def explain_runs(wanted: Mapping[Path, Sequence[str]]) -> dict[Path, list[stored.Explanation]]:
    """The texts explained by each run; one that cannot be loaded is reported and left out."""
    from poolbench.inference.explain import explain
    from poolbench.inference.load import load
    from poolbench.training.session import Session

    session, found = Session(), {}
    for folder, texts in wanted.items():
        try:
            found[folder] = explain(load(folder, session), texts)
        except UserError as error:
            if folder == list(wanted)[-1] and not found:
                raise
            print(f"left out: {error}", file=sys.stderr)
    return found


def explain_texts(runs: Sequence[Path], texts: Sequence[str], html: Path | None) -> None:
    """Print the explanations of every run for each text, and write a page if asked to."""
    groups = list(zip(*explain_runs(dict.fromkeys(runs, texts)).values(), strict=True))
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
    study = named_by_settings(read_study(folder))
    found: dict[tuple[str, str, int], dict[str, stored.Explanation]] = defaultdict(dict)
    keys = {record.folder: str(record.predictions_sha256) for record in study.finished}
    check_explainable(*study.finished)
    tasks = find(study, study.protocol).tasks
    for task in (task for task in tasks if task.texts and explainable(task.kind)):
        wanted = {
            task.standing(p).finished[0].folder: sorted(e) for p, e in disagreed(task).items()
        }
        texts = {run: [task.texts[e] for e in examples] for run, examples in wanted.items()}
        for run, explanations in explain_runs(texts).items():
            for example, explanation in zip(wanted[run], explanations, strict=True):
                found[task.dataset, task.encoder, example][keys[run]] = explanation
    if not found:
        raise UserError(f"{folder}: no two poolers disagree on texts that the study has kept")
    examples = [
        stored.ExplainedExample(
            dataset=dataset, encoder=encoder, example=example, explanations=runs
        )
        for (dataset, encoder, example), runs in found.items()
    ]
    path = folder / stored.EXPLANATIONS
    write_json(path, stored.Explanations(examples=examples))
    print(f"{len(found)} texts in {path}; to show them: python scripts/report.py {folder}")


def as_bars(explanation: stored.Explanation) -> tuple[Text, Text]:
    """A title, and the words with bars; a bar after a minus sign counts against the class."""
    label = f"  {explanation.label} {explanation.probability:.2f}  "
    title = Text.assemble((explanation.pooler, "bold"), label, (explanation.method, "dim"))
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
