"""Fixtures that several tests share: small, but with real text and real weights."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jaxtyping
import numpy as np
import pytest
import torch

from poolbench.core.errors import UserError
from poolbench.encoders.toy import ScratchEncoder
from poolbench.runs.identity import RunSpec
from poolbench.runs.record import RunRecord, read_record

if TYPE_CHECKING:
    from poolbench.training.session import Session

ROOT = Path(__file__).parents[1]
# A machine with a GPU may lack them: the tests that need it run without.
LACKING = [p for p in ("hydra", "datasets", "wandb") if importlib.util.find_spec(p) is None]

# The suite runs in two processes: more threads would only wait for each other.
torch.set_num_threads(1)

SMALL = [
    "logger=none",
    "certify=false",
    "measure=false",
    "dataset.max_examples=64",
    "trainer=cpu",
    "trainer.max_epochs=2",
    "trainer.enable_progress_bar=false",
]
# Of a trainer of Lightning alone: nothing is written or printed.
QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
TINY = ["encoder=scratch", "encoder.layers=1", "encoder.max_length=32"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``-m gpu`` and without all packages, only files with such tests are imported."""
    if LACKING and config.option.markexpr == "gpu" and collection_path.suffix == ".py":
        return "mark.gpu" not in collection_path.read_text() or None
    return None


@pytest.fixture
def scratch_encoder() -> ScratchEncoder:
    return make_scratch()


def make_scratch(**changed: Any) -> ScratchEncoder:
    """A small transformer with random weights; others than the defaults may be given."""
    knobs = {"vocab_size": 512, "max_positions": 64, "max_length": 32} | changed
    return ScratchEncoder(**knobs).eval()


@pytest.fixture
def no_shape_checks() -> Iterator[None]:
    """A shape check reads sizes: it cannot be traced, and makes them constants of a graph."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def session() -> "Session":
    """One session for all tests: data and encoders are loaded once."""
    from poolbench.training.session import Session

    return Session()


@pytest.fixture(scope="session")
def shared_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One output folder for all tests: hidden states are computed once."""
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture
def run(session: "Session", shared_output: Path) -> Callable[..., RunRecord]:
    """Train one small run on real text and return its record; errors are raised as they are."""
    from poolbench.training.run import train_run

    def run(*overrides: str) -> RunRecord:
        (spec,) = plan(shared_output, *overrides, session=session)
        train_run(spec, session)
        return read_record(spec.folder)

    return run


def plan(output: Path, *overrides: str, session: "Session | None" = None) -> list[RunSpec]:
    """The specs of a small command, checked and planned as ``train.py`` does it."""
    from poolbench.training import sweep
    from poolbench.training.launch import compose_runs
    from poolbench.training.session import Session

    requests = compose_runs(*SMALL, f"output_dir={output}", *overrides)
    return sweep.plan(requests, session or Session())


def train(specs: list[RunSpec], session: "Session | None" = None) -> bool:
    """Declare and train runs as ``train.py`` does it; whether every run has a result."""
    from poolbench.training import console, sweep
    from poolbench.training.session import Session

    sweep.declare_runs(specs)
    sweep.run_all(specs, session or Session())
    return console.print_summary([(spec, sweep.existing_record(spec)) for spec in specs])


def logits(record: RunRecord) -> np.ndarray:
    return record.predictions.outputs


def curves(record: RunRecord) -> list[dict[str, float]]:
    """The history of a run without what a clock says."""
    return [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in record.history]


def rejection(action: Callable[[], object]) -> str:
    """The message of the UserError that an action ends with; it is one line."""
    with pytest.raises(UserError) as rejected:
        action()
    assert "\n" not in str(rejected.value)
    return str(rejected.value)


def works(action: Callable[[], object]) -> bool:
    """Whether an action works; if not, it ends in a UserError of one line."""
    try:
        action()
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return False
    return True


def scored_pairs(folder: Path) -> Path:
    """A file of scored pairs."""
    words = ["a", "film", "is", "long", "and", "slow", "but", "never", "dull", "or", "cold"]
    rows = [
        (f"{' '.join(words[: i % 9 + 1])} {i}", " ".join(words[i % 7 :]), i % 5) for i in range(99)
    ]
    path = folder / "pairs.csv"
    path.write_text("text_a,text_b,score\n" + "".join(f"{a},{b},{s}\n" for a, b, s in rows))
    return path
