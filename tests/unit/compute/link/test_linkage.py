import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

from tests.reference.link import ignore, people
from tests.support.refusals import refused
from worker.compute.operations.link import (
    Comparison,
    Condition,
    Key,
    Level,
    Link,
    Linked,
    Model,
    Rule,
    link,
)
from worker.compute.operations.link.blocking import CHUNK, plan
from worker.compute.operations.link.codes import Code
from worker.compute.operations.link.columns import read_table
from worker.compute.operations.link.comparison import comparer
from worker.compute.operations.link.linkage import MEMORY
from worker.compute.operations.link.outputs import BLOCKS, PAIRS, PATTERNS
from worker.compute.operations.link.splink_import import UnsupportedModelError, from_splink
from worker.compute.operations.link.training import train
from worker.compute.parameters import decoded
from worker.compute.status_codes import ValueCode
from worker.errors import Reason

_SAME, _ELSE = Level(label="the same", conditions=(Condition(column="last"),)), Level(label="different")
_LAST = Comparison(name="surname", levels=(_SAME, _ELSE))
_BY_LAST = Rule(keys=(Key(column="last"),))
_MODEL = Model(comparisons=(_LAST,), blocking=(_BY_LAST,), prior=0.01)


def _given(m: float, u: float, *, frequency: bool = False) -> Model:
    levels = (
        replace(_SAME, m=m, u=u, tf_adjustment_column="last" if frequency else ""),
        replace(_ELSE, m=1 - m, u=1 - u),
    )
    return replace(_MODEL, comparisons=(replace(_LAST, levels=levels),))


def _link(batch: pa.RecordBatch, **parameters: Any) -> Linked:
    return link([batch], batch.schema, Link(**parameters), ignore)


def _part(found: Linked, name: str) -> list[dict[str, Any]]:
    schema = {part.name: part.schema.arrow for part in (PAIRS, PATTERNS, BLOCKS)}[name]
    rows: list[dict[str, Any]] = pa.Table.from_batches(found.report.batches()[name], schema).to_pylist()
    return rows


# ------------------------------------------------------------------ parameters


def _fields(**fields: object) -> dict[str, object]:
    return fields


@pytest.mark.parametrize(
    "parameters",
    [
        _fields(match=0.5, clerical_review_threshold=0.6),
        _fields(match=1.0),
        _fields(clerical_review_threshold=0.0),
        _fields(block_rows=1),
        _fields(pairs=0),
        _fields(seed=-1),
        _fields(random_pairs=10),
        _fields(oversized="cut"),
        _fields(model=replace(_MODEL, split=(Key(column="last", form="prefix"),))),
        _fields(model=replace(_MODEL, split=(Key(column="last", length=3),))),
        _fields(model=replace(_MODEL, comparisons=())),
        _fields(model=replace(_MODEL, comparisons=(_LAST, _LAST))),
        _fields(model=replace(_MODEL, blocking=())),
        _fields(model=replace(_MODEL, prior=None)),
        _fields(model=replace(_MODEL, prior=1.0)),
        _fields(model=replace(_MODEL, comparisons=(replace(_LAST, levels=(_SAME,)),))),
        _fields(model=replace(_MODEL, comparisons=(replace(_LAST, levels=(_SAME, _SAME)),))),
        _fields(model=replace(_MODEL, comparisons=(replace(_LAST, levels=(_ELSE, _ELSE)),))),
        _fields(model=replace(_MODEL, comparisons=(replace(_LAST, levels=(replace(_SAME, m=0.9), _ELSE)),))),
        _fields(model=replace(_MODEL, comparisons=(replace(_LAST, initial_m=(1.0,)),))),
        _fields(
            model=replace(
                _MODEL, comparisons=(replace(_LAST, levels=(replace(_SAME, tf_adjustment_column="first"), _ELSE)),)
            )
        ),
        _fields(
            model=replace(
                _MODEL,
                comparisons=(
                    replace(
                        _LAST,
                        levels=(Level(label="x", conditions=(Condition(column="last", test="jaro_winkler"),)), _ELSE),
                    ),
                ),
            )
        ),
        *(
            _fields(
                model=replace(
                    _MODEL, comparisons=(replace(_LAST, levels=(Level(label="x", conditions=(wrong,)), _ELSE)),)
                )
            )
            for wrong in (
                Condition(column="last", test="exchanged"),
                Condition(column="last", test="exchanged", other="last"),
                Condition(column="last", test="same", other="first"),
            )
        ),
        _fields(model=replace(_MODEL, prior=None, deterministic_rules=(_BY_LAST,), recall=0.0)),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, object]) -> None:
    assert decoded(Link, {"model": _MODEL}) == Link(model=_MODEL)
    with refused(Reason.BAD_PARAMETERS):
        decoded(Link, parameters)


@pytest.mark.parametrize(
    "model",
    [
        replace(_MODEL, blocking=(Rule(keys=(Key(column="first"),)),)),
        replace(_MODEL, blocking=(Rule(keys=(Key(column="last", form="year"),)),)),
        replace(
            _MODEL,
            comparisons=(
                Comparison(
                    name="x",
                    levels=(
                        Level(label="x", conditions=(Condition(column="last", test="crossed", other="first"),)),
                        _ELSE,
                    ),
                ),
            ),
        ),
        replace(
            _MODEL,
            comparisons=(
                Comparison(
                    name="x", levels=(Level(label="x", conditions=(Condition(column="last", test="year"),)), _ELSE)
                ),
            ),
        ),
    ],
)
def test_a_model_of_other_columns_is_refused(model: Model) -> None:
    with refused(Reason.BAD_PARAMETERS):
        _link(people(last=["A", "B"]), model=model)


def test_records_without_a_column_to_block_by_are_refused() -> None:
    with refused(Reason.BAD_PARAMETERS):
        _link(people(SEX=["M", "F"]))


# ------------------------------------------------------------------ blocks


@pytest.mark.parametrize("limits", [{"pairs": 44}, {"block_rows": 9}, {"memory": 1 << 20, "rows": 200}])
def test_a_limit_is_enforced_before_a_pair_is_compared(limits: dict[str, int]) -> None:
    steps: list[str] = []
    batch = people(last=["SMITH"] * limits.pop("rows", 10))
    memory = limits.pop("memory", MEMORY)
    parameters = Link(model=_given(0.9, 0.1), oversized="refuse", **limits)  # type: ignore[arg-type]
    with refused(Reason.LIMIT_EXCEEDED):
        link([batch], batch.schema, parameters, lambda step, _: steps.append(step), memory=memory)
    assert steps == ["count"]


def test_a_block_that_is_too_large_is_split_and_reported() -> None:
    batch = people(last=["SMITH"] * 6, SEX=["M", "M", "M", "F", "F", None])
    split = (Key(column="SEX"),)
    model = replace(_given(0.9, 0.1), split=split)
    found = _link(batch, model=model, block_rows=3, clerical_review_threshold=1e-3)
    pairs = {(row["left"], row["right"]) for row in _part(found, "pairs")}
    assert pairs == {(0, 1), (0, 2), (1, 2), (3, 4)}
    (block,) = _part(found, "blocks")
    assert (block["split"], block["split_rows"], block["pairs"], block["largest"]) == (1, 6, 4, 3)
    with refused(Reason.LIMIT_EXCEEDED):
        _link(batch, model=model, block_rows=2)


def test_a_rule_with_too_many_pairs_is_left_out_and_reported() -> None:
    batch = people(last=["SMITH"] * 4, first=["A", "A", "B", "C"])
    rules = (Rule(keys=(Key(column="last"),), most_pairs=5), Rule(keys=(Key(column="first"),)))
    found = _link(batch, model=replace(_given(0.9, 0.1), blocking=rules), clerical_review_threshold=1e-3)
    assert [(row["left"], row["right"]) for row in _part(found, "pairs")] == [(0, 1)]
    wide, narrow = _part(found, "blocks")
    assert (wide["left_out"], wide["pairs"], wide["new_pairs"]) == (True, 6, 0)
    assert (narrow["left_out"], narrow["pairs"], narrow["new_pairs"]) == (False, 1, 1)
    assert found.status.rows[found.status.codes == Code.NO_BLOCKING_KEY].tolist() == []


@pytest.mark.parametrize(("most", "pairs"), [(4, 4), (3, 0)])
def test_pairs_of_two_tables_are_counted_before_they_are_made(most: int, pairs: int) -> None:
    one, other = people(last=["A", "A", "B", None]), people(last=["A", "B", "B", "C"])
    rules = (replace(_BY_LAST, most_pairs=most), Rule(keys=(Key(column="last"), Key(column="last", form="soundex"))))
    model = replace(_given(0.9, 0.1), blocking=rules)
    found = link([one], one.schema, Link(model=model, clerical_review_threshold=1e-3), ignore, side=[other])
    blocks = _part(found, "blocks")
    assert [row["pairs"] for row in blocks] == [4, 4]
    assert [row["new_pairs"] for row in blocks] == [pairs, 4 - pairs]


def test_a_pair_counts_for_its_first_rule_only() -> None:
    batch = people(last=["SMITH", "SMITH"], first=["A", "A"])
    rules = (Rule(keys=(Key(column="last"),)), Rule(keys=(Key(column="first"),)))
    found = _link(batch, model=replace(_given(0.9, 0.1), blocking=rules), clerical_review_threshold=1e-3)
    assert [row["new_pairs"] for row in _part(found, "blocks")] == [1, 0]
    assert len(found.report.pairs) == 1


# ------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("column", "form", "length", "same", "other"),
    [
        ("last", "whole", 0, ("O'Brien", " OBRIEN"), "OBRYEN"),
        ("last", "soundex", 0, ("SMITH", "SMYTHE"), "JONES"),
        ("last", "prefix", 3, ("JOHNSON", "JOHNSTON"), "JONES"),
        ("DOB", "whole", 0, ("19800102", "1980-01-02"), "19800103"),
        ("DOB", "year", 0, ("19800102", "1980-12-XX"), "19810102"),
        ("DOB", "year_month", 0, ("19800102", "1980-01-XX"), "19800202"),
        ("DOB", "month_day", 0, ("19800102", "19990102"), "19800201"),
        ("SOC", "whole", 0, ("123-45-6789", "123456789"), "123456780"),
    ],
)
def test_a_key_brings_together_what_it_says(
    column: str, form: Any, length: int, same: tuple[str, str], other: str
) -> None:
    columns: dict[str, list[str | None]] = {"last": ["SMITH"] * 4, column: [*same, other, None]}
    batch = people(**columns)
    rules = (Rule(keys=(Key(column=column, form=form, length=length),)),)
    found = _link(batch, model=replace(_given(0.9, 0.1), blocking=rules), clerical_review_threshold=1e-6)
    assert list(zip(found.report.pairs.left, found.report.pairs.right, strict=True)) == [(0, 1)]


@pytest.mark.parametrize(
    ("column", "test", "number", "yes", "no"),
    [
        ("first", "nickname", 0, ("BILL", "WILLIAM"), ("BILL", "MARY")),
        ("first", "prefix", 1, ("JOHN", "JACK"), ("JOHN", "MARK")),
        ("last", "jaro_winkler", 0.9, ("MARTHA", "MARHTA"), ("MARTHA", "MILLER")),
        ("last", "soundex", 0, ("SMITH", "SMYTH"), ("SMITH", "JONES")),
        ("DOB", "date", 0, ("198001XX", "19800102"), ("198001XX", "19800202")),
        ("DOB", "date_slip", 0, ("19800102", "19800201"), ("19800102", "19911231")),
        ("DOB", "year", 0, ("19800102", "19801231"), ("19800102", "19810102")),
        ("DOB", "year_month", 0, ("19800102", "198001XX"), ("19800102", "19800202")),
        ("DOB", "date_slip", 0, ("19808612", "19800612"), ("19808612", "19840613")),
        ("SOC", "number_slip", 0, ("123456789", "123456798"), ("123456789", "987654321")),
        ("SOC", "number_slip", 0, ("XXXXX6789", "123456789"), ("XXXXX6789", "123459999")),
    ],
)
def test_a_level_holds_where_it_says(
    column: str, test: Any, number: float, yes: tuple[str, str], no: tuple[str, str]
) -> None:
    level = Level(label="x", conditions=(Condition(column=column, test=test, number=number),), m=0.9, u=0.1)
    model = Model(
        comparisons=(Comparison(name="x", levels=(level, Level(label="y", m=0.1, u=0.9))),),
        blocking=(Rule(keys=()),),
        prior=0.5,
    )
    holds = [
        _link(people(**{column: list(values)}), model=model, clerical_review_threshold=1e-3).report.pairs
        for values in (yes, no)
    ]
    assert [one.weight[0] for one in holds] == pytest.approx([np.log2(9), -np.log2(9)])


@pytest.mark.parametrize(
    ("other", "level"),
    [
        (("smith", "John"), 0),
        (("SMITH", "ADAM"), 1),
        (("ADAM", "JOHN"), 1),
        (("JOHN", "SMITH"), 2),
        (("JOHN", "ADAM"), 2),
        (("SMITH", None), None),
    ],
)
def test_names_in_each_others_place(other: tuple[str, str | None], level: int | None) -> None:
    tests = ("exchanged", "crossed")
    given = [Condition(column="first", test=test, other="last") for test in tests]  # type: ignore[arg-type]
    levels = (
        Level(label="x", conditions=(given[0],), m=0.5, u=0.1),
        Level(label="y", conditions=(given[1],), m=0.3, u=0.1),
        Level(label="z", m=0.2, u=0.8),
    )
    model = Model(
        comparisons=(Comparison(name="x", levels=levels),), blocking=(Rule(keys=(Key(column="DOB"),)),), prior=0.5
    )
    expected = 0 if level is None else np.log2([5, 3, 0.25][level])
    for rows in ((("JOHN", "SMITH"), other), (other, ("JOHN", "SMITH"))):
        first, last = zip(*rows, strict=True)
        found = _link(people(first=first, last=last, DOB=["19800101"] * 2), model=model, clerical_review_threshold=1e-3)
        assert found.report.pairs.weight == pytest.approx([expected])


def test_names_come_from_the_whole_name() -> None:
    batch = people(NAM=["SMITH, JOHN A", "SMITH,JOHN", "SMITH", None])
    rules = (Rule(keys=(Key(column="last"), Key(column="first"))),)
    found = _link(batch, model=replace(_given(0.9, 0.1), blocking=rules), clerical_review_threshold=1e-3)
    assert list(zip(found.report.pairs.left, found.report.pairs.right, strict=True)) == [(0, 1)]
    assert found.status.rows[found.status.codes == Code.NO_BLOCKING_KEY].tolist() == [2, 3]


def test_an_identifier_without_a_digit_is_none() -> None:
    batch = people(SOC=["UNKNOWN", "UNKNOWN", "000000000", "000000000"], last=["A"] * 4)
    found = _link(batch, model=replace(_given(0.9, 0.1), blocking=(Rule(keys=(Key(column="SOC"),)),)))
    assert not len(found.report.pairs)
    assert found.status.counts() == (0, 0, 0, 4)


@pytest.mark.parametrize(
    ("column", "nothing"),
    [
        ("DOB", "XXXXXXXX"),
        ("DOB", "XXXX-XX-XX"),
        ("DOB", "XX"),
        ("DOB", "----"),
        ("SOC", "XXXXXXXXX"),
        ("SOC", "XXX-XX-XXXX"),
        ("postcode", "XXXXX"),
        ("postcode", "-"),
        ("postcode", "00000"),
        ("HGT", "XXX"),
    ],
)
def test_a_value_of_which_nothing_is_known_is_none(column: str, nothing: str) -> None:
    batch = people(last=["A"] * 3, **{column: [nothing, nothing.lower(), "19800101"]})
    key = Rule(keys=(Key(column=column),))
    assert not len(
        _link(batch, model=replace(_given(0.9, 0.1), blocking=(key,)), clerical_review_threshold=1e-3).report.pairs
    )
    test = "date_slip" if column == "DOB" else "number_slip"
    level = Level(label="x", conditions=(Condition(column=column, test=test),), m=0.9, u=0.1)  # type: ignore[arg-type]
    comparison = Comparison(name="x", levels=(level, Level(label="y", m=0.1, u=0.9)))
    found = _link(
        batch,
        model=replace(_MODEL, comparisons=(comparison,), blocking=(Rule(keys=()),)),
        clerical_review_threshold=1e-3,
    )
    assert found.report.pairs.weight == pytest.approx([np.log2(0.01 / 0.99)] * 3)  # the prior's: nothing was said


@pytest.mark.parametrize(
    ("column", "values"),
    [("SOC", ["XXXXX6789", "XXXXX4321"]), ("postcode", ["XXX10", "XXX20"]), ("DOB", ["XXXX0102", "XXXX0304"])],
)
def test_a_prefix_of_which_nothing_is_known_is_no_key(column: str, values: list[str]) -> None:
    rules = (Rule(keys=(Key(column=column, form="prefix", length=3),)),)
    found = _link(people(last=["A"] * 2, **{column: values}), model=replace(_given(0.9, 0.1), blocking=rules))
    assert found.status.codes.tolist() == [Code.NO_BLOCKING_KEY] * 2


def test_x_in_a_name_is_a_letter() -> None:
    rules = (Rule(keys=(Key(column="last", form="prefix", length=1),)),)
    found = _link(
        people(last=["X", "X"]), model=replace(_given(0.9, 0.1), blocking=rules), clerical_review_threshold=1e-3
    )
    assert len(found.report.pairs) == 1


def test_a_date_that_is_none_is_missing_and_its_row_partly_used() -> None:
    batch = people(last=["SMITH", "SMITH", "LEE", "LEE"], DOB=["1 May 80", "19800101", "19801399", "19800101"])
    found = _link(batch)
    assert found.status.counts() == (2, 0, 2, 0)
    assert found.status.rows.tolist() == [0, 2]
    assert found.status.columns.tolist() == [1, 1]
    assert set(found.status.codes.tolist()) == {ValueCode.NOT_A_DATE}
    table = read_table([batch], (), frozenset(("DOB",)), linking=False)
    assert table.columns["DOB"].code.tolist() == [-1, 0, 1, 0]


@pytest.mark.parametrize("side", [None, 0, 1])
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_next_to_nothing_is_linked_with_nothing(rows: int, side: int | None) -> None:
    batch = people(last=[None] * rows, DOB=[None] * rows, SOC=[None] * rows)
    other = None if side is None else [people(last=[None] * side)]
    found = link([batch], batch.schema, Link(), ignore, side=other)
    assert found.cluster.tolist() == list(range(rows))
    assert not len(found.report.pairs)
    assert found.status.counts() == (0, 0, 0, rows)
    assert {row["pairs"] for row in _part(found, "blocks")} == {0}


def test_an_empty_second_table_has_no_partners() -> None:
    batch = people(last=["SMITH", "SMITH"])
    found = link([batch], batch.schema, Link(model=_given(0.9, 0.1), clerical_review_threshold=1e-3), ignore, side=[])
    assert not len(found.report.pairs)
    assert found.cluster.tolist() == [0, 1]


def test_any_bytes_are_values() -> None:
    junk = [b"\xff\xfeO'B\xc3\x28", b"", None, b"\x00", b"A\x00B", b"\n,", b"x" * 400, b"\xc3\x89", b"\xc3"]
    n = len(junk)
    columns = {
        name: pa.array([junk[(i * step) % n] for i in range(4 * n)], pa.binary())
        for step, name in enumerate(("first", "last", "DOB", "SOC", "postcode"), 1)
    }
    found = _link(pa.RecordBatch.from_pydict(columns))
    assert sum(found.status.counts()) == 4 * n
    nam = _link(pa.RecordBatch.from_pydict({"NAM": columns["first"], "DOB": columns["DOB"]}))
    assert sum(nam.status.counts()) == 4 * n


# ------------------------------------------------------------------ weights


def test_a_rare_name_says_more_than_a_common_one() -> None:
    names = ["SMITH"] * 6 + ["ZYWICKI"] * 2
    found = _link(people(last=names), model=_given(0.9, 0.1, frequency=True), clerical_review_threshold=1e-3)
    by_pair = {(row["left"], row["right"]): row for row in _part(found, "pairs")}
    prior = np.log2(0.01 / 0.99)
    assert by_pair[0, 1]["weight"] == pytest.approx(prior + np.log2(0.9 / (6 / 8)))
    assert by_pair[6, 7]["weight"] == pytest.approx(prior + np.log2(0.9 / (2 / 8)))
    assert by_pair[6, 7]["frequency"] == pytest.approx(np.log2(0.1 / (2 / 8)))


def test_patterns_and_frequencies_add_up_to_weights() -> None:
    batch = people(
        first=["JOHN", "JON", "MARY", "MARY", None, "ANNA"],
        last=["SMITH", "SMITH", "JONES", "JONS", "JONES", "LEE"],
        DOB=["19800101", "19800102", "19900303", "19900303", "19900303", None],
    )
    found = _link(batch, clerical_review_threshold=1e-9)
    totals: dict[int, float] = {}
    for line in _part(found, "patterns"):
        totals[line["pattern"]] = totals.get(line["pattern"], 0.0) + line["weight"]
        assert line["weight"] == 0 or line["words"]
    pairs = _part(found, "pairs")
    assert len(pairs) >= 4
    for row in pairs:
        assert row["weight"] == pytest.approx(totals[row["pattern"]] + row["frequency"])
        assert row["probability"] == pytest.approx(1 / (1 + 2 ** -row["weight"]))


def test_words_say_what_a_level_weighs() -> None:
    found = _link(people(last=["SMITH", "SMITH"]), model=_given(0.9, 0.01), clerical_review_threshold=1e-3)
    prior, line = _part(found, "patterns")
    assert prior["words"] == "of two records taken at random, one pair in 100 is of one person"
    assert line["words"] == (
        "surname: the same; in 90.0 % of pairs of one person, in 1.00 % of pairs of different persons: "
        "90.0 times as likely for one person"
    )


def test_a_pair_for_a_clerk_joins_nothing() -> None:
    model = replace(_given(0.9, 0.1), prior=0.5)
    batch = people(last=["SMITH", "SMITH"])
    found = _link(batch, model=model, match=0.95, clerical_review_threshold=0.5)
    assert [row["match"] for row in _part(found, "pairs")] == [False]
    assert found.cluster.tolist() == [0, 1]
    assert _link(batch, model=model, match=0.89, clerical_review_threshold=0.5).cluster.tolist() == [0, 0]


def test_the_prior_comes_from_deterministic_rules_and_recall() -> None:
    names = ["A", "A", "B", "B", "C", "D", "E", "F"]
    model = replace(_given(0.9, 0.1), prior=None, deterministic_rules=(_BY_LAST, _BY_LAST), recall=0.5)
    assert _link(people(last=names), model=model).report.trained.prior == pytest.approx(2 / 0.5 / 28)


def test_the_recall_is_estimated_from_m() -> None:
    columns = ("first", "last", "city", "county")
    comparisons = [
        Comparison(
            name=name, levels=(Level(label="the same", conditions=(Condition(column=name),)), Level(label="different"))
        )
        for name in columns
    ]
    model = Model(
        comparisons=tuple(comparisons),
        blocking=tuple(Rule(keys=(Key(column=name),)) for name in columns),
        deterministic_rules=(
            Rule(keys=(Key(column="first"), Key(column="last"))),
            Rule(keys=(Key(column="city"), Key(column="county"))),
        ),
    )
    whole = _persons(columns, agree=0.6, values=5000)
    assert _link(whole, model=model).report.trained.prior == pytest.approx(600 / 719_400, rel=0.1)
    there = np.random.default_rng(8).random(1200) < 0.7
    some = [value.as_py() if yes else None for value, yes in zip(whole.column(0), there, strict=True)]
    missing = people(**{name: whole.column(name).to_pylist() for name in columns[1:]}, first=some)
    assert _link(missing, model=model).report.trained.prior == pytest.approx(600 / 719_400, rel=0.1)
    told = _link(whole, model=replace(model, recall=1.0)).report.trained.prior
    assert told == pytest.approx(0.59 * 600 / 719_400, rel=0.1)  # 1 - (1 - 0.36) ** 2


def test_records_of_one_person_do_not_make_their_name_common() -> None:
    """Of ten records of each of forty persons of as many names, a name is as rare as persons of it are."""
    names = [f"{name:03d}" for name in range(40) for _ in range(10)] + ["COMMON"] * 20
    persons = [name + str(i % 2) if name == "COMMON" else name for i, name in enumerate(names)]
    batch = people(last=names, SOC=[f"{100 + sorted(set(persons)).index(one)}" for one in persons])
    model = Model(
        comparisons=(
            replace(_LAST, levels=(replace(_SAME, tf_adjustment_column="last"), _ELSE)),
            Comparison(name="SOC", levels=(Level(label="the same", conditions=(Condition(column="SOC"),)), _ELSE)),
        ),
        blocking=(_BY_LAST, Rule(keys=(Key(column="SOC"),))),
        prior=0.02,
    )
    found = _link(batch, model=model, clerical_review_threshold=1e-6)
    u = found.report.trained.u[0][0]
    shares = np.array([10 / 420] * 40 + [20 / 420])
    own = (shares**2).sum() - u
    assert own == pytest.approx(10 / 420, rel=0.1)
    by_pair = {(row["left"], row["right"]): row["frequency"] for row in _part(found, "pairs")}
    assert by_pair[400, 402] == pytest.approx(np.log2(u / (20 / 420 - own)))
    assert by_pair[0, 1] == pytest.approx(np.log2(u / max(10 / 420 - own, min(u, 1 / 420))))


def test_of_two_values_the_more_frequent_one_counts() -> None:
    similar = Level(
        label="alike",
        conditions=(Condition(column="last", test="jaro_winkler", number=0.8),),
        m=0.3,
        u=0.2,
        tf_adjustment_column="last",
    )
    levels = (replace(_SAME, m=0.6, u=0.1), similar, replace(_ELSE, m=0.1, u=0.7))
    model = replace(_MODEL, comparisons=(replace(_LAST, levels=levels),), blocking=(Rule(keys=()),))
    found = _link(people(last=["JOHNSON"] * 3 + ["JOHNSTON"]), model=model, clerical_review_threshold=1e-4)
    frequencies = {(row["left"], row["right"]): row["frequency"] for row in _part(found, "pairs")}
    assert frequencies[0, 1] == 0
    assert frequencies[0, 3] == pytest.approx(np.log2(0.1 / (3 / 4)))


# ------------------------------------------------------------------ training


def _persons(columns: tuple[str, ...], *, agree: float, values: int) -> pa.RecordBatch:
    """Two records of each of 600 persons, of which each value of the second one is kept with probability `agree`."""
    rng = np.random.default_rng(7)
    made = {}
    for name in columns:
        first = rng.integers(0, values, 600)
        second = np.where(rng.random(600) < agree, first, rng.integers(0, values, 600))
        made[name] = [f"{int(value):05d}" for value in (*first, *second)]
    return people(**made)


def test_training_takes_no_more_memory_for_more_pairs() -> None:
    rng = np.random.default_rng(2)
    names = [f"{number:04d}" for number in rng.integers(0, 2000, 4000)]
    table = read_table([people(last=names, first=names[::-1])], (), frozenset(("last", "first")), linking=False)
    model = replace(
        _MODEL,
        comparisons=(
            _LAST,
            Comparison(name="first", levels=(replace(_SAME, conditions=(Condition(column="first"),)), _ELSE)),
        ),
    )
    comparers = [comparer(one, table) for one in model.comparisons]
    peaks = []
    for pairs in (1 << 17, 1 << 21):
        parameters = Link(random_pairs=pairs, training_pairs=pairs)
        blocking = plan(table, (Rule(keys=()),), (), parameters)
        tracemalloc.start()
        train(
            model, table, comparers, parameters, blocking=blocking, deterministic_rules=plan(table, (), (), parameters)
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 1.2 * min(peaks) < 24 << 20


@pytest.mark.parametrize("most", [1_000, 3_000_000])
def test_a_sample_is_of_the_pairs_of_its_rule(most: int) -> None:
    """In chunks, each pair at most once, and all where there are no more."""
    table = read_table([people(last=["A"] * 700 + ["B"] * 1000)], (), frozenset(("last",)), linking=False)
    blocking = plan(table, (_BY_LAST,), (), Link())
    chunks = list(blocking.sample(0, most, np.random.default_rng(3)))
    left, right = (np.concatenate(side) for side in zip(*chunks, strict=True))
    assert len(set(zip(left.tolist(), right.tolist(), strict=True))) == len(left) == min(most, 744_150)
    assert ((left < right) & ((left < 700) == (right < 700))).all()
    assert max(len(one) for one, _ in chunks) <= CHUNK


def test_training_finds_m_and_u_from_pairs() -> None:
    columns = ("first", "last", "city", "county")
    exact = [
        Comparison(
            name=name, levels=(Level(label="the same", conditions=(Condition(column=name),)), Level(label="different"))
        )
        for name in columns
    ]
    model = Model(
        comparisons=tuple(exact),
        blocking=tuple(Rule(keys=(Key(column=name),)) for name in columns[:2]),
        prior=600 / 719_400,
    )
    trained = _link(_persons(columns, agree=0.7, values=5000), model=model).report.trained
    assert [m[0] for m in trained.m] == pytest.approx([0.7] * 4, abs=0.06)
    # of all pairs, 0.0008 agree: most of those are one person's
    assert [u[0] for u in trained.u] == pytest.approx([1 / 5000] * 4, rel=0.6)


# ------------------------------------------------------------------ same input, same bytes


def test_the_same_input_gives_the_same_bytes() -> None:
    rng = np.random.default_rng(4)
    batch = people(
        first=rng.choice(["JOHN", "MARY", "ANNA", "BILL"], 300).tolist(),
        last=rng.choice(["SMITH", "JONES", "LEE", "SMYTH"], 300).tolist(),
        DOB=[f"19{year:02d}0101" for year in rng.integers(50, 99, 300)],
    )

    def outputs(pieces: list[pa.RecordBatch]) -> list[bytes]:
        found = link(pieces, batch.schema, Link(random_pairs=2000), ignore)
        batches = [one for part in found.report.batches().values() for one in part]
        return [found.cluster.tobytes(), *(one.serialize().to_pybytes() for one in batches)]

    assert outputs([batch]) == outputs([batch.slice(0, 70), batch.slice(70)])


def test_progress_goes_up_and_says_nothing_of_values() -> None:
    told: list[tuple[str, int]] = []
    batch = people(last=["SMITH"] * 20, first=["JOHN"] * 20)
    link([batch], batch.schema, Link(), lambda step, per_cent: told.append((step, per_cent)))
    assert [step for step, _ in told] == [
        "count",
        "train",
        "compare",
        *["compare"] * (len(told) - 5),
        "cluster",
        "cluster",
    ]
    assert [per_cent for step, per_cent in told if step == "compare"][-1] == 100


# ------------------------------------------------------------------ models of Splink


def _splink(change: Callable[[dict[str, Any]], object] = lambda _: None) -> bytes:
    level = {
        "sql_condition": '"last_l" = "last_r"',
        "label_for_charts": "Exact",
        "m_probability": 0.9,
        "u_probability": 0.1,
    }
    similar = {
        "sql_condition": 'jaro_winkler_similarity("last_l", "last_r") >= 0.88 AND "first_l" = "first_r"',
        "label_for_charts": "Similar",
        "m_probability": 0.05,
        "u_probability": 0.2,
        "tf_adjustment_column": "last",
        "tf_adjustment_weight": 0.5,
    }
    other = {"sql_condition": "ELSE", "label_for_charts": "Other", "m_probability": 0.05, "u_probability": 0.7}
    null = {"sql_condition": '"last_l" IS NULL OR "last_r" IS NULL', "label_for_charts": "Null", "is_null_level": True}
    settings = {
        "link_type": "dedupe_only",
        "probability_two_random_records_match": 0.001,
        "comparisons": [
            {
                "output_column_name": "last",
                "comparison_description": "x",
                "comparison_levels": [null, level, similar, other],
            }
        ],
        "blocking_rules_to_generate_predictions": [
            {"blocking_rule": '(l."last" = r."last") AND (SUBSTRING(l.first, 1, 3) = SUBSTRING(r.first, 1, 3))'},
            'l."DOB" = r."DOB"',
        ],
    }
    change(settings)
    return json.dumps(settings).encode()


def test_a_model_of_splink_is_read_whole() -> None:
    model = from_splink(_splink())
    assert Link(model=model).model is model
    (comparison,) = model.comparisons
    same, similar, other = comparison.levels
    assert (same.conditions, same.m, same.u) == ((Condition(column="last"),), 0.9, 0.1)
    assert similar.conditions == (Condition(column="last", test="jaro_winkler", number=0.88), Condition(column="first"))
    assert (similar.tf_adjustment_column, similar.tf_adjustment_weight, other.conditions) == ("last", 0.5, ())
    assert [rule.label for rule in model.blocking] == ["last + first first 3", "DOB"]
    assert model.prior == 0.001


def _level(number: int, **values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda settings: settings["comparisons"][0]["comparison_levels"][number].update(values)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda s: s.update(link_type="link_and_dedupe"), "link_type"),
        (lambda s: s.update(new_option=1), "new_option"),
        (lambda s: s.update(probability_two_random_records_match=1.0), "probability_two_random_records_match"),
        (lambda s: s.update(comparisons=[]), "comparisons"),
        (_level(1, sql_condition='levenshtein("last_l", "last_r") <= 1'), "levenshtein"),
        (_level(1, sql_condition='"last_l" = "first_r"'), '"last_l" = "first_r"'),
        (_level(1, sql_condition='"a_l" = "a_r" OR "b_l" = "b_r"'), " OR "),
        (_level(0, sql_condition='"last_l" IS NULL'), "IS NULL"),
        (_level(1, m_probability=None), "m_probability"),
        (_level(1, m_probability=1.0), "m_probability"),
        (_level(2, tf_adjustment_column="first"), "tf_adjustment_column"),
        (_level(2, tf_adjustment_weight=2), "tf_adjustment_weight"),
        (_level(2, tf_minimum_u_value=0.1), "tf_minimum_u_value"),
        (lambda s: s.update(blocking_rules_to_generate_predictions=["l.last = r.first"]), "l.last = r.first"),
        (
            lambda s: s.update(blocking_rules_to_generate_predictions=["SUBSTR(l.a, 1, 3) = SUBSTR(r.a, 1, 4)"]),
            "SUBSTR",
        ),
        (
            lambda s: s["blocking_rules_to_generate_predictions"][0].update(arrays_to_explode=["x"]),
            "arrays_to_explode",
        ),
    ],
)
def test_what_a_model_of_splink_has_besides_is_refused_by_name(
    change: Callable[[dict[str, Any]], object], named: str
) -> None:
    with pytest.raises(UnsupportedModelError) as refused:
        from_splink(_splink(change))
    assert named in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"[" * 100_000, b" " * (1 << 21)])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedModelError):
        from_splink(data)
