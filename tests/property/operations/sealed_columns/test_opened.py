"""Columns of cells open as a slow twin opens one cell after another, whatever the type and whatever is in them."""

import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.operations.status_codes import CellCode
from cji_operations.sealed_columns import OpenedValues
from tests.reference.sealed_columns import UNFIT, open_cell, seal_cell, value_of
from tests.support.sealed_cells import CEK, binary, opener, sealer

FORMS = (CellCode.CELL_FORM, CellCode.CELL_RANGE, CellCode.CELL_TEXT, CellCode.CELL_TOO_LONG)
TYPES = (
    *("bit", "tinyint", "smallint", "int", "bigint", "real", "float", "money", "smallmoney"),
    *("decimal(1,0)", "decimal(5,2)", "numeric(19,5)", "decimal(28,28)", "numeric(38,0)", "decimal(38,38)"),
    *("date", "time(0)", "time(3)", "time(7)", "datetime2(0)", "datetime2(4)", "datetime2(7)"),
    *("datetimeoffset(0)", "datetimeoffset(5)", "datetimeoffset(7)", "datetime", "smalldatetime"),
    *("char(7) cp1252", "varchar(9) cp1251", "char(5) utf-8", "varchar(max) utf-8", "varchar(9) cp874"),
    *("varchar(9) cp932", "char(9) cp936", "varchar(9) cp949", "varchar(max) cp950", "varchar(20) cp1255"),
    *("nchar(6)", "nvarchar(20)", "nvarchar(max)", "binary(5)", "varbinary(8)", "varbinary(max)"),
    "uniqueidentifier",
)
WIDTHS = {"decimal": 17, "numeric": 17, "date": 3, "time": 5, "datetimeoffset": 10, "uniqueidentifier": 16}
WIDTHS |= {"real": 4, "smalldatetime": 4}
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.text("ab ÄżЖ日𝒜", max_size=24)


def _plain(kind: str) -> st.SearchStrategy[bytes]:
    """Bytes of values of the type, at the edges of its range, and any."""
    name = kind.split("(", maxsplit=1)[0]
    if name in ("char", "varchar"):
        page = kind.rsplit(" ", maxsplit=1)[1]
        texts = TEXTS.map(lambda text: text.encode(page, "ignore"))
        return texts | st.binary(max_size=12) | st.lists(st.sampled_from(b"a\x81\x8e\xfd\xa1 "), max_size=8).map(bytes)
    if name in ("nchar", "nvarchar"):
        halves = st.lists(st.sampled_from([b"a\0", b"\x3d\xd8", b"\0\xde", b"\xe5\x65"]), max_size=8).map(b"".join)
        return TEXTS.map(lambda text: text.encode("utf-16-le")) | st.binary(max_size=14) | halves
    if "binary" in name:
        return st.binary(max_size=20)
    width = WIDTHS.get(name, 8)
    small = st.integers(0, 1 << 16).map(lambda n: n.to_bytes(4, "little").ljust(width, b"\0")[:width])
    signed = st.integers(-70000, 70000).map(lambda n: struct.pack("<q", n).ljust(width, b"\0")[:width])
    whole = st.binary(min_size=width, max_size=width)
    decimals = st.integers(0, 10**40).map(lambda n: b"\1" + (n % 2**128).to_bytes(16, "little"))
    moments = st.tuples(st.integers(0, 864_000_000_001), st.integers(0, 3_652_060), st.integers(-842, 842)).map(
        lambda parts: parts[0].to_bytes(5, "little") + parts[1].to_bytes(3, "little") + struct.pack("<h", parts[2])
    )
    special = decimals if width == 17 else moments if "time" in name and name != "smalldatetime" else whole
    return small | signed | whole | special | special.map(lambda data: data[:width]) | st.binary(max_size=18)


@st.composite
def _case(draw: st.DrawFn) -> tuple[str, list[bytes | None]]:
    kind = draw(st.sampled_from(TYPES))
    return kind, draw(st.lists(st.none() | _plain(kind), max_size=12))


def _same(kind: str, found: Any, expected: Any) -> bool:
    if isinstance(expected, float):
        return bool((np.float32 if kind == "real" else np.float64)(found) == expected)
    return bool(found == expected)


@given(case=_case(), deterministic=st.booleans(), offset=st.integers(0, 2))
def test_values_are_those_of_a_slow_twin(
    case: tuple[str, list[bytes | None]], *, deterministic: bool, offset: int
) -> None:
    kind, plains = case
    ivs = [None if deterministic else bytes([place]) * 16 for place in range(len(plains))]
    cells = [None if p is None else seal_cell(p, CEK, iv) for p, iv in zip(plains, ivs, strict=True)]
    opened = opener(kind, deterministic=deterministic).open(binary([*[b"x"] * offset, *cells]).slice(offset))
    opened.values.validate(full=True)
    assert len(opened.values) == len(opened.codes) == len(cells)
    for plain, value, code in zip(plains, opened.values.to_pylist(), opened.codes.tolist(), strict=True):
        expected = None if plain is None else value_of(plain, kind)
        if expected is None or (expected is UNFIT):
            assert value is None
            assert (code == 0) == (plain is None)
            assert code == 0 or code in FORMS
        else:
            assert code == 0
            assert _same(kind, value, expected), (kind, plain, value, expected)


@given(
    plain=st.binary(max_size=40),
    damage=st.tuples(st.integers(0, 200), st.integers(1, 255)),
    cut=st.integers(0, 200),
    padded=st.booleans(),
)
def test_faults_of_cells_are_those_of_a_slow_twin(
    plain: bytes, damage: tuple[int, int], cut: int, *, padded: bool
) -> None:
    whole = seal_cell(plain + bytes(-len(plain) % 16 or 16) if padded else plain, CEK, bytes(16), padded=padded)
    changed = bytearray(whole)
    changed[damage[0] % len(whole)] ^= damage[1]
    cells = [whole, bytes(changed), whole[:cut], b"", whole + b"\1", b"\2" + whole[1:]]
    opened = opener("varbinary(max)", deterministic=False).open(binary(cells))
    for cell, value, code in zip(cells, opened.values.to_pylist(), opened.codes.tolist(), strict=True):
        expected = open_cell(cell, CEK)
        if isinstance(expected, str):
            assert (value, CellCode(code).name) == (None, expected)
        else:
            assert (value, code in (0, CellCode.CELL_REPEATED)) == (expected, True)


@pytest.mark.parametrize("kind", TYPES)
def test_a_column_without_cells_opens(kind: str) -> None:
    found = opener(kind, deterministic=False)
    opened = found.open(pa.nulls(3, pa.binary()))
    assert (opened.values.null_count, opened.codes.tolist(), found.cells, found.wrong_key) == (3, [0, 0, 0], 0, False)
    assert len(found.open(pa.nulls(0, pa.binary())).values) == 0


@given(case=_case())
def test_opened_values_are_sealed_as_cells_that_open(case: tuple[str, list[bytes | None]]) -> None:
    kind, plains = case
    column = opener(kind).open(binary([None if plain is None else seal_cell(plain, CEK) for plain in plains]))
    sealed = sealer(kind).seal(column.values)
    again = opener(kind, deterministic=False).open(sealed)
    assert again.values.to_pylist() == column.values.to_pylist()
    assert not again.codes.any()
    for value, cell in zip(column.values.to_pylist(), sealed.to_pylist(), strict=True):
        plain = None if cell is None else open_cell(cell, CEK)
        assert (plain is None) == (value is None)
        assert not isinstance(plain, str)
        assert plain is None or _same(kind, value, value_of(plain, kind))


@given(case=_case())
def test_deterministic_cells_go_back_as_they_came(case: tuple[str, list[bytes | None]]) -> None:
    kind, plains = case
    cells = [None if plain is None else seal_cell(plain, CEK) for plain in plains]
    opened = OpenedValues()
    column = opener(kind, opened=opened).open(binary(cells))
    back = sealer(kind, opened=opened).seal(column.values).to_pylist() if column.values.null_count < len(cells) else []
    for cell, value, sealed in zip(cells, column.values.to_pylist(), back, strict=False):
        if value is None:
            assert sealed is None
        else:
            assert sealed in cells
            assert opener(kind).open(binary([sealed])).values.to_pylist() == [value], cell
