"""A study whose files contain every field that a study can contain."""

from pathlib import Path

from poolbench.runs.explanations import (
    EXPLANATIONS,
    ExplainedExample,
    Explanation,
    Explanations,
)
from poolbench.runs.record import read_record
from poolbench.runs.schema import write_json
from tests.report.studies import declare, keep_texts, spec_of, write_run
from tests.robustness.mutations import EXAMPLES, RUN

PUBLISHED = {
    "source": "Somebody (2020)",
    "dataset": "reviews",
    "encoder": "tiny",
    "seeds": 5,
    "values": [{"pooler": "conv", "value": 80.0, "low": 1.0, "settings": {"optimizer.lr": 0.1}}],
    "deviations": ["none"],
}


def write_whole_study(folder: Path) -> Path:
    """Two poolers at five seeds, a failed run, kept texts and explanations."""
    config = {
        "optimizer": {"lr": 0.1, "_target_": "torch.optim.AdamW"},
        "trainer": {"max_epochs": 3},
        "encoder": {"tuning": "full", "layers": [1, 2]},
        "dataset": {"max_examples": None},
        "pooler": {"channels": 8},
    }
    line = {"promise": "padding does not count", "deviation": 1e-7, "limit": 1e-5, "kept": True}
    data = keep_texts(folder, [f"text {i}" for i in range(EXAMPLES)])
    specs = []
    for pooler, accuracy in (("cls", 0.6), ("conv", 0.9)):
        for seed in range(5):
            record = write_run(
                folder,
                pooler,
                seed,
                accuracy,
                spec={"config": config},
                examples=EXAMPLES,
                data=data,
                certificate={"T2": line},
                notes=["a note"],
                logger=("csv", "somewhere"),
                digests={"order": ["o"], "tokens": "t", "test_ids": "i", "code": "c", "data": "d"},
                hardware={"device": "CPU", "threads": 1, "attention": "eager"},
                revision={"commit": "a" * 40, "modified": False},
                versions={"python": "3.11"},
                step_input="tokens",
                test_details={"f1": [0.5, 0.6], "confusion": [[1, 2], [3, 4]]},
            )
            specs.append(record.run)
    write_run(folder, "max", 0, status="failed", failure_log="failure.log")
    declare(folder, [*specs, spec_of(folder, "max", 0)], reference="cls", published=PUBLISHED)
    sha = str(read_record(folder / RUN).predictions_sha256)
    told = Explanation(
        pooler="conv", method="m", label="x", probability=0.5, words=[("a", -0.2, True)]
    )
    wrong = [
        ExplainedExample(dataset="reviews", encoder="tiny", example=i, explanations={sha: told})
        for i in range(EXAMPLES)
    ]
    write_json(folder / EXPLANATIONS, Explanations(examples=wrong))
    return folder
