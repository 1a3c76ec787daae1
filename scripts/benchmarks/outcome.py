"""What a benchmark found: a table for people, and a file with every raw timing."""

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import machine
import torch
from rounds import ratio

from poolbench.core.io import replacing


@dataclass(frozen=True)
class Claim:
    """A figure, and what it is meant to reach.

    Attributes:
        what: in words, unit included.
        value: what was measured.
        target: None where there is none.
        at_most: the target is an upper bound, not a lower one.
    """

    what: str
    value: float
    target: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """None where there is nothing to meet."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target

    def __str__(self) -> str:
        if self.target is None:
            return f"{self.what}: {self.value:,.4g}"
        bound = "at most" if self.at_most else "at least"
        verdict = "met" if self.met else "MISSED"
        return f"{self.what}: {self.value:,.4g} (target: {bound} {self.target:g}, {verdict})"


@dataclass(frozen=True)
class Outcome:
    """One run of one benchmark.

    Attributes:
        benchmark: its name.
        settings: what was measured, in what size.
        reference: the variant that the others are held against.
        seconds: of every variant, round by round.
        claims: the figures that matter.
        notes: what a reader must know; peers that are not installed.
        details: whatever else was measured.
    """

    benchmark: str
    settings: Mapping[str, Any]
    reference: str
    seconds: Mapping[str, list[float]]
    claims: list[Claim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: Mapping[str, Any] = field(default_factory=dict)

    def table(self) -> str:
        """Median ms of each variant, and how many times the reference it takes."""
        given = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        rounds = len(self.seconds[self.reference])
        width = max(len(name) for name in self.seconds) + 2
        lines = [
            f"{self.benchmark}: {given}; {rounds} interleaved rounds",
            "",
            f"{'':{width}}{'median ms':>12}   times '{self.reference}', median (least-greatest)",
        ]
        for name, seconds in self.seconds.items():
            times = (
                "1" if name == self.reference else str(ratio(self.seconds, name, self.reference))
            )
            lines.append(f"{name:{width}}{1e3 * statistics.median(seconds):>12,.3f}   {times}")
        lines += ["", *(str(claim) for claim in self.claims), *self.notes]
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """Everything, and the machine it was measured on, as JSON."""
        ratios = {
            name: vars(ratio(self.seconds, name, self.reference))
            for name in self.seconds
            if name != self.reference
        }
        content = {
            **asdict(self),
            "ratios": ratios,
            "claims": [{**asdict(claim), "met": claim.met} for claim in self.claims],
            "machine": machine.describe(torch.device("cpu")),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(json.dumps(content, indent=1, allow_nan=False).encode())
