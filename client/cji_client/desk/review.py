"""Clerical review: pairs of `link` that a person decides, saved as a label file after every decision.

The pairs are those of the result that do not match, the heaviest first, as many as `MOST_PAIRS`. A decision is written
at once, so the review goes on where it stopped, on this page or in a spreadsheet: the file is that of
`cji link labels new`, which `cji link evaluate` and training read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import pyarrow as pa

from cji_client.errors import SpecError
from cji_client.job_folder import write_new
from cji_client.report import Job
from cji_client.report.sample import NOT_WANTED, Least, column, rows_at
from cji_core.operations.link.labels import Label, Verdict, read_labels, write_labels
from cji_core.operations.link.outputs import CLUSTER, PAIRS, SIDE

MOST_PAIRS: Final = 1_000
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
_RESULT: Final = "result"
_NOT_SHOWN: Final = frozenset((CLUSTER, "record_id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two records by their ids, and the values of both by column."""

    left: str
    right: str
    values: Mapping[str, tuple[Any, Any]]


class Review:
    """The pairs of one result with their label file."""

    def __init__(self, job: Job, *, two_tables: bool, file: Path) -> None:
        """SpecError without pairs, without the second table at hand, or for a label file that cannot be read."""
        self.file, self._two_tables = file, two_tables
        self.pairs, self.more = _pairs(job, two_tables=two_tables)
        self._labels = self._saved()

    @property
    def decided(self) -> int:
        """Pairs with a verdict."""
        return sum(self.verdict(n) is not None for n in range(len(self.pairs)))

    def verdict(self, n: int) -> Verdict | None:
        """The decision on a pair."""
        found = self._labels.get(self._key(self.pairs[n].left, self.pairs[n].right))
        return None if found is None else found.verdict

    def next(self, after: int = -1) -> int | None:
        """The next pair without a verdict, None if all have one."""
        order = (*range(after + 1, len(self.pairs)), *range(after + 1))
        return next((n for n in order if self.verdict(n) is None), None)

    def _saved(self) -> dict[tuple[str, str], Label]:
        """The decisions in the file, which a spreadsheet or another desk may have changed since."""
        if not self.file.exists():
            return {}
        labels = read_labels(self.file.read_bytes(), two_tables=self._two_tables)
        return {self._key(each.left, each.right): each for each in labels}

    def _key(self, left: str, right: str) -> tuple[str, str]:
        """Of a pair, which in one table has no order."""
        return (left, right) if self._two_tables else (min(left, right), max(left, right))

    def decide(self, n: int, verdict: str, *, by: str) -> None:
        """Save a decision; SpecError if it cannot be written."""
        chosen = next((each for each in VERDICTS if each == verdict), None)
        if chosen is None or not 0 <= n < len(self.pairs):
            raise SpecError("there is no such pair or verdict", remedy="Go back to the review.")
        pair, labels = self.pairs[n], self._saved()
        at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        label = Label(left=pair.left, right=pair.right, verdict=chosen, by=by, at=at)
        labels[self._key(pair.left, pair.right)] = label
        data = "".join(write_labels(labels.values())).encode()
        read_labels(data, two_tables=self._two_tables)  # a file that could not be read again is not written
        new = self.file.with_suffix(".new")
        try:
            new.unlink(missing_ok=True)
            write_new(new, data)
            new.replace(self.file)
        except OSError as error:
            raise SpecError(f"{self.file} cannot be written ({error.strerror})", remedy="Free space.") from None
        self._labels = labels


def _pairs(job: Job, *, two_tables: bool) -> tuple[list[Pair], int]:
    """(the heaviest, how many more there are)."""
    if PAIRS.name not in job.outputs:
        raise SpecError("this result has no pairs to decide", remedy="Review results of a task that finds people.")
    if two_tables and SIDE not in job.sides:
        raise SpecError(
            "the second file is not at hand any more", remedy="Run the job again, and review it before you quit."
        )
    heaviest = Least(MOST_PAIRS, _rank)
    for batch in job.read(PAIRS.name):
        heaviest.add(batch)
    rows = heaviest.rows
    lefts, rights = ({int(row[side]) for row in rows} for side in ("left", "right"))
    if two_tables:
        left, right = rows_at(job.read(_RESULT), lefts), rows_at(job.sides[SIDE](), rights)
    else:
        left = right = rows_at(job.read(_RESULT), lefts | rights)
    pairs = [_pair(row, left[int(row["left"])], right[int(row["right"])]) for row in rows]
    return pairs, heaviest.total - len(pairs)


def _rank(batch: pa.RecordBatch) -> Any:
    return np.where(column(batch, "match"), NOT_WANTED, -column(batch, "weight"))


def _pair(row: Mapping[str, Any], left: Mapping[str, Any], right: Mapping[str, Any]) -> Pair:
    names = [name for name in dict.fromkeys((*left, *right)) if name not in _NOT_SHOWN]
    return Pair(
        left=_id(row["left_id"], row["left"]),
        right=_id(row["right_id"], row["right"]),
        values={name: (left.get(name), right.get(name)) for name in names},
    )


def _id(found: Any, at: int) -> str:
    """As label files have it: of records without an id, their rows."""
    if found is None:
        return str(at)
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)
