"""What `screen` says of rows in `row_status/1`, besides the codes that other operations have already."""

import enum
from types import MappingProxyType
from typing import Final

__all__ = ["MEANING", "Finding"]


class Finding(enum.IntEnum):
    """501 and 502 are about inquiries, 503 and 504 about records of the reference."""

    NOT_SCREENABLE = 501
    TOO_MANY_CANDIDATES = 502
    NOT_REACHABLE = 503
    UNKNOWN_FILE = 504


MEANING: Final = MappingProxyType(
    {
        Finding.NOT_SCREENABLE: "There is nothing to search by: no identifier, and no surname with a date of birth.",
        Finding.TOO_MANY_CANDIDATES: "The inquiry is so broad that too many records would have to be compared with it.",
        Finding.NOT_REACHABLE: "No inquiry can find the record: no identifier, and no surname with a date of birth.",
        Finding.UNKNOWN_FILE: "The record is of a file that the table does not name, and is treated as restricted.",
    }
)
