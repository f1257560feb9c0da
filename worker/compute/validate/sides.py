"""Side tables that rules with a memory need: what is known of agencies, and what is on file already.

`nibrs_ori/1`: one row an ORI. status: `A` active, `H` kept for history only, `D` twice in the reference data, `X`
deleted. Dates are YYYYMMDD, blank where there is none. federal: `Y` or blank.
`nibrs_on_file/1`: one row an incident (kind `A`), a Group B arrest (`B`, with its sequence number) on file, with the
date of the incident or arrest. A value that is none of these is BAD_PARAMETERS: a side table that cannot be trusted
would pass errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.compute.kernels.code_tables import BAD_VALUE, BLANK_VALUE
from worker.compute.kernels.column import Bools, Bytes, Ints, read
from worker.compute.kernels.equal_rows import numbered
from worker.compute.kernels.fields import dates, numbers
from worker.compute.kernels.lines import matrix
from worker.compute.operation import bad_parameters
from worker.errors import Stage
from worker.records import tagged

__all__ = ["ON_FILE", "ON_FILE_SCHEMA", "ORI_TABLE", "ORI_TABLE_SCHEMA", "OnFile", "OriTable"]

Array = npt.NDArray[Any]

ORI_TABLE: Final = "nibrs_ori/1"
ORI_TABLE_SCHEMA: Final = tagged(
    ORI_TABLE,
    [
        pa.field(name, pa.binary())
        for name in ("ori", "status", "nibrs_start", "inactive_from", "covered_from", "federal")
    ],
)
ON_FILE: Final = "nibrs_on_file/1"
ON_FILE_SCHEMA: Final = tagged(
    ON_FILE, [pa.field(name, pa.binary()) for name in ("kind", "ori", "number", "sequence", "date")]
)

_ORI: Final = 9
_FILED: Final = ("on_file", "on_file_times", "on_file_outside", "group_a_on_file", "group_b_on_file")
_NUMBER: Final = 12


def _column(batches: Sequence[pa.RecordBatch], name: str, width: int) -> Bytes:
    """uint8[n, width] of a column of all batches. Raises: Refusal(BAD_PARAMETERS) for a longer value."""
    parts = [np.empty((0, width), np.uint8)]
    for batch in batches:
        text = read(batch.column(name))
        if len(text.lengths) and int(text.lengths.max()) > width:
            raise bad_parameters(Stage.COMPUTE)
        parts.append(matrix(text, np.arange(len(text.lengths)), width))
    return np.concatenate(parts)


def _letters(batches: Sequence[pa.RecordBatch], name: str, allowed: str) -> Bytes:
    values = _column(batches, name, 1)[:, 0]
    if not np.isin(values, np.frombuffer(allowed.encode(), np.uint8)).all():
        raise bad_parameters(Stage.COMPUTE)
    return values


def _dates(batches: Sequence[pa.RecordBatch], name: str) -> Array:
    found = dates(_column(batches, name, 8))
    if (found == BAD_VALUE).any():
        raise bad_parameters(Stage.COMPUTE)
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class OriTable:
    """What is known of n agencies. `given` is False where no table was: then no ORI is unlisted."""

    given: bool
    oris: Bytes
    columns: Mapping[str, Array]

    @classmethod
    def empty(cls) -> Self:
        """No table."""
        return cls(given=False, oris=np.empty((0, _ORI), np.uint8), columns=_agency(()))

    @classmethod
    def of(cls, batches: Sequence[pa.RecordBatch]) -> Self:
        """From batches of `nibrs_ori/1`. Raises: Refusal(BAD_PARAMETERS) for odd values or an ORI twice."""
        oris = _column(batches, "ori", _ORI)
        if len(np.unique(numbered(oris))) < len(oris):
            raise bad_parameters(Stage.COMPUTE)
        return cls(given=True, oris=oris, columns=_agency(batches))

    def _rows(self, oris: Bytes) -> Ints:
        """The row of each ORI, or -1."""
        number = numbered(np.concatenate((self.oris, oris)))
        row = np.full(int(number.max(initial=-1)) + 1, -1)
        row[number[: len(self.oris)]] = np.arange(len(self.oris))
        return row[number[len(self.oris) :]]

    def of_reports(self, oris: Bytes) -> Mapping[str, Array]:
        """The facts of each of uint8[m, 9]."""
        rows = self._rows(oris)
        known = rows >= 0
        facts = {
            f"agency_{name}": np.where(known, np.append(values, 0)[rows], BLANK_VALUE * (values.dtype != np.bool_))
            for name, values in self.columns.items()
        }
        return {**facts, "agency_listed": known | (not self.given)}

    def unlisted(self, oris: npt.NDArray[np.bytes_]) -> Bools:
        """bool[n]: there is a table, and it lacks the ORI."""
        if not self.given:
            return np.zeros(len(oris), np.bool_)
        padded = np.char.ljust(oris, _ORI).view(np.uint8).reshape(-1, _ORI)
        return self._rows(padded) < 0


def _agency(batches: Sequence[pa.RecordBatch]) -> Mapping[str, Array]:
    status = _letters(batches, "status", " AHDX")
    return {
        "start": _dates(batches, "nibrs_start"),
        "inactive": _dates(batches, "inactive_from"),
        "covered": _dates(batches, "covered_from"),
        "federal": _letters(batches, "federal", " Y") == ord("Y"),
        "historical": status == ord("H"),
        "duplicated": status == ord("D"),
        "deleted": status == ord("X"),
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class OnFile:
    """What is on file: kinds uint8[n], keys uint8[n, 21] (ORI and number), sequences uint8[n, 2], dates int64[n]."""

    kinds: Bytes
    keys: Bytes
    sequences: Bytes
    dates: Array

    @classmethod
    def empty(cls) -> Self:
        """Nothing on file."""
        return cls.of(())

    @classmethod
    def of(cls, batches: Sequence[pa.RecordBatch]) -> Self:
        """From batches of `nibrs_on_file/1`. Raises: Refusal(BAD_PARAMETERS) for odd values."""
        return cls(
            kinds=_letters(batches, "kind", "AB"),
            keys=np.hstack((_column(batches, "ori", _ORI), _column(batches, "number", _NUMBER))),
            sequences=_column(batches, "sequence", 2),
            dates=_dates(batches, "date"),
        )

    def of_reports(self, headers: Bytes, groups: Bytes) -> Mapping[str, Array]:
        """The facts of m reports, of which `headers` uint8[m, 43] are the first 43 bytes.

        on_file: an incident of this number is, or an arrest of this number and sequence number. on_file_times: how
        many of this number. on_file_outside: one lies before the two years that a submission may touch.
        group_a_on_file, group_b_on_file: for a zero report, there is a report of the ORI and month.
        """
        n, m = len(self.kinds), len(headers)
        if not n:
            nothing = np.zeros(m, np.bool_)
            return dict.fromkeys(_FILED, nothing)
        keys = headers[:, 16:37]
        kind = np.where(groups == ord("B"), ord("B"), ord("A")).astype(np.uint8)
        mine = np.column_stack((kind, keys))
        theirs = np.column_stack((self.kinds, self.keys))
        number = numbered(np.concatenate((theirs, mine)))
        times = np.bincount(number[:n], minlength=int(number.max(initial=-1)) + 1)[number[n:]]
        blank = np.full((m, 2), ord(" "), np.uint8)
        sequence = np.where((groups == ord("B"))[:, None], headers[:, 37:39], blank)
        exact = numbered(
            np.concatenate(
                (
                    np.hstack((theirs, np.where((self.kinds == ord("B"))[:, None], self.sequences, ord(" ")))),
                    np.hstack((mine, sequence)),
                )
            ).astype(np.uint8)
        )
        base = (numbers(headers[:, 8:12], 1, 9999) - 1) * 10_000 + 101  # 1 January of the year before
        last = np.full(int(number.max(initial=-1)) + 1, np.iinfo(np.int64).max)
        np.minimum.at(last, number[:n], np.where(self.dates >= 0, self.dates, np.iinfo(np.int64).max))
        facts: dict[str, Array] = {
            "on_file": np.isin(exact[n:], exact[:n]),
            "on_file_times": times,
            "on_file_outside": (times > 0) & (last[number[n:]] < base),
        }
        month = numbers(headers[:, 39:43], 0, 9999) * 100 + numbers(headers[:, 37:39], 0, 99)
        for name, letter in (("group_a_on_file", "A"), ("group_b_on_file", "B")):
            of_kind = self.kinds == ord(letter)
            facts[name] = self._has_month(keys, month, of_kind) & (groups == ord("0"))
        return facts

    def _has_month(self, keys: Bytes, month: Ints, of_kind: Bools) -> Bools:
        theirs = self.keys[of_kind, :_ORI]
        number = numbered(np.concatenate((theirs, keys[:, :_ORI])))
        n = len(theirs)
        have = number[:n] * 1_000_000 + self.dates[of_kind] // 100
        found: Bools = np.isin(number[n:] * 1_000_000 + month, have[self.dates[of_kind] >= 0])
        return found
