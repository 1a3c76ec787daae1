"""Pairs with several features: poolers are compared within each, as if they were datasets."""

from collections.abc import Collection
from dataclasses import replace

from poolbench.runs.record import RunRecord
from poolbench.runs.study import Study, varying_settings

KEY = "pair_features"


def named_by_features(study: Study, selected: Collection[str] = ()) -> Study:
    """The study with the features in the names of its datasets, if runs differ in them.

    Features matter more than poolers, so a pooler is compared with others on the same features.
    ``selected`` are settings of which one value is selected for each pooler.
    """
    if KEY in selected or KEY not in varying_settings(study.runs):
        return study
    runs = tuple(map(_named, study.runs))
    texts = {
        (after.run.dataset, after.run.encoder): study.test_texts[place]
        for before, after in zip(study.runs, runs, strict=True)
        if (place := (before.run.dataset, before.run.encoder)) in study.test_texts
    }
    return replace(study, runs=runs, test_texts=texts)


def _named(record: RunRecord) -> RunRecord:
    features = record.run.setting(KEY)
    if features is None:  # a run without a record has no configuration
        found = [word for word in record.run.command.split() if word.startswith(f"{KEY}=")]
        features = found[-1].partition("=")[2] if found else None
    name = f"{record.run.dataset} ({features})" if features else record.run.dataset
    return record.model_copy(update={"run": record.run.model_copy(update={"dataset": name})})
