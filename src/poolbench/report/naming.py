"""Settings that become a part of a name: what is compared is then ``mean@3``, on ``sick (uv)``."""

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Literal

from poolbench.runs.identity import varying_settings
from poolbench.runs.record import RunRecord
from poolbench.runs.study import Study

LAYER, FEATURES = "layers.index", "pair_features"


def named_by_settings(study: Study, selected: Collection[str] = ()) -> Study:
    """The study with the features of pairs in the names of its datasets, if runs differ in them.

    Features matter more than poolers, so a pooler is compared with others on the same features. If
    runs differ in nothing else but their layer, it is in the names of the poolers. ``selected`` are
    settings of which one value is selected for each pooler.
    """
    if FEATURES in _varying(study) - {*selected}:
        runs = tuple(_named(record, "dataset", FEATURES, "{} ({})") for record in study.runs)
        texts = {
            (after.run.dataset, after.run.encoder): study.test_texts[place]
            for before, after in zip(study.runs, runs, strict=True)
            if (place := (before.run.dataset, before.run.encoder)) in study.test_texts
        }
        study = replace(study, runs=runs, test_texts=texts)
    if _varying(study) - {*selected} == {LAYER}:
        runs = tuple(_named(record, "pooler", LAYER, "{}@{}") for record in study.runs)
        study = replace(study, runs=runs)
    return study


def _varying(study: Study) -> set[str]:
    return set(varying_settings(record.run for record in study.runs))


def _named(
    record: RunRecord, name: Literal["dataset", "pooler"], key: str, style: str
) -> RunRecord:
    value = record.run.setting(key)
    if value is None:  # a run without a record has no configuration
        given = re.findall(rf"(?<=\s){re.escape(key)}=(\S+)", record.run.command)
        value = given[-1] if given else None
    if value is None:
        return record
    named: dict[str, Any] = {name: style.format(getattr(record.run, name), value)}
    return record.model_copy(update={"run": record.run.model_copy(update=named)})
