"""Routes bring whole blocks together, and pieces of tables arrive as they were sent."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.operations.link import Key, Link, Rule
from cji_operations.link.columns import read_table
from cji_operations.link.stages.routes import anchor_hashes, assign, has_anchor, routes_of
from cji_operations.link.stages.tables import Packer, assemble, collect
from tests.reference.link import people

_TEXT = st.none() | st.text("AB1X ", max_size=5)
_DATES = st.sampled_from(["19800102", "198001XX", "19800203", "19XX0102", "oops", None])
_KEYS = [
    *(Key(column="last", form=form) for form in ("whole", "soundex")),
    *(Key(column="last", form="prefix", length=length) for length in (1, 3)),
    *(Key(column="DOB", form=form) for form in ("whole", "year", "year_month", "month_day")),
    Key(column="SOC", form="prefix", length=2),
    Key(column="SOC"),
]


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(_TEXT, _DATES, _TEXT), min_size=2, max_size=25))
def test_rows_that_agree_in_a_rule_have_one_slot_of_its_anchor(
    rows: list[tuple[str | None, str | None, str | None]],
) -> None:
    last, born, number = zip(*rows, strict=True)
    batch = people(last=last, DOB=born, SOC=number)
    table = read_table([batch], (), frozenset(("last", "DOB", "SOC")), linking=False)
    for key in _KEYS:
        code = table.key(key)
        for anchor in _KEYS:
            if has_anchor(Rule(keys=(key,)), anchor):
                column = table.columns[anchor.column]
                slot = anchor_hashes(column, anchor)[column.code]
                assert (slot[code >= 0] != 0).all()
                assert len({(a, b) for a, b in zip(code.tolist(), slot.tolist(), strict=True) if a >= 0}) == len(
                    set(code[code >= 0].tolist())
                )


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(_TEXT, _DATES), min_size=1, max_size=25), cut=st.integers(0, 25))
def test_a_table_arrives_as_it_was_sent(rows: list[tuple[str | None, str | None]], cut: int) -> None:
    """In two pieces, the later rows first."""
    last, born = zip(*rows, strict=True)
    table = read_table([people(last=last, DOB=born)], (), frozenset(("last", "DOB")), linking=False)
    names = ("DOB", "last")
    packer = Packer(table, names, {"last": table.columns["last"].counts})
    every = np.arange(table.n)
    sent = [batch for part in (every[cut:], every[:cut]) for batch in packer.pieces(3, part, part)]
    found = assemble(collect(sent)[3], names, None, Link())
    assert found.rows.tolist() == every.tolist()
    for name in names:
        one, other = table.columns[name], found.columns[name]
        assert other.code.tolist() == one.code.tolist()
        assert other.words.data.tolist() == one.words.data.tolist()
    assert found.columns["last"].counts.tolist() == table.columns["last"].counts.tolist()


def _rule(*columns: str) -> Rule:
    return Rule(keys=tuple(Key(column=column) for column in columns))


def test_each_rule_has_one_route_and_a_coarse_anchor_comes_last() -> None:
    rules = [_rule("a", "b"), _rule("a", "c"), _rule("b"), _rule("a", "SEX"), _rule()]
    largest = {Key(column=name): 1000 if name == "SEX" else 10 for name in ("a", "b", "c", "SEX")}
    routes = routes_of(rules, range(5), largest, 100)
    assert sorted(number for route in routes for number in route.rules) == [0, 1, 2, 3, 4]
    assert [route.anchor and route.anchor.column for route in routes] == [None, "a", "b"]
    only = routes_of([_rule("SEX")], [0], largest, 100)
    assert [route.anchor and route.anchor.column for route in only] == ["SEX"]


def test_tasks_have_like_numbers_of_rows_heavy_slots_apart() -> None:
    rng = np.random.default_rng(1)
    rules = [_rule("a", "b"), _rule("a")]
    counts = rng.integers(0, 20, 1 << 14)
    counts[7] = 60_000
    (anchor,) = routes_of(rules, range(2), {Key(column="a"): 60_000, Key(column="b"): 60_001}, 10_000)
    found, (tasks,) = assign(rules, [anchor], [counts], 10_000)
    assert found.heavy == ((7,),)
    assert [route.rules for route in found.routes] == [(0, 1), (1,), (0,)]
    light = np.delete(counts, 7)
    rows = np.bincount(np.delete(tasks, 7), light, found.tasks)
    assert found.tasks == -(-int(counts.sum()) // 10_000)
    assert rows.max() <= 11_000
