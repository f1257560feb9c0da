"""Records on their way in: what a worker takes, from whatever the submitter has in memory."""

import datetime
import decimal
from collections.abc import Iterator

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from cji_client.errors import SpecError
from cji_client.sources import Batches, Source, fit
from cji_client.spec import InputSpec
from cji_core.format.job import LIMITS

TABLE = pa.table({"record_id": ["007", None], "DOB": ["1982-02-XX", "19151111"]})


def read(source: Source, schema: str = "person/1", **fields: object) -> pa.Table:
    fitted = fit(source, InputSpec(schema=schema, **fields))  # type: ignore[arg-type]
    opened = fitted.open()
    return pa.Table.from_batches(opened.batches, schema=opened.schema)


def one(name: str, values: pa.Array, schema: str = "person/1") -> pa.Array:
    """The values of one column after they were read."""
    return read(pa.table({name: values}), schema)[name].combine_chunks()


def test_columns_are_renamed_and_dropped() -> None:
    table = pa.table({"id": ["7"], "born": ["1915"], "note": ["x"]})
    read_table = read(table, rename={"id": "record_id", "born": "last"}, drop=("note",))
    assert read_table.to_pydict() == {"record_id": ["7"], "last": ["1915"]}
    for fields, says in (
        ({"rename": {"absent": "DOB"}, "drop": ("note",)}, "rename: the input has no column absent"),
        ({"drop": ("note", "gone")}, "drop: the input has no column gone"),
        ({"rename": {"id": "last", "born": "record_id"}}, "unknown: note"),
        ({"rename": {"id": "note"}}, "two columns of the input have one name: note"),
    ):
        with pytest.raises(SpecError, match=says):
            read(table, **fields)


def test_every_form_of_source_gives_the_same_records() -> None:
    batches = TABLE.to_batches()
    sources: tuple[Source, ...] = (
        TABLE,
        batches[0],
        batches,
        tuple(batches),
        iter(batches),
        pa.RecordBatchReader.from_batches(TABLE.schema, batches),
        lambda: Batches(schema=TABLE.schema, batches=iter(batches)),
        TABLE.to_pandas(),
        pl.from_arrow(TABLE),
        fit(TABLE, InputSpec(schema="person/1")),
    )
    for source in sources:
        assert read(source).to_pydict() == TABLE.to_pydict(), type(source)
    for nothing in ([], ["a"], [{"record_id": "a"}]):
        with pytest.raises(SpecError, match="not record batches"):
            read(nothing)
    assert read(TABLE.slice(0, 0)).num_rows == 0


def test_sources_that_can_be_read_only_once_are_known() -> None:
    spec = InputSpec(schema="person/1")
    for source in (TABLE, TABLE.to_pandas(), pl.from_arrow(TABLE), TABLE.to_batches()):
        fitted = fit(source, spec)
        assert (fitted.opens_again, fitted.rows) == (True, 2)
        assert [sum(b.num_rows for b in fitted.open().batches) for _ in range(2)] == [2, 2]
    for source in (TABLE.to_reader(), iter(TABLE.to_batches())):
        fitted = fit(source, spec)
        assert (fitted.opens_again, fitted.rows) == (False, None)
        assert sum(b.num_rows for b in fitted.open().batches) == 2


def test_a_source_with_another_schema_is_refused() -> None:
    with pytest.raises(SpecError, match="another schema than hotfile/1"):
        fit(fit(TABLE, InputSpec(schema="person/1")), InputSpec(schema="hotfile/1"))


def test_an_input_that_changes_between_its_readings_is_refused() -> None:
    sizes = iter([2, 1])

    def shrinking() -> Batches:
        return Batches(schema=TABLE.schema, batches=iter(TABLE.slice(0, next(sizes)).to_batches()))

    fitted = fit(shrinking, InputSpec(schema="person/1"))
    with pytest.raises(SpecError, match="changed while it was read: 2 rows, then 1"):
        list(fitted.open().batches)


def test_encodings_that_workers_refuse_are_undone() -> None:
    text = ["a", None]
    for column in (
        pa.array(text).dictionary_encode(),
        pa.array(text, pa.large_string()),
        pa.array(text, pa.string_view()),
        pa.RunEndEncodedArray.from_arrays(pa.array([1, 2], pa.int32()), pa.array(text)),
    ):
        found = one("record_id", column)
        assert (found.type, found.to_pylist()) == (pa.string(), text)
    for binary in (pa.large_binary(), pa.binary_view(), pa.binary(1)):
        found = one("record_id", pa.array([b"a", None], binary))
        assert (found.type, found.to_pylist()) == (pa.binary(), [b"a", None])
    assert one("record_id", pa.nulls(2)).type == pa.string()


DAY = datetime.date(1982, 2, 14)
NOON = datetime.datetime(1982, 2, 14, 23, 30, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("DOB", pa.array([DAY, None], pa.date32()), ["19820214", None]),
        ("DOB", pa.array([DAY], pa.date64()), ["19820214"]),
        ("DOB", pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ns")), ["19820214"]),
        ("DOB", pa.array([NOON], pa.timestamp("us", "UTC")), ["19820214"]),
        ("DOB", pa.array([NOON], pa.timestamp("us", "America/New_York")), ["19820214"]),
        ("DOB", pa.array([NOON], pa.timestamp("us", "Europe/Berlin")), ["19820215"]),
        ("DOB", pa.array([19820214, None], pa.int64()), ["19820214", None]),
        ("SOC", pa.array([123456789, None], pa.uint32()), ["123456789", None]),
        ("SOC", pa.array([123456789.0, None]), ["123456789", None]),
        ("SOC", pa.array([decimal.Decimal("123456789")], pa.decimal128(9, 0)), ["123456789"]),
        ("SOC", pa.array([decimal.Decimal("123456789.00")], pa.decimal128(11, 2)), ["123456789"]),
        ("cluster", pa.array(["12", None]), [12, None]),
        ("cluster", pa.array([12, None], pa.int8()), [12, None]),
    ],
)
def test_types_are_cast_by_the_schema(name: str, values: pa.Array, text: list[str | None]) -> None:
    assert one(name, values).to_pylist() == text


def test_flags_are_words_of_yes_and_no() -> None:
    words = ["true", "FALSE", " Y", "no", "1", "0", "t", "", None]
    found = one("sealed", pa.array(words), "chri_event/1")
    assert found.to_pylist() == [True, False, True, False, True, False, True, None, None]
    assert one("sealed", pa.array([b"true"]), "chri_event/1").to_pylist() == [True]


@pytest.mark.parametrize(
    ("name", "values", "schema", "says"),
    [
        ("DOB", pa.array([True]), "person/1", "column DOB: found bool, wanted string or binary (a date)"),
        (
            "last",
            pa.array([DAY], pa.date32()),
            "person/1",
            r"column last: found date32\[day\], wanted string or binary$",
        ),
        ("last", pa.array([NOON], pa.timestamp("s", "UTC")), "person/1", "column last: found timestamp"),
        ("last", pa.array([["a"]]), "person/1", "column last: found list"),
        ("cluster", pa.array([1.0]), "person/1", "column cluster: found double, wanted uint64"),
        (
            "SOC",
            pa.array([None, 1.5]),
            "person/1",
            "row 1, column SOC: found a number that is not whole, wanted string",
        ),
        ("SOC", pa.array([float("nan")]), "person/1", "row 0, column SOC: found a number that is not whole"),
        ("SOC", pa.array([2.0**54]), "person/1", "row 0, column SOC: found a number that is not whole"),
        ("SOC", pa.array([decimal.Decimal("1.5")]), "person/1", "row 0, column SOC: found a number with a fraction"),
        ("DOB", pa.array([-3_000_000], pa.date32()), "person/1", "row 0, column DOB: found a year outside of 0001"),
        ("cluster", pa.array(["1", "x"]), "person/1", "row 1, column cluster: found a value that is not valid string"),
        ("cluster", pa.array([3, -1]), "person/1", "row 1, column cluster: found a value that is not valid int64"),
        ("sealed", pa.array(["y", "maybe"]), "chri_event/1", r"row 1, column sealed: found AAAAA \(9 a digit"),
        ("segment", pa.array([1]), "nibrs.flat/3.1", "column segment: found int64, wanted binary"),
    ],
)
def test_what_cannot_be_cast_is_named(name: str, values: pa.Array, schema: str, says: str) -> None:
    with pytest.raises(SpecError, match=says.replace("(a date)", r"\(a date\)")):
        one(name, values, schema)


def test_rows_are_counted_across_batches() -> None:
    batches = pa.table({"SOC": [1.0] * 5 + [0.5]}).to_batches(max_chunksize=2)
    with pytest.raises(SpecError, match="row 5, column SOC"):
        read(batches)


def test_text_that_is_not_utf8_is_named_with_its_row() -> None:
    broken = pa.Array.from_buffers(
        pa.string(),
        3,
        [None, pa.py_buffer(b"".join(n.to_bytes(4, "little") for n in (0, 1, 2, 3))), pa.py_buffer(b"ab\xff")],
    )
    with pytest.raises(SpecError, match="row 2, column last: found a value that is not valid string"):
        one("last", broken)


def test_pandas_columns_of_mixed_types_are_named_without_values() -> None:
    frame = pd.DataFrame({"last": pd.Series(["canary", 5], dtype=object)})
    with pytest.raises(SpecError, match="column last") as caught:
        read(frame)
    assert "canary" not in str(caught.value)
    indexed = pd.DataFrame({"last": ["a"]}, index=["x"])
    with pytest.raises(SpecError, match="unknown: __index_level_0__"):
        read(indexed)
    assert read(indexed, drop=("__index_level_0__",)).to_pydict() == {"last": ["a"]}


def test_frames_with_typed_columns() -> None:
    days = [datetime.date(1982, 2, 14), None]
    frame = pd.DataFrame({"DOB": pd.to_datetime(pd.Series(days)), "SOC": [123456789, None]})
    assert read(frame).to_pydict() == {"DOB": ["19820214", None], "SOC": ["123456789", None]}
    polars = pl.DataFrame({"DOB": days, "SEX": pl.Series(["F", None], dtype=pl.Categorical)})
    assert read(polars).to_pydict() == {"DOB": ["19820214", None], "SEX": ["F", None]}


class Hostile:
    """An object of the other side of the interface, which raises what it likes."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        raise RuntimeError("canary")


def test_faults_of_other_libraries_are_refusals() -> None:
    with pytest.raises(SpecError, match="cannot be read as Arrow") as caught:
        read(Hostile())
    assert "canary" not in str(caught.value)


def test_batches_have_at_most_the_rows_that_workers_take() -> None:
    rows = 2 * LIMITS.batch_rows + 1
    fitted = fit(pa.table({"record_id": ["x"] * rows}).combine_chunks(), InputSpec(schema="person/1"))
    sizes = [batch.num_rows for batch in fitted.open().batches]
    assert sum(sizes) == rows == fitted.rows
    assert len(sizes) > 2
    assert max(sizes) <= LIMITS.batch_rows


@pytest.mark.parametrize(
    ("table", "schema", "says"),
    [
        (pa.table({"colour": ["red"]}), "person/1", "unknown: colour"),
        (pa.table({"record_id": ["a"]}), "person/2", "the schemas are"),
        (pa.table({"record_id": ["a"]}), "nibrs.flat/3.1", "missing: segment"),
        (pa.table({}), "person/1", "does not fit"),
    ],
)
def test_what_does_not_fit_is_named(table: pa.Table, schema: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        read(table, schema)


def test_batches_must_agree() -> None:
    text, other, number = (pa.table(c) for c in ({"record_id": ["a"]}, {"DOB": ["a"]}, {"record_id": [1]}))
    with pytest.raises(SpecError, match="columns"):
        read([*text.to_batches(), *other.to_batches()])
    with pytest.raises(SpecError, match="types"):
        read([*text.to_batches(), *number.to_batches()])


def test_a_reading_can_be_ended_before_each_batch() -> None:
    def endless() -> Batches:
        def batches() -> Iterator[pa.RecordBatch]:
            while True:
                yield TABLE.to_batches()[0]

        return Batches(schema=TABLE.schema, batches=batches())

    seen = list[tuple[int, int]]()

    def watch(rows: int, size: int) -> None:
        seen.append((rows, size))
        if len(seen) == 3:
            raise StopIteration

    with pytest.raises(StopIteration):
        fit(endless, InputSpec(schema="person/1"), watch=watch)
    assert [rows for rows, _ in seen] == [0, 2, 4]
    assert seen[0][1] == 0 < seen[1][1] < seen[2][1]


def test_columns_without_a_value_are_named() -> None:
    table = pa.table({"record_id": ["1", None], "last": pa.nulls(2, pa.string()), "SOC": pa.nulls(2)})
    assert fit(table, InputSpec(schema="person/1")).empty == ("SOC", "last")
    assert fit(table.slice(0, 0), InputSpec(schema="person/1")).empty == ()
