"""Records of several rows beside brute force: every comparison over every two of their rows, every rule too."""

import math
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
from cji_operations.link import link
from tests.reference.link import ignore, people
from tests.support.link_tools import part

_Row = tuple[str | None, str | None, str | None, str | None]
_NAMES = st.sampled_from(["SMITH", "SMYTH", "JONES", "LEE", None])
_ROWS = st.lists(
    st.tuples(
        st.lists(_NAMES, min_size=1, max_size=3),
        st.sampled_from(["ANN", "BOB", "SMITH", None]),
        st.sampled_from(["A", "B", "C", None]),
        st.sampled_from(["1", "2", "3", "4", None]),
    ),
    min_size=2,
    max_size=14,
)


def _comparison(column: str, test: str = "", number: float = 0.0) -> Comparison:
    same = Level(label="same", conditions=(Condition(column=column),), m=0.7, u=0.01)
    if not test:
        return Comparison(name=column, levels=(same, Level(label="else", m=0.3, u=0.99)))
    near = Level(label="near", conditions=(Condition(column=column, test=test, number=number),), m=0.2, u=0.04)  # type: ignore[arg-type]
    return Comparison(name=column, levels=(same, near, Level(label="else", m=0.1, u=0.95)))


_CROSSED = Comparison(
    name="crossed",
    levels=(
        Level(label="crossed", conditions=(Condition(column="last", test="crossed", other="first"),), m=0.2, u=0.01),
        Level(label="else", m=0.8, u=0.99),
    ),
)
_MODEL = Model(
    comparisons=(_comparison("last", "soundex"), _comparison("first"), _comparison("POB"), _CROSSED),
    blocking=(
        Rule(keys=(Key(column="last"), Key(column="POB"))),
        Rule(keys=(Key(column="first"),)),
        Rule(keys=(Key(column="last", form="soundex"),)),
    ),
    prior=0.05,
)
_SOUNDS = {"SMITH": "S530", "SMYTH": "S530", "JONES": "J520", "LEE": "L000"}


def _levels(a: _Row, b: _Row) -> list[int]:
    """The level of each comparison of two rows; 9 where a value is missing."""
    (last, first, place, _), (other_last, other_first, other_place, _) = a, b
    found = []
    if last is None or other_last is None:
        found.append(9)
    else:
        found.append(0 if last == other_last else 1 if _SOUNDS[last] == _SOUNDS[other_last] else 2)
    for one, other in ((first, other_first), (place, other_place)):
        found.append(9 if one is None or other is None else int(one != other))
    if None in (last, first, other_last, other_first):
        found.append(9)
    else:
        differ = last != other_last and first != other_first
        found.append(0 if differ and (last == other_first or first == other_last) else 1)
    return found


def _keys(row: _Row) -> list[object]:
    last, first, place, _ = row
    return [
        (last, place) if last and place else None,
        first,
        _SOUNDS[last] if last else None,
    ]


def _weight(one: list[_Row], other: list[_Row]) -> float:
    best = [min(levels) for levels in zip(*(_levels(a, b) for a in one for b in other), strict=True)]
    weight = math.log2(0.05 / 0.95)
    for comparison, level in zip(_MODEL.comparisons, best, strict=True):
        if level < 9:
            chosen = comparison.levels[level]
            assert chosen.m is not None
            assert chosen.u is not None
            weight += math.log2(chosen.m / chosen.u)
    return weight


@settings(max_examples=150, deadline=None)
@given(rows=_ROWS)
def test_records_weigh_as_by_brute_force(
    rows: list[tuple[list[str | None], str | None, str | None, str | None]],
) -> None:
    """Cells of several surnames, rows of one SID, and rows without one."""
    records: dict[str, list[_Row]] = {}
    first_row: dict[str, int] = {}
    for number, (lasts, first, place, sid) in enumerate(rows):
        name = sid or f"row {number}"
        first_row.setdefault(name, number)
        present: list[str | None] = [last for last in lasts if last is not None] or [None]
        records.setdefault(name, []).extend((last, first, place, sid) for last in present)
    expected = {}
    for one, other in combinations(sorted(records, key=first_row.__getitem__), 2):
        pairs = [(_keys(a), _keys(b)) for a in records[one] for b in records[other]]
        if any(x is not None and x == y for a, b in pairs for x, y in zip(a, b, strict=True)):
            expected[first_row[one], first_row[other]] = _weight(records[one], records[other])
    batch = people(
        last=[";".join(last or "" for last in lasts) for lasts, *_ in rows],
        first=[row[1] for row in rows],
        POB=[row[2] for row in rows],
        SID=[row[3] for row in rows],
    )
    parameters = Link(model=_MODEL, record="SID", separators={"last": ";"}, clerical_review_threshold=1e-9, match=0.5)
    found = link([batch], batch.schema, parameters, ignore)
    listed = {(row["left"], row["right"]): row["weight"] for row in part(found, "pairs")}
    assert listed.keys() == expected.keys()
    assert all(math.isclose(listed[pair], expected[pair], abs_tol=1e-9) for pair in expected)
    assert sum(row["new_pairs"] for row in part(found, "blocks")) == len(expected)
    for number, (*_, sid) in enumerate(rows):
        assert found.cluster[number] == found.cluster[first_row[sid or f"row {number}"]]
