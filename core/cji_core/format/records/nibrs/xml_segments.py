"""Flat segments of reports in NIBRS XML, a chunk of reports at a time.

* A Group A report has one level 1 segment, and one segment for each offense, victim, offender and arrestee in their
  order; one that deletes has its level 1 segment alone. Its property segments are made of items and substances.
* A Group B report has one level 7 segment for each arrestee, or one that is blank; a zero report one of level 0.
* What has no room, a fourth weapon or a second sex, leaves MARK in the last field that there is; so does a reference to
  an object that is not there.
"""

from typing import Final

import numpy as np

from cji_core.format.records.column import Bools, Bytes, Ints
from cji_core.format.records.lines import BLANK
from cji_core.format.records.nibrs.fields import numbers
from cji_core.format.records.nibrs.xml_blocks import (
    HEADER,
    Blocks,
    Segments,
    blocks_of,
    in_order,
    index_of,
    own_segments,
    paired,
    plain_segments,
    put_slots,
)
from cji_core.format.records.nibrs.xml_fields import LINE_BYTES, ROLE, Target
from cji_core.format.records.nibrs.xml_objects import Objects
from cji_core.format.records.nibrs.xml_values import MARK, put

GROUP_A, GROUP_B, ZERO = (np.uint8(ord(category)) for category in "AB0")

_ACTION: Final = 5
_NUMBER: Final = slice(25, 37)
_DELETE: Final = np.uint8(ord("D"))
_PERSONS: Final = {4: 71, 5: 39, 6: 70}
"""Segment level -> where the data elements of a person begin."""

_CODE, _SEQUENCE = slice(37, 40), slice(37, 39)
_CONNECTED, _RELATED, _OFFICER, _LOCATION = 40, 89, 129, 44
_TO_LEVEL_7: Final = ((37, 39, 37), (51, 60, 39), (61, 64, 48), (64, 70, 51), (70, 79, 57), (39, 51, 25))

# property segments
_KINDS: Final = ("nc:Item", "nc:Substance")
_LOSS, _ITEM, _QUANTITY, _DRUG = 0, slice(1, 20), slice(20, 22), slice(22, 37)
_DESCRIPTION, _WORTH = 1, slice(3, 20)
_LOSS_AT: Final = 37
_ITEMS_AT: Final = tuple(range(38, 228, 19))
_DRUGS_AT: Final = tuple(range(232, 277, 15))
_VEHICLES_AT: Final = {ord("7"): slice(228, 230), ord("5"): slice(230, 232)}


def segments(objects: Objects, rows: int) -> tuple[list[Segments], Bytes]:
    """The segments of `rows` reports by level, and uint8[rows]: the category of each, 0 for one that cannot be read."""
    blocks = blocks_of(objects, rows)
    category = blocks.category[:, 0].copy()
    category[~np.isin(category, (GROUP_A, GROUP_B, ZERO))] = 0
    incidents = category == GROUP_A
    blocks.header[category == ZERO, _NUMBER] = ord("0")
    whole = incidents & (blocks.header[:, _ACTION] != _DELETE)
    offenses, offenders = _offenses(blocks, whole), _offenders(blocks, whole)
    made = [
        _zero(blocks, category == ZERO),
        _admin(blocks, incidents),
        offenses[0],
        _properties(blocks, whole),
        _victims(blocks, whole, offenses, offenders),
        offenders[0],
        _arrestees(blocks, whole),
        _group_b(blocks, category == GROUP_B),
    ]
    for one in made:
        number = one.lines[:, _NUMBER].copy()
        one.lines[:, :HEADER] = blocks.header[one.row]
        one.lines[:, 4] = ord("0") + one.level
        if one.level == 7:
            one.lines[:, _NUMBER] = number
    return made, category


def _zero(blocks: Blocks, chosen: Bools) -> Segments:
    rows = np.flatnonzero(chosen)
    lines = np.full((len(rows), LINE_BYTES[0]), BLANK)
    lines[:, HEADER : HEADER + 6] = blocks.header[rows, 6:12]
    return plain_segments(0, rows, lines, np.ones(len(rows), np.int64))


def _admin(blocks: Blocks, chosen: Bools) -> Segments:
    """One a report; a second incident of a report adds its values, and what differs is marked."""
    rows = np.flatnonzero(chosen)
    lines = np.full((len(chosen), LINE_BYTES[1]), BLANK)
    block, place = blocks.of("nc:Incident")
    owners = blocks.objects.of_kind("nc:Incident")
    for column, width in ((37, 8), (45, 1), (46, 2), (48, 1), (49, 8), (87, 1)):
        put(lines, blocks.objects.row[owners], column, block[place[owners], column : column + width])
    return plain_segments(1, rows, lines[rows], np.ones(len(rows), np.int64))


def _offenses(blocks: Blocks, chosen: Bools) -> tuple[Segments, Ints]:
    found, own = own_segments(blocks, chosen, 2, "j:Offense")
    objects = blocks.objects
    of, offense = objects.referred("j:OffenseLocationAssociation", "j:Offense")
    also, location = objects.referred("j:OffenseLocationAssociation", "nc:Location")
    offense, location = paired(of, offense, also, location)
    block, place = blocks.of("nc:Location")
    index = index_of(objects, own)
    known = (index[offense] >= 0) & (place[location] >= 0)
    rows, sites = in_order(index[offense[known]], location[known])
    put(found.lines, rows, _LOCATION, block[place[sites]])
    found.other[rows] = objects.ordinal[sites]
    return found, own


def _person_role(blocks: Blocks, found: Segments, own: Ints, kind: str) -> Ints:
    """Add to each segment the person whose role its object is; returns that person, or -1."""
    objects = blocks.objects
    person = np.full(len(own), -1)
    referrer, referee = objects.referred(kind, ROLE)
    place = index_of(objects, own)[referrer]
    person[place[place >= 0]] = referee[place >= 0]
    block, of_person = blocks.of("nc:Person")
    known = np.flatnonzero(of_person[person] >= 0)
    start = _PERSONS[found.level]
    width = min(block.shape[1], found.lines.shape[1] - start)
    found.lines[known, start : start + width] = block[of_person[person[known]], :width]
    found.person[known] = objects.ordinal[person[known]]
    return person


def _offenders(blocks: Blocks, chosen: Bools) -> tuple[Segments, Ints]:
    found, own = own_segments(blocks, chosen, 5, "j:Subject")
    _person_role(blocks, found, own, "j:Subject")
    return found, own


def _victims(
    blocks: Blocks, chosen: Bools, offenses: tuple[Segments, Ints], offenders: tuple[Segments, Ints]
) -> Segments:
    objects = blocks.objects
    found, own = own_segments(blocks, chosen, 4, "j:Victim")
    person = _person_role(blocks, found, own, "j:Victim")
    index = index_of(objects, own)
    # officers are persons with a further role
    block, place = blocks.of("j:EnforcementOfficial")
    official, of_person = objects.referred("j:EnforcementOfficial", ROLE)
    officers = np.full(len(objects.kind) + 1, -1)
    officers[of_person] = official
    officers[-1] = -1
    known = np.flatnonzero(officers[person] >= 0)
    found.lines[known, _OFFICER:] = block[place[officers[person[known]]]]
    found.other[known] = objects.ordinal[officers[person[known]]]
    # offenses that they are connected to
    of, victim = objects.referred("j:OffenseVictimAssociation", "j:Victim")
    also, offense = objects.referred("j:OffenseVictimAssociation", "j:Offense")
    victim, offense = paired(of, victim, also, offense)
    codes = _of_others(offenses[0].lines[:, _CODE], index_of(objects, offenses[1])[offense])
    _add(found.lines, index[victim], _CONNECTED, 3, codes)
    # offenders that they are related to
    of, victim = objects.referred("j:SubjectVictimAssociation", "j:Victim")
    also, offender = objects.referred("j:SubjectVictimAssociation", "j:Subject")
    _, mine, theirs = np.intersect1d(of, also, assume_unique=True, return_indices=True)
    block, place = blocks.of("j:SubjectVictimAssociation")
    numbers = _of_others(offenders[0].lines[:, _SEQUENCE], index_of(objects, offenders[1])[offender[theirs]])
    _add(found.lines, index[victim[mine]], _RELATED, 4, np.hstack((numbers, block[place[of[mine]]])))
    return found


def _of_others(values: Bytes, places: Ints) -> Bytes:
    """`values[places]`, and MARK where an object is referred to that is not there."""
    out = np.full((len(places), values.shape[1]), MARK)
    known = places >= 0
    out[known] = values[places[known]]
    return out


def _add(lines: Bytes, owners: Ints, start: int, step: int, values: Bytes) -> None:
    """Write values into ten slots of their owners, in order."""
    known = np.flatnonzero(owners >= 0)
    owners, values = in_order(owners[known], values[known])
    target = Target(
        object="", level="", field="", form="", starts=tuple(range(start, start + 10 * step, step)), width=step
    )
    put_slots(lines, owners, target, values)


def _arrests(blocks: Blocks, found: Segments, own: Ints) -> None:
    """Add the arrest of each arrestee, and the person."""
    objects = blocks.objects
    _person_role(blocks, found, own, "j:Arrestee")
    of, arrest = objects.referred("j:ArrestSubjectAssociation", "nc:Activity")
    also, arrestee = objects.referred("j:ArrestSubjectAssociation", "j:Subject")
    arrest, arrestee = paired(of, arrest, also, arrestee)
    rows = index_of(objects, own)[arrestee]
    block, place = blocks.of("j:Arrest")
    known = np.flatnonzero((rows >= 0) & (place[arrest] >= 0))
    owners, values = in_order(rows[known], block[place[arrest[known]]])
    for column, width in ((39, 12), (51, 8), (59, 1), (61, 3)):
        put(found.lines, owners, column, values[:, column : column + width])
    found.other[rows[known]] = objects.ordinal[arrest[known]]


def _arrestees(blocks: Blocks, chosen: Bools) -> Segments:
    found, own = own_segments(blocks, chosen, 6, "j:Arrestee")
    _arrests(blocks, found, own)
    return found


def _group_b(blocks: Blocks, chosen: Bools) -> Segments:
    """Level 7 has the data elements of level 6 but one, in other places; its number is that of the arrest."""
    six = _arrestees(blocks, chosen)
    without = np.flatnonzero(chosen & ~np.isin(np.arange(len(chosen)), six.row))
    row = np.concatenate((six.row, without))
    order = np.argsort(row, kind="stable")
    lines = np.full((len(row), LINE_BYTES[7]), BLANK)
    for start, stop, to in _TO_LEVEL_7:
        lines[: len(six.row), to : to + stop - start] = six.lines[:, start:stop]
    padded = [
        np.concatenate((one, np.zeros(len(without), np.int64)))[order] for one in (six.first, six.person, six.other)
    ]
    return Segments(level=7, row=row[order], lines=lines[order], first=padded[0], person=padded[1], other=padded[2])


def _properties(blocks: Blocks, chosen: Bools) -> Segments:
    """The property segments, level 3, of the chosen reports; XML has items and substances instead.

    Those of one status in a report are one segment. An item has a slot of it; a further substance of one description
    that has no value and no date of its own adds only its drug. Quantities are numbers of vehicles where the status is
    stolen or recovered, and are added up; of other statuses there is no such data element (18, 19).
    """
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
