"""Reports of NIBRS XML, one a row, as records: the same edits apply to them as to flat segments.

Rows are in plain form (`xml_plain`) or in any other form of XML: rows that numpy cannot read go through expat, one by
one. A row without a report of a known category has no record, and the reason for that.
"""

from typing import Final

import numpy as np

from cji_core.format.records.column import Bools, Bytes, Ints, Text
from cji_core.format.records.lines import BLANK, matrix
from cji_core.format.records.nibrs.records import BEGINNING, Records, Unread
from cji_core.format.records.nibrs.xml_blocks import Segments
from cji_core.format.records.nibrs.xml_fields import FIELDS
from cji_core.format.records.nibrs.xml_objects import Objects, objects
from cji_core.format.records.nibrs.xml_plain import plain
from cji_core.format.records.nibrs.xml_segments import segments
from cji_core.format.records.nibrs.xml_tags import PAD, tags

_CHUNK_BYTES: Final = 4 << 20
_CARGO: Final = 87
_REPORT: Final = "nibrs:Report"


def read_reports(reports: Text) -> Records:
    """The records of reports, one a row."""
    unread = np.full(len(reports.starts), -1, np.int64)
    unread[reports.lengths == 0] = Unread.BLANK
    return _records([_Chunk(reports, rows, unread).segments() for rows in _chunks(reports)], unread)


def all_plain(reports: Text) -> bool:
    """Whether numpy can read all of the rows, so that none has to go through expat."""
    unread = np.full(len(reports.starts), -1, np.int64)
    return all(_objects(*_Chunk(reports, rows, unread).data())[0] is not None for rows in _chunks(reports)) and bool(
        (reports.lengths > 0).all()
    )


def _chunks(reports: Text) -> list[Ints]:
    rows = np.flatnonzero(reports.lengths > 0)
    upto = np.cumsum(reports.lengths[rows]) // _CHUNK_BYTES
    return np.split(rows, np.flatnonzero(np.diff(upto)) + 1) if len(rows) else []


class _Chunk:
    """Some rows: `rows` are those that are still to be read, `unread` gets the reasons of the others."""

    def __init__(self, reports: Text, rows: Ints, unread: Ints) -> None:
        self._reports = reports
        self._rows = rows
        self._unread = unread
        self._plain: dict[int, bytes] = {}

    def segments(self) -> tuple[Ints, list[Segments]]:
        """Rows, and the segments of all of them."""
        while len(self._rows):
            data, bounds = self.data()
            found, bad = _objects(data, bounds)
            if found is not None:
                made, category = segments(found, len(self._rows))
                self._unread[self._rows[category == 0]] = Unread.NO_REPORT
                return self._rows, made
            self._through_expat(np.flatnonzero(bad))
        return self._rows, []

    def data(self) -> tuple[Bytes, Ints]:
        """The bytes of the rows, one after another, and the bounds of each."""
        starts, lengths = self._reports.starts[self._rows], self._reports.lengths[self._rows]
        if self._plain or (starts[1:] != starts[:-1] + lengths[:-1]).any():
            texts = [self._plain.get(row) or self._bytes(row) for row in self._rows.tolist()]
            lengths = np.array([len(text) for text in texts])
            data = np.frombuffer(b"".join((*texts, bytes(PAD))), np.uint8)
        else:
            whole = self._reports.data[starts[0] : starts[-1] + lengths[-1]]
            data = np.concatenate((whole, np.zeros(PAD, np.uint8)))
        return data, np.append(0, np.cumsum(lengths))

    def _bytes(self, row: int) -> bytes:
        start = self._reports.starts[row]
        return self._reports.data[start : start + self._reports.lengths[row]].tobytes()

    def _through_expat(self, places: Ints) -> None:
        """Bring rows into plain form; those that have none, or are not read in it, are given up."""
        for row in self._rows[places].tolist():
            made = Unread.MALFORMED if row in self._plain else plain(self._bytes(row))
            if isinstance(made, bytes):
                self._plain[row] = made
            else:
                self._unread[row] = made
        self._rows = self._rows[self._unread[self._rows] < 0]


def _objects(data: Bytes, bounds: Ints) -> tuple[Objects | None, Bools]:
    """The objects of the rows; None, and the rows that numpy cannot read, if there are some."""
    found, bad = tags(data, bounds, FIELDS.names)
    if found is None:
        return None, bad
    bad = found.name[found.depth == 1] != FIELDS.words[_REPORT]
    if bad.any():
        return None, bad
    made, bad = objects(data, found, len(bounds) - 1)
    return (None, bad) if bad.any() else (made, bad)


def _records(parts: list[tuple[Ints, list[Segments]]], unread: Ints) -> Records:
    """All segments, by row and level."""
    with_cargo = any((one.lines[:, _CARGO] != BLANK).any() for _, made in parts for one in made if one.level == 1)
    data, rows, starts, lengths, positions = [], [], [], [], []
    size = 0
    for chunk, made in parts:
        keys = np.concatenate([one.row * 8 + one.level for one in made]) if made else np.empty(0, np.int64)
        order = np.argsort(keys, kind="stable")
        places, sizes, triples = [], [], []
        for one in made:
            n, width = one.lines.shape
            length = width - (one.level == 1 and not with_cargo)
            one.lines[:, :4] = np.frombuffer(b"%04d" % length, np.uint8)
            data.append(one.lines.reshape(-1))
            places.append(size + width * np.arange(n))
            sizes.append(np.full(n, length))
            triples.append(np.stack((one.first, one.person, one.other), axis=1))
            size += n * width
        if made:
            rows.append(chunk[keys[order] // 8])
            starts.append(np.concatenate(places)[order])
            lengths.append(np.concatenate(sizes)[order])
            positions.append(np.concatenate(triples)[order])
    none = np.empty(0, np.int64)
    text = Text(
        data=np.concatenate((*data, np.empty(0, np.uint8))),
        starts=np.concatenate((*starts, none)),
        lengths=np.concatenate((*lengths, none)),
    )
    unread_rows = np.flatnonzero(unread >= 0)
    return Records(
        text=text,
        beginnings=matrix(text, np.arange(len(text.starts)), BEGINNING),
        rows=np.concatenate((*rows, none)),
        input_rows=len(unread),
        unread_rows=unread_rows,
        unread=unread[unread_rows].astype(np.uint8),
        positions=np.concatenate((*positions, np.empty((0, 3), np.int64))),
    )
