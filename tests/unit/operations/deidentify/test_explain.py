"""What rules leave of a table: uniqueness, ranks of tokens, shifts that can be read, prose, order."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.records import tagged
from cji_core.operations.deidentify import DateShift, DateTo, Deidentify, HmacToken, Redact, SmallClasses
from cji_operations.deidentify import explain as module
from cji_operations.deidentify.explain import Left, ReadableShift, explain


def left(schema_id: str, columns: Mapping[str, Sequence[object]], rules: Mapping[str, Any], **more: Any) -> Left:
    schema = tagged(schema_id, [pa.field(name, pa.utf8()) for name in columns])
    batch = pa.RecordBatch.from_arrays([pa.array(each, pa.utf8()) for each in columns.values()], schema=schema)
    half = batch.num_rows // 2
    return explain(
        [batch.slice(0, half), batch.slice(half)], schema, Deidentify(project="p", columns=dict(rules), **more)
    )


ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "d", None]), st.sampled_from(["X", "Y", None]), st.sampled_from("12")),
    min_size=1,
    max_size=20,
)


@given(ROWS, st.booleans())
def test_persons_are_alone_as_a_loop_finds(rows: list[tuple[str | None, str | None, str]], linked: bool) -> None:
    names = ("subject", "county", "level")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    rules = {"subject": HmacToken(domain="s") if linked else "drop", "county": "keep", "level": "keep"}
    found = left("chri_event/2", columns, rules)
    sets: dict[str, Counter[tuple[str | None, str]]] = defaultdict(Counter)
    for subject, county, level in rows:
        if subject is not None:
            sets[subject][county, level] += 1
    if linked:
        alike = Counter(frozenset(each.items()) for each in sets.values())
        alone = sum(alike[frozenset(each.items())] == 1 for each in sets.values())
    else:
        holders = Counter(value for each in sets.values() for value in each)
        alone = sum(any(holders[value] == 1 for value in each) for each in sets.values())
    assert found.persons == len(sets)
    assert found.readable is not None
    assert found.readable.share == pytest.approx(alone / max(len(sets), 1))
    assert (found.person, found.linked_by) == ("subject", ("subject",) if linked else ())
    same = sum(a[0] is not None and a[0] == b[0] for a, b in pairwise(rows))
    assert found.neighbours == pytest.approx(same / (len(rows) - 1) if len(rows) > 1 else 0)


def test_frequent_surnames_can_be_read_by_their_rank() -> None:
    counts = {"SMITH": 400, "JOHNSON": 250, "GARCIA": 150, **{f"N{i}": 3 for i in range(100)}}
    names = [name for name, n in counts.items() for _ in range(n)]
    rules = {"last": HmacToken(domain="n"), "SID": HmacToken(domain="s")}
    found = left("person/1", {"last": names, "SID": [str(i) for i in range(len(names))]}, rules)
    ranks = {one.column: one for one in found.tokens}
    assert (ranks["last"].values, ranks["last"].certain) == (103, 3)
    assert ranks["last"].share == pytest.approx(800 / 1100)
    assert (ranks["SID"].values, ranks["SID"].certain) == (1100, 0)


def test_names_are_counted_once_for_each_person() -> None:
    """Of one person's many rows nothing follows for the frequency of the name; of the person's token it does."""
    columns = {"subject": ["a"] * 90 + [str(i) for i in range(10)], "ORI": ["rare"] * 90 + ["often"] * 10}
    rules = {"subject": HmacToken(domain="s"), "ORI": HmacToken(domain="o")}
    ranks = {one.column: one for one in left("chri_event/2", columns, rules).tokens}
    assert (ranks["ORI"].certain, ranks["subject"].certain) == (1, 1)
    assert ranks["ORI"].share == pytest.approx(10 / 11)
    assert ranks["subject"].share == pytest.approx(0.9)


def test_a_shift_beside_a_readable_date_is_found() -> None:
    columns: dict[str, list[str | None]] = {
        "subject": ["a", "b", "c", "d"],
        "date": ["20200101", "20200102", "20200103", None],
        "disposition_date": ["20200101", "20210102", "20200103", None],
    }
    rules: dict[str, Any] = {
        "subject": HmacToken(domain="s"),
        "date": DateShift(subject_column="subject", max_days=30),
        "disposition_date": DateTo(unit="month"),
    }
    found = left("chri_event/2", columns, rules)
    assert found.shifts == (ReadableShift(shifted="date", readable="disposition_date", same_day=0.5),)
    both = {**rules, "disposition_date": rules["date"]}
    assert left("chri_event/2", columns, both).shifts == ()


def test_prose_and_classes_are_found() -> None:
    columns = {
        "subject": ["a", "b"],
        "comment": ["x", "y"],
        "sentence": ["two years in the county jail", "-"],
        "county": ["A", "A"],
    }
    rules = {"subject": "drop", "comment": Redact(), "sentence": "keep", "county": "keep"}
    small = SmallClasses(quasi_identifiers=("county",), k=2, person="subject")
    found = left("chri_event/2", columns, rules, small_classes=small)
    assert found.texts == ("comment", "sentence")
    assert found.quasi_identifiers is not None
    assert (found.quasi_identifiers.columns, found.quasi_identifiers.share) == (("county",), 0)


def test_a_large_table_is_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 3)
    found = left("person/1", {"SEX": list("MFMF")}, {"SEX": "keep"})
    assert (found.rows, found.complete, found.persons) == (3, False, 3)
    assert found.readable is not None
    assert found.readable.share == pytest.approx(1 / 3)
    assert left("person/1", {"SEX": []}, {"SEX": "keep"}).rows == 0
    assert np.isfinite(left("person/1", {"SEX": ["M"]}, {"SEX": "keep"}).neighbours)
