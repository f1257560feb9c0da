"""The places of elements of NIBRS XML in flat segments: `xml_fields.csv`, beside the layout.

An element is named by its object (a child of a report), its parent and its own name. `level` is a segment level, `*`
for the header of all segments, or `P` for a person, whose role gives the level.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.nibrs.data import read_data
from cji_core.format.records.nibrs.xml_tags import Names

ROLE: Final = "nc:RoleOfPerson"
REFERENCES: Final = (ROLE, "j:Offense", "nc:Location", "j:Victim", "j:Subject", "nc:Activity")
"""Elements of objects that refer to another object."""

_ASSOCIATIONS: Final = ("j:ArrestSubjectAssociation", "j:OffenseLocationAssociation")
PERSON: Final = MappingProxyType({"age": 0, "sex": 4, "race": 5, "ethnicity": 6, "resident": 7})
"""The data elements of a person, as they stand together at every level."""

_GOODS: Final = MappingProxyType(
    {
        "loss": 0,
        "description": 1,
        "value": 3,
        "recovered": 12,
        "stolen_vehicles": 20,
        "drug": 22,
        "quantity": 23,
        "measure": 35,
    }
)
_COMPACT: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType(
    {
        "nc:Person": PERSON,
        "nc:Item": _GOODS,
        "nc:Substance": _GOODS,
        "nc:Location": {"location": 0},
        "j:EnforcementOfficial": {"officer_activity": 0, "officer_assignment": 2, "officer_ori": 3},
        "j:SubjectVictimAssociation": {"offender_number": 0, "relationship": 0},
    }
)
"""Objects without a segment of their own: the place of each field, which they have once, among their bytes."""

_WITH_AUTOMATIC: Final = ("weapon", "armed_with")
_HALF_AGES: Final = MappingProxyType({"age_low": 0, "age_high": 2})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A flat field for the text of one element: its level, its places (from 0), one for each slot, and its width."""

    object: str
    level: str
    field: str
    form: str
    starts: tuple[int, ...]
    width: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fields:
    """All of it. `number[object, parent, name]`, by numbers of `names`, is a path, or -1.

    `targets` and `depths` are those of each path; `paths` has the object and the path of each level and data element.
    """

    names: Names
    words: Mapping[str, int]
    number: npt.NDArray[np.int16]
    depths: npt.NDArray[np.int64]
    targets: tuple[tuple[Target, ...], ...]
    paths: Mapping[tuple[str, str], tuple[str, str]]


def _target(row: Mapping[str, str]) -> Target:
    level, field = row["level"], row["field"]
    starts: tuple[int, ...] = (0,)
    width = 1  # of a category, which no segment has
    if field != "category":
        starts, width = _layout("4" if level == "P" else level, field)
        width += field in _WITH_AUTOMATIC
    if row["object"] in _COMPACT:
        starts = (_COMPACT[row["object"]][field],)
    if row["form"] in _HALF_AGES:
        starts, width = (starts[0] + _HALF_AGES[row["form"]],), 2
    return Target(object=row["object"], level=level, field=field, form=row["form"], starts=starts, width=width)


def _layout(level: str, field: str) -> tuple[tuple[int, ...], int]:
    for line in read_data("layout.csv"):
        if line["field"] == field and line["level"] == (level if field != "action" else "1"):
            return tuple(int(start) - 1 for start in line["starts"].split()), int(line["width"])
    raise ValueError(f"no field: {field}")


def _fields() -> Fields:
    rows = read_data("xml_fields.csv")
    steps = [[row["object"], *row["path"].split("/")] for row in rows]
    used = {step for path in steps for step in path} | {*REFERENCES, *_ASSOCIATIONS, "nibrs:Report"}
    words = {word: number for number, word in enumerate(sorted(used))}
    number = np.full((len(words),) * 3, -1, np.int16)
    targets: list[list[Target]] = []
    depths: list[int] = []
    paths: dict[tuple[str, str], tuple[str, str]] = {}
    for row, path in zip(rows, steps, strict=True):
        place = words[path[0]], words[path[-2]], words[path[-1]]
        if number[place] < 0:
            number[place] = len(targets)
            targets.append([])
            depths.append(1 + len(path))
        targets[number[place]].append(_target(row))
        for element in row["element"].split():
            level = row["level"] if row["level"] != "P" else ""
            paths.setdefault((level, element), (row["object"], row["path"]))
    return Fields(
        names=Names(sorted(used)),
        words=MappingProxyType(words),
        number=number,
        depths=np.array(depths),
        targets=tuple(map(tuple, targets)),
        paths=MappingProxyType(paths),
    )


FIELDS: Final = _fields()


def _line_bytes() -> dict[int, int]:
    longest: dict[int, int] = {}
    for row in read_data("segments.csv"):
        level = int(row["level"])
        longest[level] = max(longest.get(level, 0), int(row["length"]))
    return longest


LINE_BYTES: Final[Mapping[int, int]] = MappingProxyType(_line_bytes())
"""Segment level -> the bytes of its longest segment."""


def _block_bytes() -> Mapping[str, int]:
    every = [target for targets in FIELDS.targets for target in targets if target.level != "*"]
    return MappingProxyType(
        {
            name: max(
                target.starts[-1] + target.width for target in every if _COMPACT.get(target.object) is _COMPACT[name]
            )
            if name in _COMPACT
            else LINE_BYTES[int(next(target.level for target in every if target.object == name))]
            for name in dict.fromkeys(target.object for target in every)
        }
    )


BLOCK_BYTES: Final = _block_bytes()
"""Object -> the bytes of its fields: those of its segment, or of the fields alone."""
