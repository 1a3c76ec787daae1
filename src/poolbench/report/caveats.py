"""What a reader must know besides the answer: cells without a result, and limits."""

from collections.abc import Iterator

from poolbench.report.contract_table import broken
from poolbench.report.controls import control
from poolbench.report.narrative import written_level
from poolbench.report.summary import Findings, Task
from poolbench.runs.pooler_cost import POOLER_COST, benchmark_command
from poolbench.runs.study import StudyCell, varying
from poolbench.stats.verdict import Word, counted


def missing(findings: Findings) -> list[str]:
    """Cells without a result, one line for each kind and pooler."""
    told = []
    for status in ("missing", "failed", "diverged", "damaged"):
        cells = [cell for cell in findings.study.cells if cell.status == status]
        groups: dict[tuple[str, str, str], list[StudyCell]] = {}
        for cell in cells:
            groups.setdefault((cell.pooler, cell.dataset, cell.encoder), []).append(cell)
        for (pooler, dataset, encoder), group in groups.items():
            seeds = ", ".join(str(cell.seed) for cell in group)
            plural = "s" if len(group) > 1 else ""
            error = next((f": {cell.error}" for cell in group if cell.error), "")
            told.append(f"{status}: {pooler} on {dataset} x {encoder}, seed{plural} {seeds}{error}")
    return told


def caveats(findings: Findings) -> list[str]:
    """What limits the conclusions, in whole sentences."""
    study, protocol = findings.study, findings.protocol
    cells = [cell for cell in study.cells if cell.record]
    told = list(findings.notes)
    keys = [] if findings.selection else varying(cells)
    if keys:
        told.append(
            f"Cells of one pooler and seed differ in {', '.join(keys)}: choose among them on "
            f"validation with --select {' '.join(keys)}."
        )
    told += list(dict.fromkeys(c for cell in cells for c in cell.record.get("caveats") or ()))
    for task in findings.tasks:
        told += [*_winning_controls(task), *_broken_lines(task), *_still_rising(task)]
    tunings = {str(cell.setting("encoder.tuning")) for cell in cells}
    if "frozen" in tunings:
        told.append(
            "The encoder was frozen: the ranking is of poolers on fixed token states. Where the "
            "encoder learns too (encoder.tuning=full), it may be another one."
        )
    if "full" in tunings:
        told.append("Encoder, pooler and head were trained together (encoder.tuning=full).")
    told.append(_looks(findings))
    if findings.selection is None:
        told.append(
            "All poolers were trained with the same settings, which may suit some better than "
            "others. For equal tuning sweep a key and use --select."
        )
    if findings.costs.damage:
        told.append(
            f"{POOLER_COST} is damaged ({findings.costs.damage}): no pooler times are shown. Make "
            f"it again: {benchmark_command(study.folder)}"
        )
    told.append(
        "Training speed (examples/s) is that of the whole training loop and indicative: timings "
        "of different runs on a shared machine are not comparable."
    )
    cut = {int((cell.record.get("data") or {}).get("cut_texts") or 0) for cell in cells}
    if max(cut, default=0):
        told.append(f"Up to {max(cut):,} texts were longer than encoder.max_length and were cut.")
    if study.unplanned:
        told.append(
            f"{counted(len(study.unplanned), 'record')} here belong to no declared cell "
            f"(first: {study.unplanned[0]}); they are part of this report."
        )
    if protocol.metric == "f1_macro":
        told.append(
            "Differences in macro-F1 are of jackknife pseudo-values, which may differ from the "
            "difference of the shown means in the last digit."
        )
    return told


def _looks(findings: Findings) -> str:
    judged = [c for task in findings.tasks for c in task.pairs if c.word is not Word.NONE]
    planned = ", ".join(map(str, findings.protocol.looks))
    if not judged:
        return f"Looks were planned at {planned} seeds; none has been taken with a verdict."
    told = []
    for seeds in sorted({len(c.seeds) for c in judged}):
        c = next(c for c in judged if len(c.seeds) == seeds)
        if c.exploratory:
            told.append(f"{seeds} seeds are not among the planned looks ({planned}): exploratory")
        else:
            look = f"look {c.looks.index(seeds) + 1} of {len(c.looks)} ({planned} seeds)"
            told.append(f"tested at {seeds} seeds, {look}, at level {written_level(c)}")
    told[0] = told[0][0].upper() + told[0][1:]
    return "; ".join(told) + "."


def _winning_controls(task: Task) -> Iterator[str]:
    """Controls that beat a pooler, whether after Holm over the reference's pairs or over all."""
    for s in task.standings:
        if control(s.pooler) is None:
            continue
        won = {c.second for c in task.against if c.first == s.pooler and c.word.wins}
        won |= {c.second for c in task.pairs if c.first == s.pooler and c.word.wins}
        won |= {c.first for c in task.pairs if c.second == s.pooler and c.word.loses}
        beaten = [other.pooler for other in task.candidates if other.pooler in won]
        if beaten:
            yield (
                f"The control {s.pooler} beats {', '.join(beaten)} on {task.name}. It is not "
                "recommended for that; find out why before you use a pooler that loses to it."
            )


def _broken_lines(task: Task) -> Iterator[str]:
    for s in task.candidates:
        for name, line in broken(s).items():
            yield f"{s.pooler} on {task.name} breaks {name} of its contract: {line.promise}."


def _still_rising(task: Task) -> Iterator[str]:
    """Poolers that most often were best in the last epoch they were allowed."""
    rising = [
        s.pooler
        for s in task.candidates
        if 2 * sum(map(_best_at_the_end, s.finished)) > len(s.finished)
    ]
    if rising:
        yield (
            f"Still better with every epoch on {task.name} when the epochs were over: "
            f"{', '.join(rising)}. With more of them (trainer.max_epochs) the ranking may change."
        )


def _best_at_the_end(cell: StudyCell) -> bool:
    accuracies = [epoch.get("val/accuracy") or 0.0 for epoch in cell.record.get("history") or ()]
    allowed = cell.setting("trainer.max_epochs")
    return len(accuracies) == allowed != 1 and accuracies[-1] > max(accuracies[:-1])
