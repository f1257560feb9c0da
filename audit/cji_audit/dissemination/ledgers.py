"""Dissemination ledgers (`ledger/1`) on disk, searched by subject.

`cji job run` writes a dissemination ledger as `ledger.csv`, `.parquet` or `.arrow` in the folder of its result, or as
`NAME.ledger.…` beside a single file. All three are read in batches, compared column by column, and only rows of the
subject become Python values: memory does not grow with the ledgers.

The receipt of the same job lies beside the ledger, as `receipt.jws` or `NAME.receipt.jws`. A ledger with another number
of rows than its receipt states is refused, because a row that is missing is a disclosure that nobody finds; one without
a receipt beside it is read, and counted. Signatures of receipts are verified by `cji receipt verify`, not here.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from cji_audit.errors import AuditError
from cji_core.operations.volumes import LEDGER, wrong_counts
from cji_core.trail import ReceiptError, claims_unverified

MAX_DISCLOSURES: Final = 100_000
"""Of one subject."""

_FILE: Final = re.compile(r"(.+\.)?ledger\.(csv|parquet|arrow)")
_RECEIPT: Final = "receipt.jws"
_RECEIPT_BYTES: Final = 1 << 20
_BLOCK_BYTES: Final = 8 << 20
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class DisseminationLedgerError(AuditError):
    """A ledger cannot be read. The text names the file, and nothing in it."""

    code = "dissemination-ledger-invalid"
    remedy = "Open the ledger with the key that it was sealed to."


class LedgerCountError(DisseminationLedgerError):
    """A ledger has other rows than the receipt of its job states, or a receipt that cannot be read."""

    code = "dissemination-ledger-volumes"
    remedy = "Do not answer from this ledger. Open the sealed result again, and verify its receipt."


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A person by any of three identifiers; at least one is given. A row of any of them is this person's."""

    subject: str | None = None
    SID: str | None = None
    FBI: str | None = None

    def __post_init__(self) -> None:
        if not any(self.names.values()):
            raise ValueError("a subject needs an identifier")

    @property
    def names(self) -> dict[str, str]:
        """The identifiers given, by column."""
        return {each.name: found for each in fields(self) if (found := getattr(self, each.name))}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Disclosure:
    """One row of a dissemination ledger: to whom records about a subject went. Texts are its own; None is missing."""

    time: str
    subject: str
    SID: str | None
    FBI: str | None
    file: str | None
    purpose: str
    requestor: str
    requesting_ori: str
    secondary_recipient: str | None
    recipient_class: str
    rows: int
    ledger: str


_COLUMNS: Final = tuple(each.name for each in fields(Disclosure) if each.name != "ledger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosures:
    """The disclosures in the order of time, and how much was searched.

    `compared` ledgers have the rows that the receipts beside them state; the others have no receipt beside them.
    """

    found: Sequence[Disclosure]
    ledgers: int
    rows: int
    compared: int


def dissemination_ledgers(places: Iterable[Path]) -> list[Path]:
    """The ledgers among and below `places`, sorted, each file once, by whatever paths it is reached.

    Raises DisseminationLedgerError for one that is missing or not readable, and for a link to a folder, which may lead
    anywhere.
    """
    found: set[Path] = set()
    for place in places:
        if not place.exists():
            raise DisseminationLedgerError(f"{place} does not exist")
        if place.is_file():
            found.add(place)
            continue
        for folder, folders, names in os.walk(place, onerror=_unreadable):
            for link in (Path(folder, name) for name in sorted(folders)):
                if link.is_symlink():
                    raise DisseminationLedgerError(
                        f"{link} is a link to a folder: name the folder itself, and move the link away"
                    )
            found |= {Path(folder, name) for name in names if _FILE.fullmatch(name)}
    return sorted({path.resolve(): path for path in sorted(found, reverse=True)}.values())


def _unreadable(error: OSError) -> None:
    raise DisseminationLedgerError(f"{error.filename} cannot be read ({error.strerror})") from error


def find_disclosures(ledgers: Sequence[Path], who: Subject, *, since: str = "", until: str = "~") -> Disclosures:
    """Every disclosure about a subject in these ledgers, from `since` on and before `until` (texts as in the ledger).

    An identifier must be equal: `123` is not `0123`. Raises DisseminationLedgerError, also for a ledger with another
    number of rows than the receipt beside it states; then nothing is returned, because an answer from some of the
    ledgers would look like one from all.
    """
    found: list[Disclosure] = []
    rows = compared = 0
    for path in ledgers:
        own = 0
        for batch in _batches(path):
            own += batch.num_rows
            found += _rows_of(batch, who, path, since, until)
            if len(found) > MAX_DISCLOSURES:
                raise DisseminationLedgerError(f"more than {MAX_DISCLOSURES} disclosures: ask for a shorter time")
        rows += own
        compared += _is_as_stated(path, own)
    return Disclosures(found=sorted(found, key=_by_time), ledgers=len(ledgers), rows=rows, compared=compared)


def _is_as_stated(path: Path, rows: int) -> bool:
    """Whether the receipt beside a ledger states its rows. Raises LedgerCountError.

    False without one, and for that of a job with sealed columns, which states none.
    """
    named = _FILE.fullmatch(path.name)
    beside = path.with_name(f"{named[1] or ''}{_RECEIPT}") if named else None
    if beside is None or not beside.exists():
        return False
    try:
        with beside.open(encoding="ascii") as file:
            receipt = claims_unverified(file.read(_RECEIPT_BYTES).strip())
    except (OSError, UnicodeDecodeError, ReceiptError) as error:
        raise LedgerCountError(f"{beside}, the receipt beside {path.name}, cannot be read") from error
    if wrong := wrong_counts(receipt, {"ledger": LEDGER}, {"ledger": rows}):
        raise LedgerCountError(f"{path} is not the ledger of the receipt beside it: {', '.join(wrong)}")
    return not receipt.withheld


def _rows_of(batch: pa.RecordBatch, who: Subject, path: Path, since: str, until: str) -> Iterator[Disclosure]:
    of_subject = np.zeros(batch.num_rows, np.bool_)
    for name, wanted in who.names.items():
        of_subject |= pc.fill_null(pc.equal(batch.column(name), pa.scalar(wanted)), False).to_numpy(
            zero_copy_only=False
        )
    for row in batch.take(pa.array(np.flatnonzero(of_subject))).to_pylist():
        if since <= row["time"] < until:
            yield Disclosure(ledger=str(path), **row)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a ledger with its columns as text, `rows` as numbers. Raises DisseminationLedgerError."""
    try:
        for batch in _read(path):
            yield _checked(batch, path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DisseminationLedgerError(
            f"{path} cannot be read as a dissemination ledger ({type(error).__name__})"
        ) from error


def _read(path: Path) -> Iterator[pa.RecordBatch]:
    match path.suffix:
        case ".parquet":
            with pyarrow.parquet.ParquetFile(path) as file:
                yield from file.iter_batches(batch_size=1 << 16)
        case ".arrow":
            with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as reader:
                for number in range(reader.num_record_batches):
                    yield reader.get_batch(number)
        case _:
            types = dict.fromkeys(_COLUMNS, pa.string()) | {"rows": pa.uint64()}
            options = pyarrow.csv.ConvertOptions(
                column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False
            )
            reading = pyarrow.csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False)
            with pyarrow.csv.open_csv(path, read_options=reading, convert_options=options) as reader:
                yield from reader


def _checked(batch: pa.RecordBatch, path: Path) -> pa.RecordBatch:
    if tuple(sorted(batch.schema.names)) != tuple(sorted(_COLUMNS)):
        raise DisseminationLedgerError(f"{path} does not have the columns of ledger/1")
    columns = {name: batch.column(name) for name in _COLUMNS}
    columns = {name: each.cast(pa.uint64() if name == "rows" else pa.string()) for name, each in columns.items()}
    checked = pa.RecordBatch.from_pydict(columns)
    for name in ("time", "subject", "purpose", "requesting_ori", "rows"):
        if checked.column(name).null_count:
            raise DisseminationLedgerError(f"{path} has a row without {name}")
    times = pc.match_substring_regex(checked.column("time"), f"^(?:{_TIME.pattern})$")
    if not pc.all(times, min_count=0).as_py():
        raise DisseminationLedgerError(f"{path} has a time that is not one of ledger/1")
    return checked


def _by_time(one: Disclosure) -> tuple[str, ...]:
    return one.time, one.ledger, one.subject, one.file or ""
