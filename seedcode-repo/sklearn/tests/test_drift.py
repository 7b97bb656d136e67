"""The population stability index of notebook 3."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drift import chart, drift, stability_index

NOISE = np.random.default_rng(3)
BEFORE = pd.Series(NOISE.normal(size=5000))


def test_the_same_rows_do_not_drift() -> None:
    assert stability_index(BEFORE, BEFORE) == 0


def test_other_rows_of_the_same_kind_hardly_drift() -> None:
    assert 0 < stability_index(BEFORE, pd.Series(NOISE.normal(size=5000))) < 0.02


@pytest.mark.parametrize(("shift", "least", "most"), [(0.2, 0.02, 0.1), (0.5, 0.2, 0.4), (3.0, 2.0, 20.0)])
def test_the_further_rows_move_the_greater_it_is(shift: float, least: float, most: float) -> None:
    assert least < stability_index(BEFORE, BEFORE + shift) < most


def test_it_is_the_sum_that_the_definition_says() -> None:
    # Two values: the deciles leave one edge, so two bins with shares 0.9 and 0.1 before, 0.5 and 0.5 now.
    before, now = pd.Series([0] * 9000 + [1] * 1000), pd.Series([0, 1] * 5000)
    assert stability_index(before, now) == pytest.approx(0.4 * np.log(0.9 / 0.5) + 0.4 * np.log(0.5 / 0.1), rel=1e-3)


def test_a_column_of_one_value_is_no_division_by_zero() -> None:
    same = pd.Series([4.0] * 100)
    assert stability_index(same, same) == 0
    assert stability_index(same, same + 1) > 1


def test_a_chart_begins_with_the_greatest_and_marks_what_is_above() -> None:
    table = pd.DataFrame({"calm": BEFORE, "wild": BEFORE})
    lines = chart(drift(table, table.assign(wild=BEFORE + 1)), 0.2).splitlines()
    assert [line.split()[0] for line in lines] == ["wild", "calm"]
    assert lines[0].endswith("█  above 0.2") and lines[1].split() == ["calm", "0.000"]
