"""Side tables for rules that look beyond the submission: agencies, and the reports already on file.

`nibrs_ori/1`: one row an ORI. status: `A` active, `H` kept for history only, `D` twice in the reference data, `X`
deleted. Dates are YYYYMMDD, blank where there is none. federal: `Y` or blank.

`nibrs_on_file/1`: one row an incident (kind `A`) or a Group B arrest (`B`, with its sequence number) on file, with the
date of the incident or arrest.

Any other value is BAD_PARAMETERS: with a wrong side table, errors would pass unnoticed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.errors import Stage
from cji_core.format.records import tagged
from cji_core.format.records.column import Bools, Bytes, Ints, read
from cji_core.format.records.equal_rows import numbered
from cji_core.format.records.lines import matrix
from cji_core.format.records.nibrs.code_tables import BAD_VALUE, BLANK_VALUE
from cji_core.format.records.nibrs.fields import dates, numbers
from cji_core.operations.parameters import bad_parameters
from cji_core.operations.validate import ON_FILE, ORI_TABLE

Array = npt.NDArray[Any]

ORI_TABLE_SCHEMA: Final = tagged(
    ORI_TABLE,
    [
        pa.field(name, pa.binary())
        for name in ("ori", "status", "nibrs_start", "inactive_from", "covered_from", "federal")
    ],
)
ON_FILE_SCHEMA: Final = tagged(
    ON_FILE, [pa.field(name, pa.binary()) for name in ("kind", "ori", "number", "sequence", "date")]
)

_ORI: Final = 9
_FILED: Final = ("on_file", "on_file_times", "on_file_outside", "group_a_on_file", "group_b_on_file")
_NUMBER: Final = 12
_KEY: Final = slice(16, 37)
_SEQUENCE: Final = slice(37, 39)
_NEVER: Final = np.iinfo(np.int64).max
_MONTHS: Final = 1_000_000  # YYYYMM is less
NO_DATE: Final = -1
"""Stands among `date_words` for the date of an incident that has none."""


def date_words(dates: Bytes) -> npt.NDArray[np.uint64]:
    """uint64[n]: each of uint8[n, 8] as one number, of a date or of anything else."""
    return np.ascontiguousarray(dates).view("<u8")[:, 0]


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
    """`n` agencies. Without a table `given` is False, and no ORI is unlisted."""

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
        """The facts of each of uint8[m, 9]; one value for all where there is no table."""
        rows = self._rows(oris) if self.given else np.full(1, -1)
        known = rows >= 0
        facts = {
            f"agency_{name}": np.where(known, np.append(values, 0)[rows], BLANK_VALUE * (values.dtype != np.bool_))
            for name, values in self.columns.items()
        }
        return {**facts, "agency_listed": known | (not self.given)}

    def unlisted(self, oris: npt.NDArray[np.bytes_]) -> Bools:
        """bool[n]: there is a table, and it lacks the ORI (S9)."""
        if not self.given:
            return np.zeros(len(oris), np.bool_)
        return self._rows(oris.view(np.uint8).reshape(-1, _ORI)) < 0


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
    """Reports on file: kinds uint8[n], keys uint8[n, 21] (ORI and number), sequences uint8[n, 2], dates int64[n]."""

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
        n = len(self.kinds)
        if not n:
            return dict.fromkeys(_FILED, np.zeros(len(headers), np.bool_))
        of_arrest, arrest_filed = groups == ord("B"), self.kinds == ord("B")
        mine = np.column_stack((np.where(of_arrest, np.uint8(ord("B")), np.uint8(ord("A"))), headers[:, _KEY]))
        theirs = np.column_stack((self.kinds, self.keys))
        number = numbered(np.concatenate((theirs, mine)))
        times = np.bincount(number[:n], minlength=int(number.max()) + 1)
        earliest = np.full(len(times), _NEVER)
        np.minimum.at(earliest, number[:n], np.where(self.dates >= 0, self.dates.astype(np.int64), _NEVER))
        exact = numbered(
            np.concatenate(
                (
                    np.hstack((theirs, self.sequences * arrest_filed[:, None])),
                    np.hstack((mine, headers[:, _SEQUENCE] * of_arrest[:, None])),
                )
            )
        )
        base = (numbers(headers[:, 8:12], 1, 9999) - 1) * 10_000 + 101  # 1 January of the year before
        month = numbers(headers[:, 39:43], 0, 9999) * 100 + numbers(headers[:, 37:39], 0, 99)
        of_zero = groups == ord("0")
        return {
            "on_file": np.isin(exact[n:], exact[:n]),
            "on_file_times": times[number[n:]],
            "on_file_outside": earliest[number[n:]] < base,
            "group_a_on_file": self._has_month(headers, month, ~arrest_filed) & of_zero,
            "group_b_on_file": self._has_month(headers, month, arrest_filed) & of_zero,
        }

    def incidents(self, keys: Bytes) -> list[tuple[int, ...]]:
        """For each of uint8[m, 21] the dates (`date_words`) of the incidents of its ORI and number; empty for none."""
        of_incidents = np.flatnonzero(self.kinds == ord("A"))
        if not len(of_incidents):
            return [()] * len(keys)
        number = numbered(np.concatenate((keys, self.keys[of_incidents])))
        mine, theirs = number[: len(keys)], number[len(keys) :]
        found: dict[int, list[int]] = {}
        for row in np.flatnonzero(np.isin(theirs, mine)):
            day = int(self.dates[of_incidents[row]])
            date = int.from_bytes(b"%08d" % day, "little") if day >= 0 else NO_DATE
            found.setdefault(int(theirs[row]), []).append(date)
        dates = {key: tuple(each) for key, each in found.items()}
        return [dates.get(key, ()) for key in mine.tolist()]

    def _has_month(self, headers: Bytes, month: Array, of_kind: Bools) -> Bools:
        theirs, days = self.keys[of_kind, :_ORI], self.dates[of_kind]
        number = numbered(np.concatenate((theirs, headers[:, _KEY][:, :_ORI])))
        n = len(theirs)
        have = number[:n] * _MONTHS + days // 100
        found: Bools = np.isin(number[n:] * _MONTHS + month, have[days >= 0])
        return found
