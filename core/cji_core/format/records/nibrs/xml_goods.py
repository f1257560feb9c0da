"""Property segments of NIBRS XML, which has items and substances instead.

Those of one status in a report are one segment. An item has a slot of it; a further substance of one description that
has no value and no date of its own adds only its drug. Quantities are numbers of vehicles where the status is stolen
or recovered, and are added up; of other statuses there is no such data element (18, 19).
"""

from typing import Final

import numpy as np

from cji_core.format.records.column import Bools, Bytes, Ints
from cji_core.format.records.lines import BLANK
from cji_core.format.records.nibrs.fields import numbers
from cji_core.format.records.nibrs.xml_blocks import Blocks, Segments, in_order, plain_segments, put_slots
from cji_core.format.records.nibrs.xml_fields import LINE_BYTES, Target
from cji_core.format.records.nibrs.xml_values import MARK

_KINDS: Final = ("nc:Item", "nc:Substance")
_LOSS, _ITEM, _QUANTITY, _DRUG = 0, slice(1, 20), slice(20, 22), slice(22, 37)
_DESCRIPTION, _WORTH = 1, slice(3, 20)
_LOSS_AT: Final = 37
_ITEMS_AT: Final = tuple(range(38, 228, 19))
_DRUGS_AT: Final = tuple(range(232, 277, 15))
_VEHICLES_AT: Final = {ord("7"): slice(228, 230), ord("5"): slice(230, 232)}


def properties(blocks: Blocks, chosen: Bools) -> Segments:
    """The level 3 segments of the chosen reports."""
    row, goods, ordinal = _goods(blocks, chosen)
    group, firsts = _groups(row * 256 + goods[:, _LOSS])
    lines = np.full((len(firsts), LINE_BYTES[3]), BLANK)
    lines[:, _LOSS_AT] = goods[firsts, _LOSS]
    members = np.argsort(group, kind="stable")
    group, goods = group[members], goods[members]
    has_item = (goods[:, _ITEM] != BLANK).any(axis=1)
    has_item[_further(group, goods)] = False
    put_slots(lines, group[has_item], _slots(_ITEMS_AT), goods[has_item, _ITEM])
    has_drug = (goods[:, _DRUG] != BLANK).any(axis=1)
    put_slots(lines, group[has_drug], _slots(_DRUGS_AT), goods[has_drug, _DRUG])
    _count_vehicles(lines, group, goods)
    return plain_segments(3, row[firsts], lines, ordinal[firsts])


def _goods(blocks: Blocks, chosen: Bools) -> tuple[Ints, Bytes, Ints]:
    """Items and substances in the order in which they stand: their reports, values, and which of its kind each is."""
    objects = blocks.objects
    owners, values = [], []
    for kind in _KINDS:
        own = objects.of_kind(kind)
        block, place = blocks.of(kind)
        own = own[chosen[objects.row[own]]]
        owners.append(own)
        values.append(block[place[own]])
    own, goods = in_order(np.concatenate(owners), np.concatenate(values))
    return objects.row[own], goods, objects.ordinal[own]


def _groups(keys: Ints) -> tuple[Ints, Ints]:
    """int64[n]: the group of each row, numbered as they begin; and the first row of each group."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    number = np.empty(len(first), np.int64)
    number[order] = np.arange(len(first))
    return number[inverse], first[order]


def _slots(starts: tuple[int, ...]) -> Target:
    return Target(object="", level="3", field="", form="", starts=starts, width=starts[1] - starts[0])


def _further(group: Ints, goods: Bytes) -> Ints:
    """Goods with nothing but a drug and a description that their group has already."""
    described = (goods[:, _DRUG] != BLANK).any(axis=1) & (goods[:, _WORTH] == BLANK).all(axis=1)
    key = (group * 256 + goods[:, _DESCRIPTION]) * 256 + goods[:, _DESCRIPTION + 1]
    _, first = np.unique(key, return_index=True)
    described[first] = False
    return np.flatnonzero(described)


def _count_vehicles(lines: Bytes, group: Ints, goods: Bytes) -> None:
    filled = np.flatnonzero((goods[:, _QUANTITY] != BLANK).any(axis=1))
    group, quantity = group[filled], goods[filled, _QUANTITY]
    if not len(group):
        return
    number = numbers(quantity, 0, 99)
    firsts = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    total = np.add.reduceat(np.maximum(number, 0), firsts)
    text = np.stack((total // 10 % 10 + ord("0"), total % 10 + ord("0")), axis=1).astype(np.uint8)
    worst = np.minimum.reduceat(number, firsts)
    text[total > 99, -1] = MARK
    odd = np.flatnonzero(worst < 0)
    text[odd] = quantity[firsts[odd]]
    text[odd, -1] = MARK
    owners = group[firsts]
    for loss, place in _VEHICLES_AT.items():
        mine = lines[owners, _LOSS_AT] == loss
        lines[owners[mine], place] = text[mine]
