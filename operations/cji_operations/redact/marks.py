"""Marks in place of what was found: by class, numbered in each text, or by a token of the project.

A token is the first 80 bits of HMAC-SHA-256(key, class 00 value), base32hex, where the key is
HMAC-SHA-256(project key, "cji-redact/1" 00 project). The value of a mark is its letters and digits as capitals; a name
that is written LAST, FIRST is turned first. So "Garza, John" and "JOHN GARZA" share a mark, "Garza" alone has another.
"""

import base64
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives import hashes, hmac

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Ints
from cji_core.operations.redact import CLASSES
from cji_operations.kernels.project_keys import derived
from cji_operations.kernels.strings import fold
from cji_operations.redact.finder import Spans
from cji_operations.redact.plain import ALNUM, Plain

_TOKEN_BYTES: Final = 10
_LABELS: Final = tuple(f"[{kind.upper()}]".encode() for kind in CLASSES)


class ClassMarks:
    """Marks like [NAME]."""

    def of(self, _plain: Plain, spans: Spans) -> pa.Array:
        """binary[k]: the mark of each find."""
        return arrow.from_texts((label.decode() for label in _LABELS), pa.binary()).take(arrow.from_numpy(spans.kind))


class RowMarks:
    """Marks like [NAME-1]: numbers of the distinct values of a class in each text, in their order."""

    def of(self, plain: Plain, spans: Spans) -> pa.Array:
        """binary[k]: the mark of each find."""
        value = pc.dictionary_encode(values(plain, spans)).indices
        text = plain.rows(spans.first) * len(CLASSES) + spans.kind
        key = np.stack((text, arrow.numbers(value).astype(np.int64)))
        _, first, index = np.unique(key, axis=1, return_index=True, return_inverse=True)
        order = np.lexsort((first, text[first]))
        rank = np.empty(len(order), np.int64)
        _, begins = np.unique(text[first][order], return_index=True)
        counts = np.diff(np.append(begins, len(order)))
        rank[order] = np.arange(len(order)) - np.repeat(begins, counts)
        number = pc.cast(arrow.from_numpy(rank[index.ravel()] + 1), pa.utf8()).cast(pa.binary())
        return _labelled(spans, number)


class ProjectMarks:
    """Marks like [NAME-u6jqk03c8d1v5pne]: the token of a value under the key of a project."""

    def __init__(self, project_key: bytes, project: str) -> None:
        self._start = hmac.HMAC(derived(project_key, "cji-redact/1", project), hashes.SHA256()).copy

    def of(self, plain: Plain, spans: Spans) -> pa.Array:
        """binary[k]: the mark of each find."""
        kinds = arrow.from_texts(CLASSES, pa.binary()).take(arrow.from_numpy(spans.kind))
        keyed = pc.binary_join_element_wise(kinds, values(plain, spans), pa.scalar(b"\0", pa.binary()))
        encoded = pc.dictionary_encode(keyed)
        tokens = b"".join(map(self._token, encoded.dictionary.to_pylist()))
        lengths = np.full(len(encoded.dictionary), 8 * _TOKEN_BYTES // 5)
        made = arrow.from_bytes(np.frombuffer(tokens, np.uint8), lengths, pa.binary())
        return _labelled(spans, made.take(encoded.indices))

    def _token(self, value: bytes) -> bytes:
        mac = self._start()
        mac.update(value)
        return base64.b32hexencode(mac.finalize()[:_TOKEN_BYTES]).lower()


Marks = ClassMarks | RowMarks | ProjectMarks


def _labelled(spans: Spans, tails: pa.Array) -> pa.Array:
    heads = arrow.from_texts((f"[{kind.upper()}-" for kind in CLASSES), pa.binary())
    end = pa.scalar(b"]", pa.binary())
    return pc.binary_join_element_wise(
        heads.take(arrow.from_numpy(spans.kind)), tails, end, pa.scalar(b"", pa.binary())
    )


def values(plain: Plain, spans: Spans) -> pa.Array:
    """binary[k]: the letters and digits of each find, as capitals; of LAST, FIRST the part behind the comma first."""
    length = spans.end - spans.first
    inside = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
    position = np.repeat(spans.first, length) + inside
    of, data = np.repeat(np.arange(len(length)), length), plain.data[position]
    is_name = (spans.kind == CLASSES.index("name"))[of]
    commas = is_name & (data == ord(","))
    after = np.cumsum(commas) - np.append(0, np.cumsum(commas))[(np.cumsum(length) - length)][of]
    last = np.bincount(of, commas, len(length)).astype(np.int64)[of]
    order = np.lexsort((np.where(last > 0, after == 0, 0), of))  # stable: before the first comma goes to the end
    kept = order[ALNUM[data[order]]]
    return arrow.from_bytes(fold(data[kept]), np.bincount(of[kept], minlength=len(length)), pa.binary())


def replaced(array: pa.Array, finds: tuple[Ints, Ints, Ints], marks: pa.Array, withheld: Ints) -> pa.Array:
    """The texts with a mark in place of each find: its first byte in the array's data, ascending, its end, its row.

    The texts `withheld` and missing ones (null, empty) are null.
    """
    first, end, rows = finds
    offsets, data = arrow.text(array)
    starts = offsets[:-1].astype(np.int64)
    lengths = (offsets[1:] - starts) * arrow.present(array)
    lengths[withheld] = 0
    mark_offsets, mark_data = arrow.text(marks)
    marked = (mark_offsets[1:] - mark_offsets[:-1]).astype(np.int64)
    new = lengths + np.bincount(rows, marked - (end - first), len(lengths)).astype(np.int64)
    out_starts = np.cumsum(new) - new
    out = np.empty(int(new.sum()), np.uint8)
    position, kept = _kept(starts, lengths, first, end)
    row = np.searchsorted(np.cumsum(lengths), np.arange(len(position)), "right")
    grown = np.append(0, np.cumsum(marked - (end - first)))
    base = out_starts[row] - starts[row]
    before = np.searchsorted(first, position, "right")
    at_row = np.searchsorted(first, starts[row], "left")
    target = position + base + grown[before] - grown[at_row]
    out[target[kept]] = data[position[kept]]
    row_first = np.searchsorted(first, starts[rows], "left")
    mark_at = first + out_starts[rows] - starts[rows] + grown[: len(first)] - grown[row_first]
    step = np.arange(int(marked.sum())) - np.repeat(np.cumsum(marked) - marked, marked)
    out[np.repeat(mark_at, marked) + step] = mark_data[mark_offsets[0] : mark_offsets[-1]]
    return arrow.from_bytes(out, new, array.type)


def _kept(starts: Ints, lengths: Ints, first: Ints, end: Ints) -> tuple[Ints, Bools]:
    """(int64[m]: the bytes of all texts, bool[m]: which of them no find covers)."""
    position: Ints = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(int(lengths.sum()))
    at = np.searchsorted(first, position, "right") - 1
    covered: Bools = np.zeros(len(position), np.bool_)
    if len(first):
        covered = (at >= 0) & (position < end[at])
    return position, ~covered
