"""The part `token_map`: every token of a job beside the value that it stands for, sealed like every output.

It is how a project finds its way back from HMAC tokens, which nothing else can turn back. One row for each column and
value, in the order of columns and of first rows; memory grows with the number of distinct values.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.operations.deidentify.declaration import TOKEN_MAP
from cji_operations.kernels.distinct import first_rows

_BATCH: Final = 16_384


class TokenMap:
    """Gathers pairs batch by batch."""

    def __init__(self) -> None:
        self._seen: dict[str, list[tuple[pa.Array, pa.Array]]] = {}

    def add(self, column: str, values: pa.Array, tokens: pa.Array) -> None:
        """The values of one column of a batch and what became of them; a value without a token is not listed."""
        values, tokens = values.view(pa.binary()), tokens.view(pa.binary())
        there = tokens.is_valid()
        self._seen.setdefault(column, []).append(_distinct(values.filter(there), tokens.filter(there)))

    def batches(self) -> Iterable[pa.RecordBatch]:
        """All pairs."""
        for column, pieces in self._seen.items():
            values, tokens = (pa.concat_arrays(list(one)) for one in zip(*pieces, strict=True))
            values, tokens = _distinct(values, tokens)
            name = pa.repeat(pa.scalar(column, pa.utf8()), len(values))
            whole = pa.RecordBatch.from_arrays([name, tokens, values], schema=TOKEN_MAP.schema.arrow)
            yield from arrow.cut(whole, _BATCH)


def merge(columns: Sequence[str], pieces: Sequence[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    """The token map of all shards out of theirs."""
    found = TokenMap()
    whole = pa.Table.from_batches(pieces, TOKEN_MAP.schema.arrow).combine_chunks()
    for name in columns:
        rows = whole.filter(pc.equal(whole["column"], name))
        if rows.num_rows:
            found.add(name, rows["value"].combine_chunks(), rows["token"].combine_chunks())
    return found.batches()


def _distinct(values: pa.Array, tokens: pa.Array) -> tuple[pa.Array, pa.Array]:
    first = arrow.from_numpy(first_rows(values)[0])
    return values.take(first), tokens.take(first)
