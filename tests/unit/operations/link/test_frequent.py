"""Values far too frequent for their column are missing and their rows partly used; other frequent values stay."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

from cji_core.operations.link import Key, Link, Rule
from cji_core.operations.status_codes import ValueCode
from cji_operations.link.frequent import sampled, too_frequent
from cji_operations.link.linkage import admit
from tests.reference.link import people
from tests.support.in_parts import assert_same_bytes
from tests.support.link_tools import given_model, linked
from tests.unit.operations.link.test_missing import crowd

Rows = dict[str, list[str | None]]


def _planted(rows: Rows, seed: int = 1, **shares: tuple[str, float]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Plant a value in a share of a column's rows, and say in which."""
    rng, n, found = np.random.default_rng(seed), len(rows["last"]), []
    for name, (value, share) in shares.items():
        found.append(rng.choice(n, int(n * share), replace=False))
        for row in found[-1]:
            rows[name][row] = value
    return np.unique(np.concatenate(found))


def _frequent(rows: Rows, parameters: Link | None = None) -> dict[str, int]:
    """By column: how many values are too frequent."""
    batch, parameters = people(**rows), parameters or Link()
    job = admit([batch], batch.schema, parameters)
    found = too_frequent(sampled(job.table, batch.num_rows, parameters))
    assert not found  # they are missing in the table
    return {name: len(places) for name, places in job.rows.placeholders.items()}


def _precision(rows: Rows, persons: int) -> float:
    pairs = linked(people(**rows)).report.pairs
    matches = pairs.from_weight(np.log2(9))
    n = len(rows["last"])
    person = np.concatenate([np.arange(persons), np.arange(n - persons)])
    return float((person[matches.left] == person[matches.right]).mean())


def test_a_value_of_far_too_many_is_a_placeholder() -> None:
    rows = crowd(2_000)
    where = _planted(rows, DOB=("19700707", 0.03), SOC=("212121212", 0.02))
    found = linked(people(**rows))
    partly = found.status.rows[found.status.codes == ValueCode.PLACEHOLDER]
    assert np.unique(partly).tolist() == where.tolist()


def test_pairs_that_only_a_frequent_value_makes_are_no_matches() -> None:
    rows = crowd(2_000)
    del rows["address_1"]
    _both(rows)
    assert _precision(rows, 2_000) > 0.99


def test_the_default_row_of_a_form_has_both() -> None:
    rows = crowd(2_000)
    _both(rows)
    assert _frequent(rows) == {"DOB": 61, "SOC": 61}


def _both(rows: Rows) -> None:
    """Both values in the same rows."""
    for row in range(0, 2_000, 33):
        rows["DOB"][row], rows["SOC"][row] = "19700707", "212121212"


def _usual(rows: Rows) -> None:
    """Nothing more."""


def _one_person(rows: Rows) -> None:
    """300 rows, whose surname and date are mistyped in every third."""
    rng = np.random.default_rng(7)
    rows["last"] += [f"SMI{chr(65 + i % 26)}{chr(65 + i % 25)}" if i % 3 == 0 else "SMITH" for i in range(300)]
    rows["DOB"] += [f"19{50 + int(rng.integers(40))}0{1 + i % 9}11" if i % 3 == 0 else "19640229" for i in range(300)]
    rows["first"] += ["JOHN"] * 300
    rows["SOC"] += ["212456789"] * 300
    rows["address_1"] += [f"{i} Oak Street" for i in range(300)]


def _aliases(rows: Rows) -> None:
    """A number with twenty surnames and dates, and 300 rows."""
    for name, values in (
        ("last", [f"ALIAS{chr(65 + i % 20)}" for i in range(300)]),
        ("DOB", [f"19600{1 + i % 2}{10 + i % 10}" for i in range(300)]),
        ("first", ["JOHN"] * 300),
        ("SOC", ["212456789"] * 300),
        ("address_1", [f"{i} Oak Street" for i in range(300)]),
    ):
        rows[name] += values


def _years(rows: Rows, step: int = 1) -> None:
    """Dates that are known by their year alone."""
    rows["DOB"] = [f"{day[:4]}0101" if row % step == 0 else day for row, day in enumerate(map(str, rows["DOB"]))]


def _some_years(rows: Rows) -> None:
    """Every fourth of them."""
    _years(rows, 4)


def _tens(rows: Rows) -> None:
    """Ages in tens: the first of January of every tenth year, in a third of the rows."""
    rows["DOB"] = [f"{day[:3]}00101" if row % 3 == 0 else day for row, day in enumerate(map(str, rows["DOB"]))]


def _last_four(rows: Rows) -> None:
    """Social Security numbers without their first five digits."""
    rows["SOC"] = [f"XXXXX{int(str(number)[-2:]):04d}" for number in rows["SOC"]]


def _few_dates(rows: Rows) -> None:
    """A birthday for each of forty groups, one of which has most rows."""
    rows["DOB"] = [f"19800{1 + row % 4}{10 + row % 10}" if row % 2 else "19800509" for row in range(len(rows["last"]))]


def _one_surname(rows: Rows) -> None:
    rows["last"] = ["SMITH" if row % 5 == 0 else name for row, name in enumerate(rows["last"])]


@pytest.mark.parametrize(
    "change", [_usual, _one_person, _aliases, _years, _some_years, _tens, _last_four, _few_dates, _one_surname]
)
def test_what_is_frequent_for_another_reason_stays(change: Callable[[Rows], None]) -> None:
    rows = crowd(4_000)
    change(rows)
    assert _frequent(rows) == {}


def test_a_few_hundred_rows_have_none() -> None:
    rows = crowd(150)
    _planted(rows, DOB=("19700707", 0.1), SOC=("212121212", 0.1))
    assert _frequent(rows) == {}


def test_a_first_of_january_far_above_others_is_one() -> None:
    rows = crowd(4_000)
    _some_years(rows)
    _planted(rows, DOB=("19700101", 0.15))
    assert _frequent(rows).keys() == {"DOB"}


def _halves(rows: Rows, at: int) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    whole = people(**rows)
    return whole.slice(0, at), whole.slice(at)


@pytest.mark.parametrize("parameters", [Link(), Link(record="SID", separators={"SOC": ";"}, never_differ=("SOC",))])
@pytest.mark.parametrize("linking", [False, True])
def test_in_parts_they_are_the_same(parameters: Link, *, linking: bool) -> None:
    rows = crowd(800)
    _planted(rows, DOB=("19700707", 0.04), SOC=("212121212", 0.04))
    rows["SID"] = [f"A{row % 1_150}" for row in range(1_200)]
    rows["SOC"] = [f"{value};212121212" if row % 50 == 0 else value for row, value in enumerate(rows["SOC"])]
    records, side = _halves(rows, 700)
    if not linking:
        records, side = people(**rows), None
    assert_same_bytes(records, parameters, [100, 500], side=side, rows_of_task=400)
    job = admit([records], records.schema, parameters, side=None if side is None else [side])
    assert {"DOB"} <= job.rows.placeholders.keys()


def test_of_a_large_table_a_sample_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_operations.link.frequent.SAMPLE", 1_000)
    rows = crowd(3_000)
    _planted(rows, DOB=("19700707", 0.2))
    batch = people(**rows)
    job = admit([batch], batch.schema, Link())
    assert len(job.rows.placeholders["DOB"]) == 900
    assert_same_bytes(batch, Link(), [100, 1_000], rows_of_task=1_000)


def test_rules_are_left_out_by_the_whole_table() -> None:
    """Whether a rule has too many pairs is known before values are too frequent."""
    rows = crowd(1_000)
    _planted(rows, DOB=("19700707", 0.05))
    rules = (Rule(keys=(Key(column="DOB"),), most_pairs=2_000), Rule(keys=(Key(column="last"), Key(column="first"))))
    parameters = Link(model=replace(given_model(0.9, 0.01), blocking=rules))
    batch = people(**rows)
    assert_same_bytes(batch, parameters, [100, 1_000], rows_of_task=400)
    job = admit([batch], batch.schema, parameters)
    assert job.blocking.rules[0].counted.left_out
    assert job.rows.placeholders.keys() == {"DOB"}
