"""Cells of an encrypted column as they lie in a table: their form is checked, their content cannot be read here.

A cell of AEAD_AES_256_CBC_HMAC_SHA256 is one byte 0x01, 32 bytes of MAC, 16 of IV and whole blocks of 16: 65 bytes, or
16, 32, ... more. Before it Cosmos DB puts a byte that marks the type of the value. In text a cell is hexadecimal, with
or without 0x, or base64; hexadecimal begins with 0, base64 with A or B.

A refusal names the column, the row (from 0) and a length, never a byte of what was found: a value in plain text may
stand where a cell should.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from cji_client.casts import Cast, ValueMisfit, decoded, plain_type
from cji_client.errors import ColumnTypeError
from cji_core.format.records import arrow
from cji_core.strict import StrictError, b64_decode, hex_decode

LEAST_BYTES: Final = 65
"""Bytes of the shortest cell: version, MAC, IV, one block."""
_BLOCK: Final = 16
_VERSION: Final = 0x01
_MARKERS: Final = (2, 3, 4, 5)
"""Of Cosmos DB: bool, double, long, string. Null is not encrypted, so its marker 1 has no cell."""
_REMEDY: Final = (
    "Read the column without column encryption in the driver, so that it comes as ciphertext; a column in plain text "
    "has no place in columns.toml."
)


class CellColumn:
    """One column of cells on its way into a job. `given` is its name in the input, `record` that in the schema."""

    def __init__(
        self, given: str, record: str, found: pa.DataType, *, marker: bool, number: pa.DataType | None = None
    ) -> None:
        """`found` is its type in the input, `number` that of whole numbers in its cells.

        ColumnTypeError if no cells can be in it.
        """
        kind = plain_type(found)
        self._given, self._marker = given, marker
        self._codings, self._some = set[str](), False
        if kind not in (pa.binary(), pa.string()):
            raise ColumnTypeError(
                f"column {given}: found {found}, wanted cells: the column is encrypted by columns.toml",
                column=given,
                found=str(found),
                wanted="cells",
                remedy=_REMEDY,
            )
        self.cast: Final = Cast(
            name=record,
            wanted=pa.binary(),
            note="",
            function=lambda array: self._cells(decoded(array, kind)),
            label=given if given == record else f"{given} ({record})",
            describe="a cell",
            remedy=_REMEDY,
            number=number,
        )

    def notes(self) -> Iterator[str]:
        """How the column was read, as far as it was."""
        coding = f", from {' and '.join(sorted(self._codings))}" if self._codings else ""
        yield f"{self._given}: encrypted cells, sent as {self.cast.name} without being opened{coding}"
        if not self._some:
            yield f"{self._given}: no cell was found: every row that was read is null"

    def _cells(self, array: pa.Array) -> pa.Array:
        if array.type == pa.string():
            array = self._from_text(array)
        check_cells(array, marker=self._marker)
        self._some = self._some or array.null_count < len(array)
        return array

    def _from_text(self, array: pa.Array) -> pa.Array:
        cells = list[bytes | None]()
        for index, text in enumerate(array.to_pylist()):
            if text is None:
                cells.append(None)
                continue
            coding, cell = decode_text(text)
            if cell is None:
                check_cells(pa.array(cells, pa.binary()), marker=self._marker)  # the first row that is none is named
                raise ValueMisfit(index, f"{len(text)} characters that are neither hexadecimal nor base64 of a cell")
            self._codings.add(coding)
            cells.append(cell)
        return pa.array(cells, pa.binary())


def decode_text(text: str) -> tuple[str, bytes | None]:
    """(the name of its coding, the bytes); None for a text that no cell is written as."""
    try:
        if text.startswith("0"):
            return "hexadecimal", hex_decode(text.lower().removeprefix("0x"))
        if text.startswith(("A", "B")):
            return "base64", b64_decode(text)
    except StrictError:
        pass
    return "", None


def is_cell(data: bytes, *, marker: bool) -> bool:
    """Whether bytes have the form of one cell; with `marker`, of one of Cosmos DB."""
    if marker:
        return data[:1] in [bytes([each]) for each in _MARKERS] and is_cell(data[1:], marker=False)
    return len(data) >= LEAST_BYTES and (len(data) - LEAST_BYTES) % _BLOCK == 0 and data[0] == _VERSION


def check_cells(array: pa.Array, *, marker: bool) -> None:
    """Raises ValueMisfit for the first value of a `binary` array without the form of a cell; null is allowed."""
    offsets, data = arrow.text(array)
    starts = offsets[:-1].astype(np.int64)
    lengths = np.diff(offsets) - int(marker)
    whole = (lengths >= LEAST_BYTES) & ((lengths - LEAST_BYTES) % _BLOCK == 0)
    good = whole.copy()
    at = starts[whole]
    first = data[at + int(marker)] == _VERSION
    if marker:
        first &= np.isin(data[at], _MARKERS)
    good[whole] = first
    bad = np.flatnonzero(~good & arrow.present(array))
    if not len(bad):
        return
    index = int(bad[0])
    count = int(lengths[index]) + int(marker)
    if not whole[index]:
        most = LEAST_BYTES + int(marker)
        raise ValueMisfit(index, f"{count} bytes, which no cell has: {most}, {most + _BLOCK}, {most + 2 * _BLOCK} ...")
    what = "a marker of Cosmos DB, then 0x01" if marker else "0x01"
    raise ValueMisfit(index, f"{count} bytes that do not begin with {what}")
