"""How many texts were truncated is told where it matters, with the settings that read more."""

from pathlib import Path
from typing import Any

import pytest

from poolbench.report.build import findings_of
from poolbench.report.caveats import caveats
from poolbench.runs.remarks import remarks, truncation
from poolbench.training.console import print_summary
from tests.report.studies import CLEAR, reason, write_run, write_study

NO_WINDOWS = {"max_length": 128, "windows": {"size": None, "stride": None}}


def written(folder: Path, cut: int, encoder: dict[str, Any], texts: int = 2000) -> Any:
    spec = {"config": {"encoder": {"tuning": "frozen", **encoder}}}
    return write_run(folder, "mean", 0, spec=spec, data={"cut_texts": cut, "texts": texts})


@pytest.mark.parametrize(
    ("cut", "texts", "encoder", "sentence"),
    [
        (0, 2000, NO_WINDOWS, ""),
        (
            900,
            2000,
            NO_WINDOWS,
            "45 % of 2,000 texts were truncated: only their first 128 tokens were read; "
            "encoder.max_length=512 encoder.windows.size=128 reads up to 512.",
        ),
        (
            900,
            2000,
            {"max_length": 512, "windows": {"size": 128}},
            "encoder.max_length=2048 reads up to 2048",
        ),
        (
            900,
            2000,
            {"max_length": 128},
            "encoder.max_length=512 reads up to 512",
        ),  # has no windows
        (3, 2000, NO_WINDOWS, "0.1 % of 2,000 texts were truncated"),
        (900, 0, NO_WINDOWS, "900 texts were truncated"),  # of an older record
        (900, 2000, {}, "45 % of 2,000 texts were truncated."),
    ],
)
def test_the_share_and_the_fix(
    tmp_path: Path, cut: int, texts: int, encoder: dict[str, Any], sentence: str
) -> None:
    record = written(tmp_path, cut, encoder, texts)
    assert sentence in truncation(record)
    assert bool(sentence) == bool(truncation(record))


def test_more_than_a_few_are_told_in_the_answer_and_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = "20 % of 500 texts were truncated"
    data, spec = {"cut_texts": 100, "texts": 500}, {"config": {"output_dir": str(tmp_path)}}
    findings = findings_of(write_study(tmp_path / "many", CLEAR, data=data, spec=spec))
    assert reason(findings).count(sentence) == 1
    assert sum(sentence in line for line in caveats(findings)) == 1
    records = findings.study.finished
    assert print_summary([(record.run, record) for record in records])
    assert capsys.readouterr().out.count(sentence) == 1
    few = findings_of(write_study(tmp_path / "few", CLEAR, data=data | {"cut_texts": 5}))
    assert "truncated" not in reason(few)
    assert not any("truncated" in note for record in few.study.finished for note in remarks(record))
    assert sum("1.0 % of 500 texts were" in line for line in caveats(few)) == 1
