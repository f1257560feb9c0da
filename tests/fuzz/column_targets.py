"""The readers of cells: what a cell opens to, whoever wrote it, and the bytes of values of every type."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from cji_core.operations.status_codes import CellCode
from cji_operations.sealed_columns import OpenedColumn
from tests.fuzz.attestation_targets import target
from tests.fuzz.mutators import BYTES, SIZED
from tests.reference.sealed_columns import UNFIT, open_cell, seal_cell, value_of
from tests.support.sealed_cells import CEK, binary, opener

__all__ = ["COLUMNS"]

_IV: Final = bytes(range(16))
_VALUES: Final = {
    "bit": (1).to_bytes(8, "little"),
    "tinyint": (255).to_bytes(8, "little"),
    "bigint": b"\xff" * 8,
    "real": b"\xcd\xcc\xcc\x3d",
    "float": bytes(7) + b"\x40",
    "money": b"\xff" * 8,
    "smallmoney": bytes(4) + b"\1\0\0\0",
    "decimal(38,19)": b"\1" + b"\xff" * 15 + b"\0",
    "date": b"\xda\xb9\x37",
    "time(7)": b"\xff\xbf\x69\x2a\xc9",
    "datetime2(3)": b"\x70\x8f\xcf\x62\x55\xda\xb9\x37",
    "datetimeoffset(0)": b"\0\xa0\x11\x87\x21\x6d\x4a\x0b\x2e\xff",
    "datetime": b"\x46\x2e\xff\xff\0\0\0\0",
    "smalldatetime": b"\xff\xff\x9f\x05",
    "uniqueidentifier": bytes(range(16)),
    "char(9) cp1252": b"M\xfcller\x81",
    "varchar(20) cp932": "\u65e5\u672cab\uff76".encode("cp932"),
    "varchar(40) utf-8": "\u00e9\u65e5\U0001f600a".encode(),
    "nvarchar(20)": "\u00e9\u65e5\U0001f600a".encode("utf-16-le"),
    "binary(8)": b"abc",
}
_FORMS: Final = frozenset((CellCode.CELL_FORM, CellCode.CELL_RANGE, CellCode.CELL_TEXT, CellCode.CELL_TOO_LONG))


class RefusedError(Exception):
    """The cell has a code."""


def _one(opened: OpenedColumn) -> Any:
    opened.values.validate(full=True)
    if opened.codes[0]:
        assert opened.values.to_pylist() == [None]
        raise RefusedError(CellCode(opened.codes[0]).name)
    return opened.values[0].as_py()


def _cell(data: bytes) -> bytes:
    """Of a random column of bytes, beside cells that are sound."""
    sound = seal_cell(b"sound", CEK, _IV)
    opened = opener("varbinary(max)", deterministic=False).open(binary([sound, data, None, sound[:-1]]))
    assert opened.values.to_pylist()[0] == b"sound"
    return bytes(_one(OpenedColumn(opened.values.slice(1, 1), opened.codes[1:2])))


def _cell_is_whole(data: bytes, value: object) -> bool:
    """Nobody without the key makes a cell, and the slow twin reads it alike."""
    return open_cell(data, CEK) == value


def _value(kind: str) -> Callable[[bytes], object]:
    """The bytes as the value of a cell that verifies, after another value of the column."""

    def read(data: bytes) -> object:
        opened = opener(kind).open(binary([seal_cell(_VALUES[kind], CEK), seal_cell(data, CEK)]))
        assert data == _VALUES[kind] or not opened.codes[0]
        found = OpenedColumn(opened.values.slice(1), opened.codes[1:])
        assert not found.codes[0] or found.codes[0] in _FORMS
        return _one(found)

    return read


def _as_the_twin(kind: str) -> Callable[[bytes, object], bool]:
    def fair(data: bytes, value: object) -> bool:
        expected = value_of(data, kind)
        if isinstance(expected, float):
            return bool((np.float32 if kind == "real" else np.float64)(str(value)) == expected)
        return expected is not UNFIT and expected == value

    return fair


def _many(data: bytes) -> list[object]:
    """Every byte string of the input as a cell: null, empty and of any length."""
    cells = [None if piece == b"-" else piece for piece in data.split(b"\n")]
    opened = opener("nvarchar(9)").open(binary(cells))
    opened.values.validate(full=True)
    assert [cell is None for cell in cells] == [not code for code in opened.codes.tolist()]
    if opened.faulty.any():
        raise RefusedError
    return list(opened.values.to_pylist())


COLUMNS: Final = (
    target(
        "column-cell",
        lambda: (seal_cell(b"value", CEK, _IV), seal_cell(bytes(40), CEK, _IV)),
        _cell,
        refusals=(RefusedError,),
        fair=_cell_is_whole,
        mutators=(*BYTES, *SIZED),
    ),
    target("column-cells", lambda: (b"-\n-", b"-\nabc\n\n" + bytes(81)), _many, refusals=(RefusedError,), weight=4),
    *(
        target(
            f"column-{kind.replace('(', '-').replace(')', '').replace(',', '-').replace(' ', '-')}",
            partial(tuple, [plain]),
            _value(kind),
            refusals=(RefusedError,),
            fair=_as_the_twin(kind),
            mutators=(*BYTES, *SIZED),
            weight=3,
        )
        for kind, plain in _VALUES.items()
    ),
)
