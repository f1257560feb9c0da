"""The search for the least loss beside one that tries everything in every round, and measures of risk by hand."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.records.column import Ints
from cji_operations.deidentify import generalisation, risk
from cji_operations.deidentify.generalisation import LOST, SUPPRESSED, Column, losses, search
from cji_operations.deidentify.people import Rows
from cji_operations.kernels.distinct import classes, codes
from tests.reference.deidentify import Values, slow_losses, slow_search, untimed

ZIP = ["12345", "12399", "12999", "54321", "54399", None]
AGE = ["20", "21", "25", "31", "38"]
SEX = ["M", "F"]


def zip_steps(value: str | None) -> Values:
    return (value, value and value[:3], value and value[:1], None)


def age_steps(value: str | None) -> Values:
    return (value, str(int(value or 0) // 10 * 10))


def sex_steps(value: str | None) -> Values:
    return (value,)


ROWS = st.lists(
    st.tuples(
        st.sampled_from(ZIP).map(zip_steps), st.sampled_from(AGE).map(age_steps), st.sampled_from(SEX).map(sex_steps)
    ),
    min_size=1,
    max_size=40,
)


def column_of(values: list[Values]) -> Column:
    """As `k_anonymity` builds it, of rows that are each a group."""
    steps = [codes(pa.array([row[step] for row in values], pa.utf8())) for step in range(len(values[0]))]
    step_codes = np.stack([code for code, _ in steps]).astype(np.int32)
    gone = np.array([[row[s] is None and row[0] is not None for row in values] for s in range(len(steps))])
    own = codes(pa.array([row[0] for row in values], pa.utf8()))[0]
    return Column(codes=step_codes, sizes=tuple(k for _, k in steps), loss=losses(step_codes, gone, own))


def found(rows: Sequence[tuple[Values, ...]], k: int) -> list[tuple[int, ...] | None]:
    columns = [column_of(list(column)) for column in zip(*rows, strict=True)]
    return taken(search(columns, Rows(rows=np.ones(len(rows), np.int64)), k))


def taken(steps: Ints) -> list[tuple[int, ...] | None]:
    return [None if SUPPRESSED in of_row else tuple(of_row) for of_row in steps.T.tolist()]


@untimed
@given(ROWS, st.integers(2, 6))
def test_each_row_takes_the_steps_that_a_full_search_finds(rows: list[tuple[Values, ...]], k: int) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    for column in columns:
        assert column_of(column).loss.T.tolist() == slow_losses(column)
    assert found(rows, k) == slow_search(columns, k)


@untimed
@given(ROWS, st.integers(2, 6))
def test_no_combination_for_all_rows_loses_less(rows: list[tuple[Values, ...]], k: int) -> None:
    """Full-domain recoding with suppression is what most tools do; its optimum bounds ours."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    loss = [slow_losses(column) for column in columns]
    all_lost = len(columns) * LOST
    ours = sum(
        all_lost if steps is None else sum(one[r][s] for one, s in zip(loss, steps, strict=True))
        for r, steps in enumerate(found(rows, k))
    )
    for steps in product(*(range(len(column[0])) for column in columns)):
        sizes = Counter(tuple(value[s] for value, s in zip(row, steps, strict=True)) for row in rows)
        whole = sum(
            sum(one[r][s] for one, s in zip(loss, steps, strict=True))
            if sizes[tuple(value[s] for value, s in zip(row, steps, strict=True))] >= k
            else all_lost
            for r, row in enumerate(rows)
        )
        assert ours <= whole


@untimed
@given(ROWS, st.integers(2, 6), st.integers(1, 3))
def test_groups_of_equal_rows_are_searched_as_their_rows_are(
    rows: list[tuple[Values, ...]], k: int, times: int
) -> None:
    columns = [column_of(list(column)) for column in zip(*rows, strict=True)]
    assert (
        taken(search(columns, Rows(rows=np.full(len(rows), times)), k))
        == found([row for row in rows for _ in range(times)], k)[::times]
    )


def test_wide_columns_are_numbered_anew_instead_of_overflowing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    rows = [(zip_steps(ZIP[a]), age_steps(AGE[b]), sex_steps(SEX[c])) for a, b, c in rng.integers(0, 2, (60, 3))]
    expected = found(rows, 5)
    monkeypatch.setattr(generalisation, "_ROOM", 3)
    monkeypatch.setattr(generalisation, "_TABLE", 0)
    assert found(rows, 5) == expected


def slow_risk(rows: list[tuple[str, str]], k: int) -> dict[str, float]:
    """Of (class, sensitive value)."""
    sizes = Counter(cls for cls, _ in rows)
    overall = {value: n / len(rows) for value, n in Counter(value for _, value in rows).items()}
    l_distinct, l_entropy, highest, t = [], [], [], []
    for cls, size in sizes.items():
        share = {value: n / size for value, n in Counter(v for c, v in rows if c == cls).items()}
        l_distinct.append(len(share))
        highest.append(max(share.values()))
        l_entropy.append(math.exp(-sum(p * math.log(p) for p in share.values())))
        t.append(sum(abs(share.get(value, 0) - q) for value, q in overall.items()) / 2)
    return {
        "rows": len(rows),
        "classes": len(sizes),
        "smallest_class": min(sizes.values()),
        "unique_rows": sum(n == 1 for n in sizes.values()),
        "rows_below_k": sum(n for n in sizes.values() if n < k),
        "highest_risk": 1 / min(sizes.values()),
        "average_risk": sum(1 / sizes[cls] for cls, _ in rows) / len(rows),
        "l_distinct": min(l_distinct),
        "l_entropy": min(l_entropy),
        "highest_share": max(highest),
        "t": max(t),
    }


@untimed
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("xyzw")), min_size=1, max_size=40))
def test_measures_of_risk_are_those_of_a_loop_over_classes(rows: list[tuple[str, str]]) -> None:
    together = classes([codes(pa.array([cls for cls, _ in rows]))], len(rows))
    values = codes(pa.array([value for _, value in rows]))[0]
    each = Rows(rows=np.ones(len(together), np.int64))
    measures = [
        *risk.of_classes("after", together, each, 3),
        *risk.of_sensitive("after", together, each, "charge", values),
    ]
    table = risk.batch(measures).to_pylist()
    expected = slow_risk(rows, 3)
    assert [row["measure"] for row in table] == list(expected)
    assert [row["value"] for row in table] == pytest.approx(list(expected.values()), abs=1e-6)
    assert {row["column"] for row in table} == {None, "charge"}
