"""k-anonymity of persons with several rows, beside an obvious twin, and against those who know rows of a person."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.format.records import RowStatus, tagged
from cji_core.operations.deidentify.declaration import Code
from cji_core.wire.v1 import worker_pb2 as wire
from cji_operations.deidentify import people, risk
from cji_operations.deidentify.people import Persons, Rows, equal_sets
from cji_worker.cell.pipeline import Pipeline
from tests.reference.deidentify import Person, Values, slow_alike, slow_search, slow_suppressed, slow_unlinked
from tests.support.contexts import context, prepare_table

KEY = bytes(range(32))


@dataclass
class Sink:
    rows: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[RowStatus] = field(default_factory=list)
    parts: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    def result(self, batch: pa.RecordBatch) -> None:
        batch.validate(full=True)
        self.rows += batch.to_pylist()

    def status(self, status: RowStatus) -> None:
        self.statuses.append(status)

    def part(self, name: str, batch: pa.RecordBatch) -> None:
        self.parts[name] += batch.to_pylist()

    def with_code(self, code: Code) -> list[int]:
        whole = RowStatus.concatenate(self.statuses)
        return sorted(whole.rows[whole.codes == code].tolist())

    def risk(self, stage: str) -> dict[tuple[str, str | None], float]:
        return {(r["measure"], r["column"]): r["value"] for r in self.parts["disclosure_risk"] if r["stage"] == stage}


def run(schema_id: str, columns: Mapping[str, Sequence[object]], rules: dict[str, Any], **small: Any) -> Sink:
    schema = tagged(schema_id, [pa.field(name, pa.utf8()) for name in columns])
    batch = pa.RecordBatch.from_arrays([pa.array(each, pa.utf8()) for each in columns.values()], schema=schema)
    parameters = wire.Deidentify(
        project="p",
        wrapped_project_key=b"sealed",
        columns=[wire.ColumnRule(column=name, **{rule: value}) for name, (rule, value) in rules.items()],
        small_classes=wire.SmallClasses(**small),
    )
    prepared = prepare_table(wire.Operation(deidentify=parameters), schema_id, schema, context(KEY))
    sink = Sink()
    pipeline = Pipeline([prepared], columns=len(columns), sink=sink, progress=lambda step, per_cent: None)
    pipeline.push(batch.slice(0, 7))
    pipeline.push(batch.slice(7))
    pipeline.finish()
    return sink


TOKEN = ("hmac_token", wire.HmacToken(domain="person", bits=80))
DROP, KEEP = ("drop", wire.Drop()), ("keep", wire.Keep())
ZIP = wire.Hierarchy(
    steps=[
        wire.ColumnRule(keep=wire.Keep()),
        wire.ColumnRule(generalise=wire.Generalise(zip_prefix=wire.ZipPrefix(digits=2))),
        wire.ColumnRule(null=wire.Null()),
    ]
)

Row = tuple[Person, str | None, str | None]
ROWS = st.lists(
    st.tuples(
        st.sampled_from([*"abcdefgh", None, ""]),
        st.sampled_from(["12345", "12399", "54321", None]),
        st.sampled_from(["M", "F", None]),
    ),
    max_size=30,
)


def zip_steps(code: str | None) -> Values:
    return code, code and code[:2], None


@settings(max_examples=300, deadline=None)
@given(ROWS, st.integers(2, 4), st.booleans())
def test_persons_are_counted_as_the_twin_counts_them(rows: list[Row], k: int, linked: bool) -> None:
    columns = {"SID": [r[0] for r in rows], "postcode": [r[1] for r in rows], "SEX": [r[2] for r in rows]}
    rules = {"SID": TOKEN if linked else DROP, "postcode": ("hierarchy", ZIP), "SEX": KEEP}
    sink = run("person/1", columns, rules, quasi_identifiers=["postcode", "SEX"], k=k, sensitive=[], person="SID")
    persons = [person or None for person, _, _ in rows]
    of_row: list[list[Values]] = [[zip_steps(code) for _, code, _ in rows], [(sex,) for _, _, sex in rows]]
    steps = slow_search(of_row, k, persons, linked=linked) if rows else []
    general = [
        (None, None) if step is None else (of_row[0][r][step[0]], of_row[1][r][step[1]]) for r, step in enumerate(steps)
    ]
    gone = slow_suppressed(general, persons, k, linked=linked)
    wanted = [(None, None) if lost else values for values, lost in zip(general, gone, strict=True)]
    assert [(row["postcode"], row["SEX"]) for row in sink.rows] == wanted
    assert sink.with_code(Code.NO_PERSON) == [r for r, person in enumerate(persons) if person is None]
    if linked:
        tokenless = [r for r, row in enumerate(sink.rows) if row["SID"] is None]
        assert tokenless == [r for r, lost in enumerate(slow_unlinked(gone, persons, k)) if lost]
        assert sink.with_code(Code.UNLINKED) == [r for r in tokenless if persons[r] is not None]
    known = {person for person in persons if person is not None}
    if len(known) >= k:
        tokens = [row.get("SID") for row in sink.rows]
        assert_hidden(wanted, persons, k, [row is not None for row in tokens] if linked else [False] * len(rows))
    assert sink.risk("after").get(("persons", None), 0) == len(known)


def assert_hidden(published: Sequence[object], persons: Sequence[Person], k: int, has_token: Sequence[bool]) -> None:
    """An attacker who knows all rows of a person, as they were published, finds `k` persons or more that fit.

    Rows with a token are seen as the set of one person's rows, the others one by one.
    """
    sets: dict[Person, Counter[object]] = defaultdict(Counter)
    loose: dict[object, set[Person]] = defaultdict(set)
    for values, person, token in zip(published, persons, has_token, strict=True):
        if token:
            sets[person][values] += 1
        elif person is not None:
            loose[values].add(person)
        else:
            loose[values] |= set()
    same = Counter(frozenset(each.items()) for each in sets.values())
    assert not same or min(same.values()) >= k
    assert all(len(found) >= k for found in loose.values())
    assert not sets.keys() & set().union(*loose.values()), "a person is linked as a whole or not at all"


def histories(subjects: int, seed: int) -> dict[str, list[str]]:
    """Events of `subjects` persons, one to twelve each, most in one county and in few years of a person's life."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[str]] = {"subject": [], "county": [], "level": [], "date": [], "offense_code": []}
    for subject in range(subjects):
        home, year = int(rng.zipf(1.7)) % 20, 2010 + int(rng.integers(15))
        for _ in range(min(int(rng.geometric(0.35)), 12)):
            county = home if rng.random() < 0.8 else int(rng.integers(20))
            level = "M" if rng.random() < 0.7 else rng.choice(["F", "I"])
            values = (f"S{subject:04d}", f"C{county:02d}", level, f"{year + rng.integers(2)}0101")
            for name, value in zip(found, (*values, f"{rng.integers(5):03d}"), strict=True):
                found[name].append(str(value))
    return found


HISTORY_RULES: dict[str, Any] = {
    "county": KEEP,
    "level": KEEP,
    "date": ("generalise", wire.Generalise(date_to=wire.DateTo(unit=wire.DateTo.YEAR))),
    "offense_code": KEEP,
}
HISTORY_SMALL: dict[str, Any] = {
    "quasi_identifiers": ["county", "level", "date"],
    "k": 5,
    "sensitive": ["offense_code"],
    "person": "subject",
}


@pytest.mark.parametrize("rule", [DROP, TOKEN], ids=["dropped", "token"])
def test_no_class_of_histories_has_fewer_persons(rule: tuple[str, Any]) -> None:
    columns = histories(300, 24)
    sink = run("chri_event/2", columns, {"subject": rule, **HISTORY_RULES}, **HISTORY_SMALL)
    published = [(row["county"], row["level"], row["date"]) for row in sink.rows]
    persons: list[Person] = list(columns["subject"])
    assert_hidden(published, persons, 5, [row.get("subject") is not None for row in sink.rows])
    after = sink.risk("after")
    assert after["smallest_class", None] >= 5
    assert after["highest_risk", None] <= 0.2
    assert after["rows_below_k", None] == 0
    assert sink.risk("before")["smallest_class", None] == 1
    sizes = [row for row in sink.parts["k_anonymity"] if row["stage"] == "after"]
    assert min(row["size"] for row in sizes) == after["smallest_class", None]
    assert sum(row["rows"] for row in sizes) == len(persons)


def test_what_is_shifted_or_kept_of_a_person_links_too() -> None:
    columns = {"SID": list("aabbccdd"), "DOB": ["19800101"] * 8, "SEX": list("MFMFMMFF")}
    shift = ("date_shift", wire.DateShift(subject_column="SID", max_days=30))
    rules = {"SID": DROP, "DOB": shift, "SEX": KEEP}
    sink = run("person/1", columns, rules, quasi_identifiers=["SEX"], k=2, person="SID")
    assert [row["SEX"] for row in sink.rows] == [*"MFMF", None, None, None, None]
    assert all(row["DOB"] for row in sink.rows), "two persons of two rows each"
    columns["SID"] = list("aabbcddd")
    sink = run("person/1", columns, rules, quasi_identifiers=["SEX"], k=2, person="SID")
    assert [row["SEX"] for row in sink.rows] == [*"MFMF", None, None, None, None]
    assert [row["DOB"] is None for row in sink.rows] == [False] * 4 + [True] * 4


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(1, 3)), max_size=30), st.booleans())
def test_equal_sets_are_those_of_a_loop(owned: list[tuple[int, int, int]], counted: bool) -> None:
    owners = sorted({owner for owner, _, _ in owned})
    sets: dict[int, Counter[int]] = defaultdict(Counter)
    for owner, value, times in owned:
        sets[owner][value] += times if counted else 0
    table = np.array(owned, np.int64).reshape(-1, 3)
    who = np.searchsorted(owners, table[:, 0]).astype(np.int64)
    number = equal_sets(who, table[:, 1], table[:, 2] if counted else None, len(owners)).tolist()
    for i, one in enumerate(owners):
        for j, other in enumerate(owners):
            assert (number[i] == number[j]) is (dict(sets[one]) == dict(sets[other]))


def test_hashes_that_collide_do_not_make_sets_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = people._mixed

    def weak(values: Any, salt: Any) -> Any:
        return values.astype(np.uint64) if salt < 3 else mixed(values, salt)

    monkeypatch.setattr(people, "_mixed", weak)
    owner, value = np.array([0, 0, 1, 1, 2, 2]), np.array([1, 4, 2, 3, 3, 2])
    assert len(set(equal_sets(owner, value, np.ones(6, np.int64), 3).tolist())) == 2
    owner, value, times = np.array([0, 1]), np.array([1, 2]), np.array([2, 1])
    assert len(set(equal_sets(owner, value, times, 2).tolist())) == 2


def slow_person_risk(classes: Sequence[int], persons: Sequence[Person], values: Sequence[int]) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for one in set(classes):
        sets: dict[Person, set[int]] = defaultdict(set)
        for cls, person, value in zip(classes, persons, values, strict=True):
            if cls == one:
                sets[person].add(value)
        share = [n / len(sets) for n in Counter(map(frozenset, sets.values())).values()]
        found["l_distinct"].append(len(share))
        found["l_entropy"].append(float(np.exp(-sum(p * np.log(p) for p in share))))
        holders = Counter(value for each in sets.values() for value in each)
        found["highest_share"].append(max(holders.values()) / len(sets))
    return {name: (max if name == "highest_share" else min)(each) for name, each in found.items()}


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abcd"), st.integers(0, 2)), min_size=1, max_size=30))
def test_sensitive_values_of_a_person_count_once(rows: list[tuple[int, str, int]]) -> None:
    classes = np.unique([cls for cls, _, _ in rows], return_inverse=True)[1]
    who = Persons.of(pa.array([p for _, p, _ in rows]), np.ones(len(rows), np.int64), linked=False)
    values = np.array([value for _, _, value in rows])
    found = {m[1]: m[4] for m in risk.of_sensitive("after", classes, who, "c", values)}
    wanted = slow_person_risk(classes.tolist(), [p for _, p, _ in rows], values.tolist())
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)


def test_a_value_of_many_rows_of_one_person_does_not_hide_others() -> None:
    """Five persons have A, one of them B and C too: three values, and yet everybody has A."""
    persons = pa.array([*"abcde", "a", "a"])
    values = np.array([0, 0, 0, 0, 0, 1, 2])
    who = Persons.of(persons, np.ones(7, np.int64), linked=False)
    found = {m[1]: m[4] for m in risk.of_sensitive("after", np.zeros(7, np.int64), who, "c", values)}
    assert found["highest_share"] == 1
    assert found["l_distinct"] == 2
    rows = {m[1]: m[4] for m in risk.of_sensitive("after", np.zeros(7, np.int64), Rows(rows=who.rows), "c", values)}
    assert rows["l_distinct"] == 3


def test_the_twin_of_sets_sees_how_often() -> None:
    classes = slow_alike({0: "x", 1: "x", 2: "x"}, ["a", "a", "b"], linked=True)
    assert classes[0] == classes[1] != classes[2]
