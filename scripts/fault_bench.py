"""One small sweep that is broken again and again, and what is lost or wrong afterwards."""

import contextlib
import json
import os
import sys
from pathlib import Path

import train
from poolbench.data.loaders import movie_reviews
from poolbench.runs.record import DamagedRecord, read_predictions, read_record
from scripts.sabotage import Sabotage, count_steps

GRID = ["pooler=mean,attention", "seed=0,1"]


class Bench:
    """One small sweep, its unbroken result, and the count of what went wrong since."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data.csv"
        reviews = movie_reviews("rotten_tomatoes", 1000, 2530, 0, max_examples=96)
        reviews["train"].to_pandas().to_csv(self.data, index=False)
        self.faults = self.lost = self.wrong = self.extra_steps = self.needed_steps = 0
        self.unexpected: list[str] = []
        self.reference: dict[str, str] = {}

    def command(self, output: Path, *overrides: str) -> list[str]:
        return [
            *(GRID if not any(o.startswith("pooler=") for o in overrides) else []),
            "dataset=files",
            f"dataset.train={self.data}",
            "encoder=scratch",
            "encoder.tuning=full",
            "head=mlp",
            "trainer=cpu",
            "trainer.max_epochs=3",
            "trainer.enable_progress_bar=false",
            f"output_dir={output}",
            "study=faults",
            *(["logger=none"] if not any(o.startswith("logger") for o in overrides) else []),
            *overrides,
        ]

    def start(self, output: Path, *overrides: str, sabotage: Sabotage = lambda: None) -> int:
        """The pid of a forked process that runs the sweep; its imports are paid already."""
        pid = os.fork()
        if pid:
            return pid
        log = (self.root / "log.txt").open("a")
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        code = 70
        with contextlib.suppress(BaseException):
            try:
                count_steps()
                sabotage()
                sys.argv = ["train.py", "-m", *self.command(output, *overrides)]
                code = train.main()
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 1
        os._exit(code)

    def run(self, output: Path, *overrides: str, sabotage: Sabotage = lambda: None) -> int:
        return wait(self.start(output, *overrides, sabotage=sabotage))

    def expect(self, what: str, got: int, *codes: int) -> None:
        if got not in codes:
            self.wrong += 1
            self.unexpected.append(
                f"{what}: exit code {got}, expected {' or '.join(map(str, codes))}"
            )

    def compare(self, what: str, output: Path, reference: dict[str, str] | None = None) -> None:
        """Run again until nothing is left to do, then every cell must be the unbroken one's."""
        self.faults += 1
        self.expect(f"{what}, run again", self.run(output, "retry_failed=true"), 0)
        results = digest_of(output)
        for cell, digest in (reference or self.reference).items():
            if cell not in results:
                self.lost += 1
                self.unexpected.append(f"{what}: {cell} is lost")
            elif results[cell] != digest:
                self.wrong += 1
                self.unexpected.append(f"{what}: {cell} differs")


def digest_of(output: Path) -> dict[str, str]:
    """Cell -> everything about its result that must not depend on what happened on the way."""
    results = {}
    for path in (output / "faults").rglob("record.json"):
        try:
            record = read_record(path.parent)
        except DamagedRecord:
            continue
        if record["status"] == "ok":
            figures = {k: v for k, v in record["metrics"].items() if not k.startswith("perf/")}
            kept = [figures, record["history"], record["digests"], record["test_details"]]
            logits = read_predictions(path.parent).logits.tobytes().hex()
            results[str(path.parent.relative_to(output))] = json.dumps(kept) + logits
    return results


def wait(pid: int) -> int:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code
