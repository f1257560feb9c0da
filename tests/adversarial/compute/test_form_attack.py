"""An integer solver against the FBI's forms as they are published: sums of lines, and columns that are parts of others.

The attacker knows every published number, that counts are whole, that zeros are published, that persons under 18 are
among the clearances of their line, and rapes of the historical definition among those of the present one.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from scipy import optimize

from cji_operations.aggregate.form_suppression import withheld
from cji_operations.aggregate.forms import FORMS

Table = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
PRINTED = [(form, line) for form in FORMS for line, _ in form.sums]
PLACE = {(form.name, line): at for at, (form, line) in enumerate(PRINTED)}
MOST = 100_000


def sheet(rng: np.random.Generator) -> Table:
    """int64[3, 1, p]: one month of an agency; numbers are small in most lines, and large in some."""
    values = np.zeros((3, 1, len(PRINTED)), np.int64)
    scale = rng.choice([2, 8, 40])
    for form in FORMS:
        for line, parts in form.sums:
            if parts != (line,):
                continue
            at = PLACE[form.name, line]
            values[:2, 0, at] = rng.poisson(rng.gamma(0.5, scale, 2))
            values[2, 0, at] = rng.binomial(values[1, 0, at], rng.choice([0, 0.1, 0.6]))
            if form.name == "rape_historical":
                present = values[0, 0, PLACE["return_a", line]] if line != "unclassifiable" else 3
                values[:, 0, at] = (rng.integers(0, present + 1), 0, 0)
    for form in FORMS:
        for line, parts in form.sums:
            if parts != (line,):
                of_parts = [PLACE[form.name, part] for part in parts]
                values[:, 0, PLACE[form.name, line]] = values[:, 0, of_parts].sum(axis=1)
    return values


def equations() -> npt.NDArray[np.float64]:
    """Of the 3 p numbers of a sheet, column by column: each line of a sum less its parts is 0."""
    rows = []
    for column in range(3):
        for form in FORMS:
            for line, parts in form.sums:
                if parts != (line,):
                    row = np.zeros((3, len(PRINTED)))
                    row[column, PLACE[form.name, line]] -= 1
                    for part in parts:
                        row[column, PLACE[form.name, part]] += 1
                    rows.append(row.ravel())
    return np.array(rows)


def parts() -> npt.NDArray[np.float64]:
    """Each row is of a number and its part: their difference is not below 0."""
    pairs = [((1, at), (2, at)) for at in range(len(PRINTED))]
    pairs += [((0, PLACE["return_a", line]), (0, PLACE["rape_historical", line])) for line in ("2", "2a", "2b")]
    rows = np.zeros((len(pairs), 3, len(PRINTED)))
    for row, (whole, part) in zip(rows, pairs, strict=True):
        row[whole], row[part] = 1, -1
    return rows.reshape(len(pairs), -1)


def bounds(values: Table, gone: Mask) -> Iterator[tuple[int, int, int]]:
    """(position, least, most) of every number that is withheld."""
    known, at = ~gone.ravel(), np.flatnonzero(gone.ravel())
    sums, whole = equations(), parts()
    fixed = -sums[:, known] @ values.ravel()[known]
    slack = -whole[:, known] @ values.ravel()[known]
    constraints = [
        optimize.LinearConstraint(sums[:, at], fixed, fixed),
        optimize.LinearConstraint(whole[:, at], slack, np.inf),
    ]
    for i, position in enumerate(at.tolist()):
        ends = []
        for sign in (1, -1):
            wanted = np.zeros(len(at))
            wanted[i] = sign
            solved = optimize.milp(
                wanted, constraints=constraints, integrality=np.ones(len(at)), bounds=optimize.Bounds(1, MOST)
            )
            assert solved.success, solved.message
            ends.append(round(sign * solved.fun))
        yield position, ends[0], ends[1]


@pytest.mark.parametrize("threshold", [3, 11])
def test_no_number_of_a_form_can_be_bounded_closely(threshold: int) -> None:
    rng = np.random.default_rng(threshold)
    attacked = 0
    for _ in range(12):
        values = sheet(rng)
        gone = withheld(PRINTED, values, threshold)
        small = (values > 0) & (values < threshold)
        assert (gone | ~small).all()
        assert not gone[values == 0].any()
        for position, least, most in bounds(values[:, 0], gone[:, 0]):
            assert most - least >= threshold - 1, (PRINTED[position % len(PRINTED)][1], least, most)
            attacked += 1
    assert attacked > 100


def test_the_attack_finds_numbers_that_nothing_else_hides() -> None:
    rng = np.random.default_rng(4)
    told = 0
    for _ in range(6):
        values = sheet(rng)
        told += sum(least == most for _, least, most in bounds(values[:, 0], (values[:, 0] > 0) & (values[:, 0] < 11)))
    assert told


def test_a_threshold_of_one_withholds_nothing() -> None:
    assert not withheld(PRINTED, sheet(np.random.default_rng(1)), 1).any()


def test_sheets_are_searched_together_as_one_by_one() -> None:
    rng = np.random.default_rng(8)
    sheets = [sheet(rng) for _ in range(40)]
    together = withheld(PRINTED, np.concatenate(sheets, axis=1), 11)
    for at, one in enumerate(sheets):
        assert np.array_equal(together[:, at], withheld(PRINTED, one, 11)[:, 0])


def test_totals_stay_where_lines_can_hide_each_other() -> None:
    """A partner inside the sum costs less than the sum, so most grand totals of larger agencies are published."""
    rng = np.random.default_rng(9)
    total, seen = PLACE["return_a", "total"], 0
    for _ in range(30):
        values = sheet(rng)
        if values[0, 0, total] > 200:
            seen += not withheld(PRINTED, values, 11)[0, 0, total]
    assert seen >= 5
