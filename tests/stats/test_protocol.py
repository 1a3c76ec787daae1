"""The protocol tested on itself, in small: `scripts/validate_statistics.py` does it in full."""

import numpy as np
import pytest
from statistics_checks import ALPHA, CHECKS
from statistics_rates import Row, tables


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    small = {name: check for name, check in CHECKS.items() if name != "advice"}
    return [
        row
        for number, check in enumerate(small.values())
        for row in check(np.random.default_rng([1, number]), 400)
    ]


def test_error_rates_stay_within_their_limits(rows: list[Row]) -> None:
    checked = [row for row in rows if row.limit is not None]
    assert len(checked) > 30
    assert [(row.what, row.setting, row.rate) for row in checked if row.exceeds] == []


def test_naive_procedures_do_not(rows: list[Row]) -> None:
    worst = {
        what: max(row.rate for row in rows if row.what == what)
        for what in {row.what for row in rows if row.what.startswith("naive")}
    }
    assert len(worst) == 5
    assert all(rate > 2 * ALPHA for rate in worst.values())


def test_a_rate_over_its_limit_is_marked() -> None:
    over = Row.share("A/A", "mixed", 5, np.ones(100), 0.05)
    assert over.exceeds
    assert "**exceeds**" in tables([over])
    assert not Row.share("A/A", "mixed", 5, np.zeros(100), 0.05).exceeds


def test_the_advised_seeds_give_the_power_they_promise() -> None:
    rows = list(CHECKS["advice"](np.random.default_rng(2), 100))
    advised = [row.rate for row in rows if "at alpha/5" in row.setting]
    assert len(advised) == 3
    # Four standard errors of 100 simulated studies, and the components come from a pilot.
    assert all(0.64 < rate < 0.96 for rate in advised)
