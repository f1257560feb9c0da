"""The objects of reports in NIBRS XML: children of `nibrs:Report`, their texts, and the references between them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Bytes, Ints, Text
from cji_core.format.records.equal_rows import numbered
from cji_core.format.records.nibrs.xml_fields import FIELDS, REFERENCES, Target
from cji_core.format.records.nibrs.xml_tags import Tags
from cji_core.format.records.nibrs.xml_values import converted

Array = npt.NDArray[Any]

_ID_MARK, _REF_MARK = (np.frombuffer(mark, np.uint8) for mark in (b' s:id="', b' s:ref="'))
_QUOTE: Final = np.uint8(ord('"'))
_BLANK: Final = 32
_ID_BYTES: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Objects:
    """`o` objects of `r` reports, in order.

    kind int[o]: the name (of FIELDS), -1 for others; row int64[o]: its report; ordinal int64[o]: which of its kind in
    the report, from 1. of_tag int64[t]: the object of each tag. referrer, role, referee int64[k]: references from an
    object, in an element, to an object or -1.
    """

    data: Bytes
    tags: Tags
    kind: Array
    row: Ints
    ordinal: Ints
    of_tag: Ints
    referrer: Ints
    role: Ints
    referee: Ints

    def of_kind(self, name: str) -> Ints:
        """The objects of one kind."""
        return np.flatnonzero(self.kind == FIELDS.words[name])

    def referred(self, name: str, role: str) -> tuple[Ints, Ints]:
        """Objects of a kind that refer to another in an element, and that other one or -1; the first of each."""
        chosen = (self.kind[self.referrer] == FIELDS.words[name]) & (self.role == FIELDS.words[role])
        referrer, referee = self.referrer[chosen], self.referee[chosen]
        first = np.append(True, referrer[1:] != referrer[:-1])[: len(referrer)]
        return referrer[first], referee[first]

    def texts(self) -> Iterator[tuple[Target, Ints, Bytes]]:
        """For each flat field that has texts, their objects, ascending, and values."""
        tags = self.tags
        leaves = np.flatnonzero(tags.leaf & (tags.name >= 0) & (tags.depth > 2))
        parents, objects = tags.parent[leaves], self.of_tag[leaves]
        known = (tags.name[parents] >= 0) & (self.kind[objects] >= 0)
        number = FIELDS.number[self.kind[objects], tags.name[parents], tags.name[leaves]]
        number = np.where(known, number, -1)
        number[FIELDS.depths[number] != tags.depth[leaves]] = -1
        order = np.argsort(number, kind="stable")
        bounds = np.searchsorted(number[order], np.arange(len(FIELDS.targets) + 1))
        for path, (first, last) in enumerate(pairwise(bounds)):
            if first < last:
                chosen = order[first:last]
                tag = leaves[chosen]
                text = stripped(Text(data=self.data, starts=tags.text_starts[tag], lengths=tags.text_lengths[tag]))
                for target in FIELDS.targets[path]:
                    if target.form != "reference":
                        yield target, objects[chosen], converted(target.form, text, target.width)


def stripped(text: Text) -> Text:
    """Values without the blanks around them; hardly any has some."""
    starts, lengths = text.starts, text.lengths
    if not len(starts):
        return text
    ends = text.data[starts + np.maximum(lengths - 1, 0)]
    padded = np.flatnonzero((lengths > 0) & ((text.data[starts] <= _BLANK) | (ends <= _BLANK)))
    if not len(padded):
        return text
    starts, lengths = starts.copy(), lengths.copy()
    for row in padded.tolist():
        value = text.data[starts[row] : starts[row] + lengths[row]].tobytes()
        starts[row] += len(value) - len(value.lstrip())
        lengths[row] = len(value.strip())
    return Text(data=text.data, starts=starts, lengths=lengths)


def objects(data: Bytes, tags: Tags, rows: int) -> tuple[Objects, Bools]:
    """The objects of `rows` reports, and bool[rows]: those whose attributes are not in plain form."""
    begins = tags.depth == 2
    at = np.flatnonzero(begins)
    kind, row = tags.name[at].astype(np.int64), tags.row[at]
    of_tag = np.cumsum(begins) - 1
    bad = np.zeros(rows, np.bool_)
    tagged = tags.with_attribute
    is_id, is_ref, values = _attributes(data, tags, bad)
    keys = _keys(data, tags.row[tagged], values)
    holder = np.full(int(keys.max(initial=-1)) + 1, -1)
    ids = np.flatnonzero(is_id & (tags.depth[tagged] == 2))[::-1]
    holder[keys[ids]] = of_tag[tagged[ids]]
    roles = np.isin(tags.name[tagged], [FIELDS.words[name] for name in REFERENCES])
    refs = np.flatnonzero(is_ref & roles & (tags.depth[tagged] == 3))
    made = Objects(
        data=data,
        tags=tags,
        kind=kind,
        row=row,
        ordinal=_ordinals(kind, row),
        of_tag=of_tag,
        referrer=of_tag[tagged[refs]],
        role=tags.name[tagged[refs]].astype(np.int64),
        referee=holder[keys[refs]],
    )
    return made, bad


def _attributes(data: Bytes, tags: Tags, bad: Bools) -> tuple[Bools, Bools, Text]:
    """Which of the tags with an attribute have an id, which a reference, and its value."""
    tagged = tags.with_attribute
    begins, ends = tags.name_ends[tagged], tags.ends[tagged]
    is_id, is_ref = (
        (np.ndarray((len(data) - len(mark) + 1, len(mark)), np.uint8, data, strides=(1, 1))[begins] == mark).all(axis=1)
        for mark in (_ID_MARK, _REF_MARK)
    )
    starts = begins + np.where(is_id, len(_ID_MARK), len(_REF_MARK))
    text = stripped(Text(data=data, starts=starts, lengths=np.maximum(ends - starts, 1)))
    last = text.starts + text.lengths - 1
    lengths = last - starts
    odd = ~(is_id | is_ref) | (text.starts != starts) | (lengths < 1) | (lengths > _ID_BYTES) | (data[last] != _QUOTE)
    bad[tags.row[tagged[odd]]] = True
    return is_id, is_ref, Text(data=data, starts=starts, lengths=np.clip(lengths, 0, _ID_BYTES))


def _keys(data: Bytes, rows: Ints, values: Text) -> Ints:
    """int64[k]: a number for each value in its row, equal for equal ones."""
    width = -(-int(values.lengths.max(initial=1)) // 8) * 8
    windows = np.ndarray((len(data) - width + 1, width), np.uint8, data, strides=(1, 1))[values.starts]
    windows[np.arange(width) >= values.lengths[:, None]] = 0
    return numbered(np.hstack((rows.astype("<i8")[:, None].view(np.uint8), windows)))


def _ordinals(kind: Array, row: Ints) -> Ints:
    """Which of its kind in its row each object is, from 1."""
    order = np.lexsort((row, kind))
    begins = np.ones(len(kind), np.bool_)
    begins[1:] = (kind[order][1:] != kind[order][:-1]) | (row[order][1:] != row[order][:-1])
    place = np.arange(len(kind))
    found = np.empty(len(kind), np.int64)
    found[order] = place - np.maximum.accumulate(place * begins) + 1
    return found
