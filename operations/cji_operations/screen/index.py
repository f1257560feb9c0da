"""The reference of a screening in memory: sorted once, searched by every inquiry.

Records lie in the order of one key, (sound of the surname, month, day, year of birth): the year comes last, so that all
records of one sound within k years of a day are one range, whatever k is. Behind them lie the records whose date has
unknown digits, by sound, and then those that no search by name can find. Identifiers have lists of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records import RowStatus, Status, arrow
from cji_core.format.records.column import Bools, Bytes, Ints, read
from cji_core.operations.screen import SHOWN, Code
from cji_core.operations.tables.dissemination import Files
from cji_operations.kernels.distinct import codes, is_among
from cji_operations.kernels.ranges import expand, within
from cji_operations.kernels.strings import Words
from cji_operations.screen.descriptors import COLUMNS, NO_SOUND, Identifier, Names, People
from cji_operations.screen.reader import read_people

Small = npt.NDArray[np.int32]
Mixed = npt.NDArray[np.uint64]

MAX_RECORDS: Final = 5_000_000

_BYTES_A_RECORD: Final = 440
_TIMES_TEXT: Final = 5
"""The most that building takes: bytes for each record, and a multiple of its columns. Measured, with room to spare."""

_MAX_COLUMN: Final = 2**31 - 1  # bytes; offsets of an Arrow column have 32 bits

_MIX: Final = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: Knuth, TAOCP 3, 6.4
_WORD: Final = 8
_DAYS: Final = 12 * 31 * 10_000  # keys of one sound


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Postings:
    """Which records have each of k identifiers of one kind.

    words: the values; mixed uint64[k]: a number of each, ascending, and value int32[k]: whose it is;
    first int64[k + 1]: entries first[v] to first[v + 1] of the index are those of the records that have value v.
    """

    words: Words
    mixed: Mixed
    value: Small
    first: Ints

    def find(self, words: Words) -> Ints:
        """int64[n]: which value each word is, -1 of one that no record has."""
        width = self.words.data.shape[1]
        found = np.full(len(words), -1, np.int64)
        if not len(words):
            return found
        rows = np.flatnonzero(words.lengths <= width)
        data = _fixed(words.data[rows], width)
        mixed = _mixed(data)
        which, at = expand(*within(self.mixed, mixed, mixed))
        value = self.value[at]
        same = (_fixed(self.words.data[value], width) == data[which]).all(axis=1)
        found[rows[which[same]]] = value[same]
        return found

    def records(self, value: Ints) -> tuple[Ints, Ints]:
        """(int64[n] first entry, int64[n] how many) of the records of each value."""
        first = self.first[value]
        return first, self.first[value + 1] - first


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Index:
    """`n` records of a reference, position by position in the order of the key.

    keys int64[dated]: `day_key` of the first records, ascending; partial_sounds int64[partial]: the sounds of those
    behind them. posted int32[p]: the positions of the records of each identifier, for all `postings`. row int32[n]:
    where each record was in the reference; people: the persons; roots int64[k]: of the given names, as
    `Names` has them; record int32[n]: the same number for all rows of a record; restricted bool[n];
    shown: the columns of SHOWN that there are. status: of the reference, by row.
    """

    keys: Ints
    partial_sounds: Ints
    posted: Small
    postings: Mapping[str, Postings]
    row: Small
    people: People
    roots: Ints
    record: Small
    restricted: Bools
    shown: pa.RecordBatch
    status: RowStatus

    def __len__(self) -> int:
        return len(self.row)

    def positions(self, entries: Ints) -> Ints:
        """int64[m]: the positions of records at `entries`; from n on, an entry is one of `posted`."""
        listed = np.flatnonzero(entries >= len(self))
        entries[listed] = self.posted[entries[listed] - len(self)]
        return entries

    def values(self, people: People) -> Mapping[str, Ints]:
        """For each kind of identifier int64[m]: which value each of m persons has, -1 for one that no record has."""
        found = {name: self.postings[name].find(each.words) for name, each in people.identifiers.items()}
        return {name: np.append(each, -1)[people.identifiers[name].code] for name, each in found.items()}


def day_key(sound: Ints, month: Ints, day: Ints, year: Ints) -> Ints:
    """int64[n]: sound first, year last; year 0 to 9999."""
    key: Ints = sound * _DAYS + ((month - 1) * 31 + day - 1) * 10_000 + year
    return key


def all_days(sound: Ints) -> tuple[Ints, Ints]:
    """(int64[n] lowest, int64[n] highest `day_key` of each sound)."""
    return sound * _DAYS, sound * _DAYS + _DAYS - 1


def memory(batches: Sequence[pa.RecordBatch]) -> int:
    """Bytes that `build` takes at most."""
    used = [batch.select(_used(batch.schema)) for batch in batches]
    return sum(batch.num_rows * _BYTES_A_RECORD + _TIMES_TEXT * batch.nbytes for batch in used)


def build(batches: Sequence[pa.RecordBatch], files: Files, *, room: int) -> Index:
    """Index a reference of `hotfile/1`; `room` is the memory in bytes that it may take.

    A record of a file that `files` does not name counts as restricted. Raises at COMPUTE: Refusal(LIMIT_EXCEEDED) for
    more than MAX_RECORDS or more than there is room for, before anything is built; Refusal(SCHEMA_MISMATCH) without a
    batch, or where records have no `file_code`.
    """
    if not batches or "file_code" not in batches[0].schema.names:
        raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)
    if sum(batch.num_rows for batch in batches) > MAX_RECORDS or memory(batches) > room:
        raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)
    used = _used(batches[0].schema)
    table = pa.Table.from_batches(batches).select(used)
    if any(column.nbytes > _MAX_COLUMN for column in table.columns):
        raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)
    (whole,) = table.combine_chunks().to_batches() or [batches[0].select(used)]
    people = read_people(whole)
    status, restricted = _checked(people, whole, files)
    sound = people.last.sounds()
    named = sound != NO_SOUND
    dated, partial = named & (people.date > 0), named & (people.date == 0) & people.dated()
    monthday, year = people.date % 10_000, people.date // 10_000
    key = day_key(sound, monthday // 100, monthday % 100, year)
    order = np.lexsort((np.where(dated, key, sound), np.where(dated, 0, np.where(partial, 1, 2))))
    counts = int(dated.sum()), int(partial.sum())
    moved = _moved(people, order)
    postings, lists, entry = dict[str, Postings](), list[Small](), len(order)
    for name, identifier in moved.identifiers.items():
        postings[name], records = _postings(identifier, entry)
        lists.append(records)
        entry += len(records)
    shown = [name for name in SHOWN if name in whole.schema.names]
    return Index(
        keys=key[order[: counts[0]]],
        partial_sounds=sound[order[counts[0] : sum(counts)]],
        row=order.astype(np.int32),
        people=moved,
        roots=moved.first.roots,
        record=_records(whole)[order],
        restricted=restricted[order],
        posted=np.concatenate([np.empty(0, np.int32), *lists]),
        postings=postings,
        shown=whole.select(shown).take(arrow.from_numpy(order)),
        status=status.traced(np.array(used, np.int16)),
    )


def _used(schema: pa.Schema) -> list[int]:
    """The positions of the columns that an index is made of."""
    return [position for position, name in enumerate(schema.names) if name in (*COLUMNS, *SHOWN)]


def _records(whole: pa.RecordBatch) -> Small:
    """int32[n]: rows with the same NIC are one record, with its aliases and dates of birth; one without is its own."""
    n = whole.num_rows
    if "NIC" not in whole.schema.names:
        return np.arange(n, dtype=np.int32)
    column = whole.column("NIC")
    number, count = codes(column)
    return np.where(read(column).filled, number, count + np.arange(n)).astype(np.int32)


def _checked(people: People, whole: pa.RecordBatch, files: Files) -> tuple[RowStatus, Bools]:
    """(the status of the reference, bool[n] which records are restricted)."""
    column = whole.column("file_code")
    known = is_among(column, (*files.restricted, *files.unrestricted))
    open_ = is_among(column, files.unrestricted)
    found = (people.last.sounds() != NO_SOUND) & people.dated()
    for identifier in people.identifiers.values():
        found |= identifier.usable()
    status = people.status.found(np.flatnonzero(~known), status=Status.WARNED, code=Code.UNKNOWN_FILE)
    return status.found(np.flatnonzero(~found), status=Status.NOT_USABLE, code=Code.NOT_REACHABLE), ~open_


def _moved(people: People, order: Ints) -> People:
    """The persons in another order, with the codes of words in 32 bits."""

    def names(column: Names) -> Names:
        return replace(column, code=column.code[order].astype(np.int32))

    return People(
        last=names(people.last),
        first=names(people.first),
        middle=names(people.middle),
        suffix=people.suffix[order],
        date=people.date[order],
        digits=people.digits[order],
        sex=people.sex[order],
        race=people.race[order],
        identifiers={
            name: Identifier(words=each.words, whole=each.whole, code=each.code[order].astype(np.int32))
            for name, each in people.identifiers.items()
        },
        status=RowStatus.all_ok(len(order)),
    )


def _postings(identifier: Identifier, entry: int) -> tuple[Postings, Small]:
    """(the lists of one kind of identifier, which begin at `entry`; the records in them)."""
    words, code = identifier.words, identifier.code
    mixed = _mixed(_fixed(words.data, words.data.shape[1]))
    value = np.argsort(mixed, kind="stable")
    record = np.argsort(code, kind="stable")
    record = record[int((code < 0).sum()) :]
    counts = np.bincount(code[record], minlength=len(words))
    first = entry + np.append(0, np.cumsum(counts))
    return Postings(words=words, mixed=mixed[value], value=value.astype(np.int32), first=first), record.astype(np.int32)


def _fixed(data: Bytes, width: int) -> Bytes:
    """uint8[n, w]: rows with zeros behind them, w the first multiple of 8 from `width` on, not 0."""
    out = np.zeros((len(data), -(-max(width, 1) // _WORD) * _WORD), np.uint8)
    shared = min(width, data.shape[1])
    out[:, :shared] = data[:, :shared]
    return out


def _mixed(data: Bytes) -> Mixed:
    """uint64[n]: a number of each row of uint8[n, 8 * w]; equal rows have the same, others seldom."""
    number = np.zeros(len(data), np.uint64)
    for word in data.view(np.uint64).T:
        number = (number ^ word) * _MIX
        number ^= number >> np.uint64(32)
    return number
