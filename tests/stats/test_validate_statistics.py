"""The protocol tested on itself with few studies; the script does it with many."""

import numpy as np
import pytest
from statistics_checks import CHECKS
from statistics_simulation import ALPHA, row, tables
from validate_statistics import main


@pytest.mark.parametrize("studies", [30, pytest.param(400, marks=pytest.mark.slow)])
def test_error_rates_stay_within_their_limits_and_naive_ones_do_not(studies: int) -> None:
    rows = [
        r
        for name, check in CHECKS.items()
        if name != "advice"
        for r in check(np.random.default_rng([1, *name.encode()]), studies)
    ]
    checked = [r for r in rows if r.limit is not None]
    assert len(checked) > 30
    assert [(r.what, r.setting, r.rate) for r in checked if r.exceeds] == []
    worst: dict[str, float] = {}
    for r in rows:
        if r.what.startswith("naive"):
            worst[r.what] = max(r.rate, worst.get(r.what, 0.0))
    assert len(worst) == 6
    assert min(worst.values()) > 2 * ALPHA


def test_a_rate_over_its_limit_is_marked() -> None:
    over = row("A/A", "mixed", 5, np.ones(100), 0.05)
    assert over.exceeds
    assert "**exceeds**" in tables([over])
    assert not row("A/A", "mixed", 5, np.zeros(100), 0.05).exceeds


@pytest.mark.slow
def test_the_advice_gives_the_promised_power() -> None:
    rows = list(CHECKS["advice"](np.random.default_rng(2), 100))
    advised = [r.rate for r in rows if r.what.startswith("power")]
    assert len(advised) == 6
    # Four standard errors of 100 simulated studies; the components come from pilot studies.
    assert all(0.64 < rate < 0.96 for rate in advised)


def test_the_command_prints_both_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--studies", "10", "--only", "false positives", "least favourable mix"]) == 0
    printed = capsys.readouterr().out
    assert "| A/A, one pair | 5 |" in printed
    assert "| A/A, one pair | least favourable mix | 5 |" in printed
    assert " rates checked, 0 over the limit" in printed
