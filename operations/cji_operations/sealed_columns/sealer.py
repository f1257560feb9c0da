"""Values of one output column sealed as cells, batch after batch."""

from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.columns import ColumnFormat, SqlType
from cji_core.format.records import arrow
from cji_core.format.records.column import Text
from cji_operations.sealed_columns.cells import BLOCK_BYTES, CellKeys, seal_cells
from cji_operations.sealed_columns.opened import OpenedValues
from cji_operations.sealed_columns.plain import packed
from cji_operations.sealed_columns.types import encoding_of, marker_of

_ROWS: Final = 16_384


class ColumnSealer:
    """Seals the values of one output column under one key.

    Deterministic cells are those of values that the job has opened from deterministic cells under this key, and they
    are these cells.
    """

    def __init__(
        self,
        kind: SqlType,
        format: ColumnFormat,  # noqa: A002 - the statement's word
        *,
        deterministic: bool,
        cek: bytes,
        random: Callable[[int], bytes],
        opened: OpenedValues | None = None,
    ) -> None:
        """`random` draws bytes that nobody can predict, for IVs: `os.urandom`.

        `opened` are the values under `cek`, which a deterministic column needs; else ValueError.
        """
        if deterministic and opened is None:
            raise ValueError("a deterministic column is sealed from opened values alone")
        self._keys, self._encoding, self._random = CellKeys.of(cek), encoding_of(kind), random
        self._opened = opened if deterministic else None
        self._marker = marker_of(kind, format)

    def seal(self, array: pa.Array) -> pa.Array:
        """The `binary` cells of text, bytes, numbers or truth values; null stays null.

        Raises ValueUnfit for a value that the type cannot hold or, in a deterministic column, that was not opened.
        """
        pieces = (array.slice(first, _ROWS) for first in range(0, len(array), _ROWS))
        return arrow.concat(map(self._seal, pieces), pa.binary())

    def _seal(self, array: pa.Array) -> pa.Array:
        values = self._encoding.encode(array.drop_null())
        cells = self._sealed(values) if self._opened is None else self._looked_up(values, self._opened)
        if self._marker:
            cells = pc.binary_join_element_wise(pa.scalar(self._marker), cells, pa.scalar(b""))
        if not array.null_count:
            return cells
        present = arrow.present(array)
        return cells.take(arrow.from_numpy(np.cumsum(present) - 1, valid=present))

    def _looked_up(self, values: Text, opened: OpenedValues) -> pa.Array:
        rows = np.arange(len(values.lengths))
        return opened.cells_of(self._keys.derived_ivs(self._encoding.bare(values), rows))

    def _sealed(self, values: Text) -> pa.Array:
        n = len(values.lengths)
        ivs = np.frombuffer(self._random(BLOCK_BYTES * n), np.uint8).reshape(n, BLOCK_BYTES)
        cells, lengths = seal_cells(values, ivs, self._keys)
        return packed(cells, lengths, pa.binary())
