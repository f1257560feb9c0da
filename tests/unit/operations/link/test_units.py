"""Records of several rows, cells of several values, sources, and equal rows."""

import resource
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

from cji_core.errors import Reason
from cji_core.format.records import Status
from cji_core.operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
from cji_core.operations.link.declaration import Code
from cji_operations.link import Linked, link
from cji_operations.link import copies as listing
from cji_operations.link.units import EQUAL, MOST
from tests.reference.link import ignore, people
from tests.support.link_tools import linked, part
from tests.support.refusals import refused


def _comparison(column: str, m: float = 0.9, u: float = 0.001) -> Comparison:
    same = Level(label="the same", conditions=(Condition(column=column),), m=m, u=u)
    return Comparison(name=column, levels=(same, Level(label="different", m=1 - m, u=1 - u)))


def _rules(*texts: str) -> tuple[Rule, ...]:
    return tuple(Rule(keys=tuple(Key(column=name) for name in text.split())) for text in texts)


_MODEL = Model(
    comparisons=(_comparison("last"), _comparison("first"), _comparison("DOB")),
    blocking=_rules("last", "first", "DOB"),
    prior=0.001,
)
_GIVEN: dict[str, Any] = {"model": _MODEL, "clerical_review_threshold": 1e-6}


def _listed(found: Linked) -> dict[tuple[int, int], float]:
    return {(row["left"], row["right"]): row["weight"] for row in part(found, "pairs")}


def test_rows_of_one_record_are_never_split() -> None:
    """They have nothing in common but the number."""
    batch = people(
        SID=["1", "2", "1", "3", "1"],
        last=["SMITH", "SMITH", "JONES", "LEE", "KING"],
        first=["ANN", "ANN", "BOB", "CARL", "DORA"],
        DOB=["19800101", "19800101", "19700101", "19600101", "19500101"],
    )
    found = linked(batch, record="SID", **_GIVEN)
    assert found.cluster.tolist() == [0, 0, 0, 3, 0]
    assert list(_listed(found)) == [(0, 1)]
    (cluster,) = part(found, "clusters")
    assert (cluster["rows"], cluster["pairs"], cluster["listed"]) == (4, 1, 1)
    apart = linked(batch, **_GIVEN)
    assert apart.cluster.tolist() == [0, 0, 2, 3, 4]


def test_a_pair_has_the_best_agreement_of_its_rows_once() -> None:
    """Last name in one row, first name in another, date in both: each comparison counts once."""
    batch = people(
        SID=["1", "1", "2", "2"],
        last=["SMITH", "JONES", "KING", "JONES"],
        first=["ANN", "BOB", "ANN", "CARL"],
        DOB=["19800101", "19800101", "19800101", "19800101"],
    )
    all_agree = linked(people(last=["A", "A"], first=["B", "B"], DOB=["19800101"] * 2), **_GIVEN)
    found = linked(batch, record="SID", **_GIVEN)
    assert _listed(found) == {(0, 2): _listed(all_agree)[0, 1]}
    blocks = part(found, "blocks")
    assert sum(block["new_pairs"] for block in blocks) == 1


def test_a_row_without_a_record_number_is_its_own_record() -> None:
    batch = people(
        SID=["1", None, "", "UNKNOWN"], last=["A", "B", "C", "D"], first=["E", "F", "G", "H"], DOB=[None] * 4
    )
    assert linked(batch, record="SID", **_GIVEN).cluster.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("one", ["SMITH;SMYTHE", " smythe ; SMITH;", "X;SMYTHE"])
def test_a_cell_of_several_values_agrees_in_any(one: str) -> None:
    """In comparisons and in keys: no other rule brings the two together."""
    model = replace(_MODEL, blocking=_rules("last DOB"))
    batch = people(last=[one, "SMYTHE"], first=["ANN", "ANN"], DOB=["19800101;19810101", "19810101"])
    given = {**_GIVEN, "model": model}
    assert _listed(linked(batch, **given)) == {}
    found = linked(batch, separators={"last": ";", "DOB": ";"}, **given)
    assert _listed(found)[0, 1] > 10
    assert found.cluster.tolist() == [0, 0]


def test_a_cell_of_too_many_values_is_reported() -> None:
    many = ";".join(f"NAME{value}" for value in range(40))
    batch = people(last=[many, "NAME3", "NAME39"], first=["ANN;BOB", "BOB", "BOB"], DOB=["19800101"] * 3)
    found = linked(batch, separators={"last": ";", "first": ";"}, **_GIVEN)
    assert found.status.status.tolist() == [Status.PARTLY_USED, Status.OK, Status.OK]
    assert found.status.codes.tolist() == [Code.TOO_MANY_VALUES]
    weights = _listed(found)
    assert weights[0, 1] > weights[0, 2]


def test_a_record_of_too_many_rows_is_reported() -> None:
    n = MOST + 2
    batch = people(SID=["1"] * n, last=[f"N{row}" for row in range(n)], first=["ANN"] * n, DOB=["19800101"] * n)
    found = linked(batch, record="SID", **_GIVEN)
    assert found.status.rows.tolist() == [MOST, MOST + 1]
    assert set(found.cluster.tolist()) == {0}


def test_records_of_two_sources_are_two() -> None:
    batch = people(
        SID=["1", "1", "1"], OAC=["A", "B", "A"], last=["S", "T", "U"], first=["V", "W", "X"], DOB=[None] * 3
    )
    assert linked(batch, record="SID", source="OAC", **_GIVEN).cluster.tolist() == [0, 1, 0]
    assert linked(batch, record="SID", **_GIVEN).cluster.tolist() == [0, 0, 0]


@pytest.mark.parametrize("linkage", ["average", "components"])
def test_a_source_without_duplicates_has_one_record_each(linkage: str) -> None:
    """The two of A are not compared, though both are like the one of B; the nearer one takes it."""
    batch = people(
        OAC=["A", "A", "B", None],
        last=["SMITH", "SMITH", "SMITH", "SMITH"],
        first=["ANN", "ANN", "ANN", "ANN"],
        DOB=["19800101", "19810101", "19810101", "19810101"],
    )
    found = linked(batch, source="OAC", duplicates_in_source=False, linkage=linkage, **_GIVEN)
    assert (0, 1) not in _listed(found)
    assert found.cluster.tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("linkage", ["average", "components"])
def test_records_that_contradict_are_never_in_a_cluster(linkage: str) -> None:
    """Though a third one joins them, and though one has both numbers of another."""
    batch = people(
        FBI=["1", "2", None, "2;3", "3"],
        last=["SMITH"] * 5,
        first=["ANN"] * 5,
        DOB=["19800101"] * 5,
    )
    found = linked(batch, never_differ=("FBI",), separators={"FBI": ";"}, linkage=linkage, **_GIVEN)
    cluster = found.cluster.tolist()
    assert cluster[1] == cluster[3] == cluster[4] != cluster[0]
    assert _listed(found)[0, 1] > 10
    free = linked(batch, separators={"FBI": ";"}, linkage=linkage, **_GIVEN)
    assert set(free.cluster.tolist()) == {0}


def _copies(times: int, *rows: tuple[str, str, str | None]) -> pa.RecordBatch:
    last, first, born = zip(*(row for row in rows for _ in range(times)), strict=True)
    return people(last=last, first=first, DOB=born)


def test_5001_equal_rows_are_no_refusal() -> None:
    """They were one block of more rows than the limit."""
    batch = _copies(5_001, ("SMITH", "ANN", "19800101"))
    found = linked(batch, **_GIVEN)
    assert set(found.cluster.tolist()) == {0}
    (cluster,) = part(found, "clusters")
    assert (cluster["rows"], cluster["pairs"]) == (5_001, 5_001 * 5_000 // 2)


def test_a_table_of_equal_rows_has_no_evidence() -> None:
    """Its values say nothing of who a record is of, whatever the number of rows: the default model learns that."""
    found = linked(_copies(5_001, ("SMITH", "ANN", "19800101")))
    assert found.cluster.tolist() == list(range(5_001))


def test_equal_rows_cost_little() -> None:
    """Ten persons with 2 000 rows each: no pair of every two of them is made or listed."""
    rows = [(f"NAME{number}", f"FIRST{number}", f"19{50 + number}0101") for number in range(10)]
    batch = _copies(2_000, *rows)
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = linked(batch)
    assert np.unique(found.cluster).tolist() == list(range(0, 20_000, 2_000))
    assert len(found.report.pairs) < 8 * 20_000
    assert time.process_time() - started < 4
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10


def test_weak_equal_rows_stay_apart() -> None:
    """Only a common name is no evidence, however often it is there."""
    model = replace(_MODEL, comparisons=(_comparison("last", u=0.5), *_MODEL.comparisons[1:]))
    batch = people(last=["SMITH"] * 40, first=[None] * 40, DOB=[None] * 40)
    found = linked(batch, **{**_GIVEN, "model": model})
    assert found.cluster.tolist() == list(range(40))
    assert part(found, "clusters") == []
    assert not any(row["match"] for row in part(found, "pairs"))
    assert len(part(found, "pairs")) > 40


def test_equal_rows_beside_others_are_as_without_collapsing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs, clusters and their means are those of all rows, where weights are given."""
    batch = people(
        last=["SMITH"] * 30 + ["SMITH", "JONES", "JONES"],
        first=["ANN"] * 30 + ["BOB", "ANN", "BOB"],
        DOB=["19800101"] * 30 + ["19800101", "19800101", "19700101"],
    )
    found = linked(batch, **_GIVEN)
    monkeypatch.setattr("cji_operations.link.units.EQUAL", 100)
    every = linked(batch, **_GIVEN)
    assert _listed(found) == _listed(every)
    assert found.cluster.tolist() == every.cluster.tolist()
    for one, other in zip(part(found, "clusters"), part(every, "clusters"), strict=True):
        assert {**one, "cohesion": 0, "weakest_weight": 0} == {**other, "cohesion": 0, "weakest_weight": 0}
        assert one["cohesion"] == pytest.approx(other["cohesion"])
    assert [{**row, "mean": round(row["mean"], 6)} for row in part(found, "bridges") if row["left"] < EQUAL] == [
        {**row, "mean": round(row["mean"], 6)} for row in part(every, "bridges") if row["left"] < EQUAL
    ]


def test_pairs_of_many_copies_are_listed_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = _copies(20, ("SMITH", "ANN", "19800101"), ("SMITH", "BOB", "19800101"))
    monkeypatch.setattr(listing, "MOST_LISTED", 10)
    pairs = _listed(linked(batch, **_GIVEN))
    assert {row for pair in pairs for row in pair} == set(range(40))
    assert {left for left, right in pairs if left < 20 <= right} == set(range(20))
    assert {right for left, right in pairs if left < 20 <= right} == set(range(20, 40))
    assert len(pairs) < 500


def test_copies_do_not_change_what_is_learnt() -> None:
    """Of 600 records, one is there 3 000 times more: m, u and the prior are nearly those without."""
    rng = np.random.default_rng(3)
    last, first, born = rng.integers(0, 80, 300), rng.integers(0, 80, 300), rng.integers(0, 400, 300)
    columns = {
        "last": [f"L{value}" for value in (*last, *np.where(rng.random(300) < 0.2, 99, last))],
        "first": [f"F{value}" for value in (*first, *np.where(rng.random(300) < 0.2, 99, first))],
        "DOB": [f"19{50 + value % 50}0{1 + value // 50}01" for value in (*born, *born)],
    }
    model = Model(
        comparisons=tuple(
            Comparison(
                name=name, levels=(Level(label="the same", conditions=(Condition(column=name),)), Level(label="e"))
            )
            for name in columns
        ),
        blocking=_rules("last", "first", "DOB"),
        deterministic_rules=_rules("last DOB"),
    )
    few = linked(people(**columns), model=model).report.trained
    more = {name: [*values, *[values[0]] * 3_000] for name, values in columns.items()}
    many = linked(people(**more), model=model).report.trained
    assert np.allclose(np.concatenate(few.m), np.concatenate(many.m), atol=0.06)
    assert np.allclose(np.concatenate(few.u), np.concatenate(many.u), atol=0.01)
    assert many.prior == pytest.approx(few.prior, rel=0.3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"record": "NIC"},
        {"never_differ": ("NIC",)},
        {"separators": {"NIC": ";"}},
        {"source": "NIC", "duplicates_in_source": False},
        {"placeholders": {"NIC": ("0",)}},
    ],
)
def test_a_column_that_is_not_there_is_refused(wrong: dict[str, Any]) -> None:
    with refused(Reason.BAD_PARAMETERS):
        linked(people(last=["A", "B"], first=["A", "B"], DOB=["A", "B"]), **_GIVEN, **wrong)


def test_two_tables_have_no_sources_without_duplicates() -> None:
    batch = people(last=["A"], first=["A"], DOB=["A"], OAC=["A"])
    with refused(Reason.BAD_PARAMETERS):
        link([batch], batch.schema, Link(source="OAC", duplicates_in_source=False, **_GIVEN), ignore, side=[batch])


def test_records_of_both_tables_have_several_rows() -> None:
    one = people(SID=["1", "1"], last=["SMITH", "JONES"], first=["ANN", "BOB"], DOB=["19800101", None])
    other = people(
        SID=["1", "1", "2"], last=["KING", "JONES", "LEE"], first=["ANN", "X", "Y"], DOB=[None, "19800101", "1"]
    )
    found = link([one], one.schema, Link(record="SID", **_GIVEN), ignore, side=[other])
    assert found.cluster.tolist() == [0, 0]
    assert list(_listed(found)) == [(0, 0)]
