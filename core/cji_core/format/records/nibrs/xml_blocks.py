"""Objects of NIBRS XML as blocks of flat fields: each with the values that its own elements have."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Bytes, Ints
from cji_core.format.records.lines import BLANK
from cji_core.format.records.nibrs.xml_fields import BLOCK_BYTES, LINE_BYTES, Target
from cji_core.format.records.nibrs.xml_objects import Objects
from cji_core.format.records.nibrs.xml_values import MARK, put

HEADER: Final = 37

Array = npt.NDArray[Any]


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Segments:
    """Segments of one level: `lines` uint8[n, LINE_BYTES], `row` int64[n] ascending, and positions of their objects."""

    level: int
    row: Ints
    lines: Bytes
    first: Ints
    person: Ints
    other: Ints


@dataclass(slots=True, eq=False, repr=False)
class Blocks:
    """The values of objects of each kind, before they are put where they belong."""

    objects: Objects
    header: Bytes
    category: Bytes
    lines: dict[str, Bytes] = field(default_factory=dict)
    place: dict[str, Ints] = field(default_factory=dict)

    def of(self, kind: str) -> tuple[Bytes, Ints]:
        """uint8[k, BLOCK_BYTES] of the objects of a kind, and int64[o]: the place of each object among them, or -1."""
        if kind not in self.lines:
            rows = self.objects.of_kind(kind)
            self.lines[kind] = np.full((len(rows), BLOCK_BYTES[kind]), BLANK)
            self.place[kind] = np.full(len(self.objects.kind) + 1, -1)  # the last one: of no object
            self.place[kind][rows] = np.arange(len(rows))
        return self.lines[kind], self.place[kind]


def blocks_of(objects: Objects, rows: int) -> Blocks:
    """The blocks of `rows` reports."""
    header, category = np.full((rows, HEADER), BLANK), np.full((rows, 1), BLANK)
    blocks = Blocks(objects, header, category)
    for target, owners, values in objects.texts():
        if target.level == "*":
            out = category if target.field == "category" else header
            put(out, objects.row[owners], target.starts[0], values)
        else:
            block, place = blocks.of(target.object)
            put_slots(block, place[owners], target, values)
    return blocks


def put_slots(out: Bytes, owners: Ints, target: Target, values: Bytes) -> None:
    """Write each value into the next slot of its owner; `owners` ascend."""
    if len(target.starts) == 1:
        put(out, owners, target.starts[0], values)
        return
    slot = ordinals(owners)
    starts = np.array(target.starts)
    room = slot < len(starts)
    step = np.arange(target.width)
    out[owners[room, None], starts[slot[room], None] + step] = values[room]
    out[owners[~room], starts[-1] + target.width - 1] = MARK


def ordinals(owners: Ints) -> Ints:
    """Which of its owner each row is, from 0; `owners` ascend."""
    place = np.arange(len(owners))
    begins = np.append(True, owners[1:] != owners[:-1])[: len(owners)]
    found: Ints = place - np.maximum.accumulate(place * begins)
    return found


def plain_segments(level: int, row: Ints, lines: Bytes, first: Ints) -> Segments:
    """Segments without a person and without another object."""
    none = np.zeros(len(row), np.int64)
    return Segments(level=level, row=row, lines=lines, first=first, person=none, other=none.copy())


def own_segments(blocks: Blocks, chosen: Bools, level: int, kind: str) -> tuple[Segments, Ints]:
    """Segments that are objects of one kind, and those objects."""
    own = blocks.objects.of_kind(kind)
    block, place = blocks.of(kind)
    own = own[chosen[blocks.objects.row[own]]]
    lines = block[place[own]][:, : LINE_BYTES[level]].copy()
    return plain_segments(level, blocks.objects.row[own], lines, blocks.objects.ordinal[own]), own


def index_of(objects: Objects, own: Ints) -> Ints:
    """int64[o + 1]: the place of each object in `own`, or -1; the last one is of no object."""
    index = np.full(len(objects.kind) + 1, -1)
    index[own] = np.arange(len(own))
    return index


def paired(one: Ints, left: Ints, other: Ints, right: Ints) -> tuple[Ints, Ints]:
    """The objects that associations refer to in two elements, of those that have both."""
    _, mine, theirs = np.intersect1d(one, other, assume_unique=True, return_indices=True)
    return left[mine], right[theirs]


def in_order(rows: Ints, values: Array) -> tuple[Ints, Array]:
    """Rows, ascending, and the values of each."""
    order = np.argsort(rows, kind="stable")
    return rows[order], values[order]
