"""Which rows each count of a receipt is about: the one rule for those who state counts and those who compare them.

    rows_in        rows of `row_status`
    rows_out       rows of `result`
    chri_rows_out  rows of `result` if its schema is of criminal history (`chri_`), otherwise 0
    subjects_out   rows of the dissemination ledger (`ledger/1`), one for each subject; of `result` in a job without one

A worker's keyholder applies it to the rows that the cell states; a reader applies it to the rows that it has counted.
In a job with sealed columns the last three are 0 (`withheld`): a database's administrator, who has no key, could plant
copies of cells and would read from such a count whether their values are equal.
A schema is the only sign of criminal history, so no reader looks for it in values; `subjects_out` of a job without a
ledger is a number of rows, not of persons.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cji_core.trail import Claims

RESULT: Final = "result"
ROW_STATUS: Final = "row_status"
CHRI: Final = "chri_"
"""How the ids of schemas with criminal history begin."""
LEDGER: Final = "ledger/1"
"""The schema of a dissemination ledger."""
STATED: Final = frozenset({RESULT, ROW_STATUS, "ledger"})
"""The outputs whose rows a receipt states. Rows of others may tell of records, so nobody states them openly."""


WITHHELD: Final = MappingProxyType({"rows_out": 0, "chri_rows_out": 0, "subjects_out": 0})
"""The counts of a job with sealed columns."""


def subjects_output(schemas: Mapping[str, str]) -> str:
    """The name of the output whose rows are subjects; `schemas` are the schema ids of a job's outputs by name."""
    return next((name for name, schema in schemas.items() if schema == LEDGER), RESULT)


def counts_of(schemas: Mapping[str, str], rows: Mapping[str, int], *, withheld: bool) -> dict[str, int]:
    """The counts of a receipt, by name, that follow from `rows`: rows of outputs by name, as many as are known."""
    found = dict[str, int]()
    if ROW_STATUS in rows:
        found["rows_in"] = rows[ROW_STATUS]
    if withheld:
        return found | WITHHELD
    if RESULT in rows:
        found["rows_out"] = rows[RESULT]
        found["chri_rows_out"] = rows[RESULT] if schemas[RESULT].startswith(CHRI) else 0
    if (subjects := subjects_output(schemas)) in rows:
        found["subjects_out"] = rows[subjects]
    return found


def wrong_counts(receipt: "Claims", schemas: Mapping[str, str], rows: Mapping[str, int]) -> tuple[str, ...]:
    """The counts of a receipt that differ from the rows of outputs, in words; empty if none does."""
    return tuple(
        f"{name} is {stated}, counted {count}"
        for name, count in counts_of(schemas, rows, withheld=receipt.withheld).items()
        if (stated := getattr(receipt.volumes, name)) != count
    )
