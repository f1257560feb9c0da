"""Columns of cells over several batches: counts, faults, repeated cells, what values become, and what goes back."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from cji_core.format.columns import SqlType
from cji_core.operations.status_codes import CellCode
from cji_operations.sealed_columns import ColumnSealer, OpenedValues, ValueUnfit
from cji_operations.sealed_columns.opened import Places
from tests.reference.sealed_columns import open_cell, seal_cell
from tests.support.sealed_cells import CEK, binary, opener, sealer

IV = b"\7" * 16
OTHER = bytes(32)


def text(value: str, iv: bytes | None = None) -> bytes:
    """A cell of nvarchar."""
    return seal_cell(value.encode("utf-16-le"), CEK, iv)


def test_counts_and_the_first_fault_go_over_batches() -> None:
    column = opener("nvarchar(9)")
    column.open(binary([text("a"), None, text("b")]))
    assert (column.cells, column.good, column.first_fault, column.wrong_key) == (2, 2, None, False)
    opened = column.open(binary([None, text("c"), text("d", IV), b"x", None]))
    assert (column.cells, column.good, column.first_fault, column.wrong_key) == (5, 3, 5, False)
    assert opened.codes.tolist() == [0, 0, CellCode.CELL_IV_RANDOM, CellCode.CELL_LENGTH, 0]
    assert opened.faulty.tolist() == [False, False, True, True, False]
    assert opened.values.to_pylist() == [None, "c", None, None, None]


def test_a_column_of_which_no_cell_verifies_has_another_key() -> None:
    column = opener("nvarchar(9)", cek=OTHER)
    column.open(binary([text("a"), None]))
    column.open(binary([text("b")]))
    assert column.wrong_key
    column.open(binary([b"x", b"\2" + text("c")[1:]]))
    assert column.wrong_key
    column.open(binary([seal_cell(b"a", OTHER)]))  # it verifies, and is none of the type
    assert (column.wrong_key, column.good) == (False, 0)


def test_an_empty_value_is_none_of_null() -> None:
    for kind in ("varchar(5) cp1252", "nvarchar(5)", "varbinary(5)", "varchar(max) utf-8"):
        opened = opener(kind).open(binary([seal_cell(b"", CEK), None]))
        assert opened.values.to_pylist() in (["", None], [b"", None])


def test_a_repeated_cell_is_a_warning_in_any_later_row() -> None:
    column = opener("nvarchar(9)", deterministic=False)
    again = text("a", b"1" * 16)
    first = column.open(binary([text("a", b"2" * 16), again, None, again]))
    second = column.open(binary([again, text("b", b"3" * 16)]))
    assert first.codes.tolist() == [0, 0, 0, CellCode.CELL_REPEATED]
    assert second.codes.tolist() == [CellCode.CELL_REPEATED, 0]
    assert second.values.to_pylist() == ["a", "b"]
    assert (column.good, column.first_fault, second.faulty.tolist()) == (5, None, [False] * 2)
    third = column.open(binary([again]))
    assert third.codes.tolist() == [CellCode.CELL_REPEATED]
    assert column.open(binary([again, again])).values.to_pylist() == ["a", "a"]
    assert CellCode.CELL_REPEATED.warning
    assert sum(code.warning for code in CellCode) == 1


def test_equal_cells_of_a_deterministic_column_are_no_copies() -> None:
    opened = opener("nvarchar(9)").open(binary([text("a"), text("b"), text("a")]))
    assert (opened.values.to_pylist(), opened.codes.tolist()) == (["a", "b", "a"], [0] * 3)


def test_derived_ivs_of_long_values_are_looked_for_in_a_sample() -> None:
    column = opener("varbinary(max)", deterministic=False)
    cells = binary([seal_cell(bytes(1024 + place), CEK) for place in range(33)])
    codes = column.open(cells).codes
    assert np.flatnonzero(codes).tolist() == [0, 1, 17]  # 1024 bytes, then every sixteenth of the longer ones
    again = column.open(binary([seal_cell(bytes(2000), CEK), text("a")])).codes
    assert again.tolist() == [CellCode.CELL_IV_DERIVED] * 2
    every = opener("varbinary(max)").open(binary([seal_cell(bytes(3000), CEK, IV)] * 20))
    assert set(every.codes.tolist()) == {CellCode.CELL_IV_RANDOM}


def test_a_long_column_is_opened_in_pieces() -> None:
    cells = binary([text(f"{row:05d}") for row in range(20_000)])
    opened = opener("nvarchar(5)").open(cells)
    assert opened.values.to_pylist() == [f"{row:05d}" for row in range(20_000)]
    large = binary([seal_cell(bytes((row,)) * 900_000, CEK) for row in range(5)])
    assert [value[0] for value in opener("varbinary(max)").open(large).values.to_pylist()] == list(range(5))


def test_values_become_what_the_column_has() -> None:
    number, flag = seal_cell((5).to_bytes(8, "little"), CEK), seal_cell((1).to_bytes(8, "little"), CEK)
    assert opener("int", target=pa.uint64()).open(binary([number])).values.to_pylist() == [5]
    assert opener("bit", target=pa.bool_()).open(binary([flag])).values.to_pylist() == [True]
    assert opener("bit").open(binary([flag])).values.to_pylist() == ["1"]
    assert opener("int", target=pa.binary()).open(binary([number])).values.to_pylist() == [b"5"]
    below = opener("int", target=pa.uint64()).open(binary([seal_cell(b"\xff" * 8, CEK)]))
    assert (below.codes.tolist(), below.values.to_pylist()) == ([CellCode.CELL_RANGE], [None])
    bytes_ = opener("varbinary(9)", target=pa.utf8()).open(binary([seal_cell(b"ok", CEK), seal_cell(b"\xff", CEK)]))
    assert (bytes_.values.to_pylist(), bytes_.codes.tolist()) == (["ok", None], [0, CellCode.CELL_TEXT])


@pytest.mark.parametrize(("kind", "target"), [("date", pa.bool_()), ("date", pa.uint64()), ("bit", pa.uint64())])
def test_a_type_that_cannot_be_the_column_is_refused(kind: str, target: pa.DataType) -> None:
    with pytest.raises(ValueError, match="can be one of the column"):
        opener(kind, target=target)


def test_of_a_moment_in_a_column_of_dates_the_day_is_taken() -> None:
    moment = sealer("datetime2(7)").seal(pa.array(["1982-02-14T10:11:12.1234567"]))
    assert opener("datetime2(7)", deterministic=False, day=True).open(moment).values.to_pylist() == ["19820214"]
    day = sealer("date").seal(pa.array(["19820214"]))
    assert opener("date", deterministic=False, day=True).open(day).values.to_pylist() == ["19820214"]


GIVEN = [
    ("nvarchar(5)", ["", "é日😀a", None], None),
    ("varchar(9) cp1252", ["Müller"], None),
    ("varchar(9) cp932", ["日本abｶ"], None),
    ("char(4) cp1252", ["ab"], ["ab  "]),
    ("binary(4)", [b"ab"], [b"ab\0\0"]),
    ("decimal(38,10)", ["-12345678901234567890.5", "+7"], ["-12345678901234567890.5000000000", "7.0000000000"]),
    ("smallmoney", ["-214748.3648", "1"], ["-214748.3648", "1.0000"]),
    ("money", ["-922337203685477.5808"], None),
    ("real", ["0.1", "-0"], None),
    ("float", [0.1, 3.0], ["0.1", "3"]),
    ("time(2)", ["10:11", "10:11:12.5"], ["10:11:00.00", "10:11:12.50"]),
    ("datetime2(0)", ["20200229", "2020-02-29 23:59:59"], ["2020-02-29T00:00:00", "2020-02-29T23:59:59"]),
    ("datetimeoffset(0)", ["2026-01-01T00:30:00+01:00"], None),
    ("datetimeoffset(0)", ["2026-01-01 00:30 Z"], ["2026-01-01T00:30:00+00:00"]),
    ("datetime", ["9999-12-31T23:59:59.997", "1753-01-01"], ["9999-12-31T23:59:59.997", "1753-01-01T00:00:00.000"]),
    ("smalldatetime", ["2079-06-06T23:59"], None),
    ("uniqueidentifier", ["6F9619FF-8B86-D011-B42D-00C04FC964FF"], ["6f9619ff-8b86-d011-b42d-00c04fc964ff"]),
    ("bit", [True, False, None], ["1", "0", None]),
    ("bigint", [2**63 - 1, -(2**63)], ["9223372036854775807", "-9223372036854775808"]),
    ("tinyint", ["007"], ["7"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "values", "shown"), GIVEN)
def test_what_is_sealed_opens_again(kind: str, values: list[object], shown: list[object] | None) -> None:
    cells = sealer(kind).seal(pa.array(values))
    opened = opener(kind, deterministic=False).open(cells)
    assert opened.values.to_pylist() == (values if shown is None else shown)
    assert not opened.codes.any()
    assert all(isinstance(open_cell(cell, CEK), bytes) for cell in cells.drop_null().to_pylist())
    assert len(set(cells.drop_null().to_pylist())) == len(cells) - cells.null_count


UNFIT = [
    *(("nvarchar(3)", "😀aa"), ("varchar(3) cp1252", "日"), ("char(2) cp1252", "abc"), ("varbinary(1)", b"ab")),
    *(("tinyint", 256), ("bigint", str(2**63)), ("int", "0x1F"), ("int", "1.0"), ("bit", "true"), ("int", " ")),
    *(("decimal(5,2)", "1000"), ("decimal(5,2)", "1.005"), ("decimal(5,2)", "1e2"), ("smallmoney", "214748.3648")),
    *(("real", "1e39"), ("real", float("nan")), ("float", "inf"), ("date", "2019-02-29"), ("date", "1982-02-XX")),
    *(("time(3)", "24:00"), ("time(3)", "10:11:12.1234"), ("datetime", "1752-12-31"), ("date", "2020-01-01T00:00")),
    *(("datetimeoffset(0)", "0001-01-01T00:00+01:00"), ("datetimeoffset(0)", "2020-01-01T00:00+14:01")),
    *(("smalldatetime", "2079-06-07"), ("smalldatetime", "2020-01-01T10:11:12")),
    *(("datetime", "9999-12-31T23:59:59.999"), ("int", "-"), ("bigint", "-9223372036854775809")),
    *(("uniqueidentifier", "6f9619ff8b86d011b42d00c04fc964ff"), ("nvarchar(max)", b"\xff"), ("int", [1])),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), UNFIT)
def test_what_a_type_cannot_hold_is_not_sealed(kind: str, value: object) -> None:
    with pytest.raises(ValueUnfit) as raised:
        sealer(kind).seal(pa.array([value]))
    assert str(value) not in f"{raised.value}{raised.value.__cause__}"


def test_opened_values_go_back_as_their_cells() -> None:
    opened = OpenedValues()
    column = opener("char(4) cp1252", opened=opened)
    cells = [seal_cell(plain, CEK) for plain in (b"a", b"ab  ", b"", b"d ")]
    column.open(binary([*cells[:2], None, b"faulty"]))
    values = column.open(binary(cells)).values
    back = sealer("char(4) cp1252", opened=opened)
    assert back.seal(values).to_pylist() == cells
    assert back.seal(pa.array(["ab", None, "a"])).to_pylist() == [cells[1], None, cells[0]]
    wider = sealer("varchar(9) cp1252", opened=opened)  # the same bytes under the same key
    assert wider.seal(pa.array(["a", "d"])).to_pylist() == [cells[0], cells[3]]


@pytest.mark.parametrize("value", ["b", "A", "a "])
def test_a_value_that_was_not_opened_does_not_go_back(value: str) -> None:
    opened = OpenedValues()
    opener("nvarchar(4)", opened=opened).open(binary([text("a"), text("b", IV), text("c")[:-1]]))
    back = sealer("nvarchar(4)", opened=opened)
    with pytest.raises(ValueUnfit):
        back.seal(pa.array(["a", value]))


def test_a_deterministic_column_needs_opened_values() -> None:
    kind = SqlType.parse("int")
    with pytest.raises(ValueError, match="opened values"):
        ColumnSealer(kind, kind.format, deterministic=True, cek=CEK, random=bytes)


def test_places_number_what_is_new() -> None:
    places, rng = Places(), np.random.default_rng(1)
    known = rng.integers(0, 256, (5000, 16)).astype(np.uint8)
    for first in range(0, 5000, 700):
        batch = np.concatenate([known[first : first + 700], known[: first // 2], known[first : first + 9]])
        added = places.add(batch)
        assert added.tolist() == list(range(min(700, 5000 - first)))
    assert places.find(known).tolist() == list(range(5000))
    assert places.add(known[:7]).tolist() == []
    assert places.find(known).tolist() == list(range(5000))
    twin = known.copy()
    twin[:, 12] ^= 1
    assert (places.find(twin) == -1).all()


def test_days_of_the_whole_calendar_are_those_of_python() -> None:
    days = range(0, 3_652_059, 731)
    cells = binary([seal_cell(day.to_bytes(3, "little"), CEK) for day in days])
    expected = [datetime.date.fromordinal(day + 1).isoformat() for day in days]
    assert opener("date").open(cells).values.to_pylist() == expected


EDGES = [
    ("datetimeoffset(0)", bytes(5) + b"\xff\x0f\0" + (840).to_bytes(2, "little"), 0),
    ("datetimeoffset(0)", bytes(5) + b"\xff\x0f\0" + (841).to_bytes(2, "little"), CellCode.CELL_RANGE),
    ("datetime", bytes(4) + (25_919_999).to_bytes(4, "little"), 0),
    ("datetime", bytes(4) + (25_920_000).to_bytes(4, "little"), CellCode.CELL_RANGE),
    ("smalldatetime", bytes(2) + (1440).to_bytes(2, "little"), CellCode.CELL_RANGE),
    ("time(0)", (864_000_000_000).to_bytes(5, "little"), CellCode.CELL_RANGE),
    ("time(0)", (1).to_bytes(5, "little"), CellCode.CELL_RANGE),
]


@pytest.mark.parametrize(("kind", "plain", "code"), EDGES)
def test_moments_end_where_their_types_end(kind: str, plain: bytes, code: int) -> None:
    assert opener(kind).open(binary([seal_cell(plain, CEK)])).codes.tolist() == [code]


@pytest.mark.parametrize("padding", [b"\1\2", b"\0", b"\x11", b"\2\3\3"])
def test_every_byte_of_the_padding_counts(padding: bytes) -> None:
    cell = seal_cell(padding.rjust(16, b"\x09"), CEK, IV, padded=True)
    assert opener("varbinary(20)", deterministic=False).open(binary([cell])).codes.tolist() == [CellCode.CELL_PADDING]
