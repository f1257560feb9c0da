"""Volumes by group and names by their first use, both bounded: a submitter chooses many of the names."""

from collections.abc import Iterable
from typing import Final

import msgspec

from cji_audit.review.model import Group, Place, Table, Volume

MOST_NAMES: Final = 100_000
"""Different names of one kind that are kept; more are summed or counted together."""
MOST_GROUPS: Final = 1_000
"""Groups of one table in the report."""

Key = tuple[str | None, ...]
_FIELDS: Final = Volume.__struct_fields__


class Groups:
    """The volume of each group."""

    def __init__(self) -> None:
        self.by: dict[Key, Volume] = {}
        self.rest = Volume()

    def of(self, key: Key) -> Volume:
        """The volume to add to."""
        found = self.by.get(key)
        if found is None:
            if len(self.by) >= MOST_NAMES:
                return self.rest
            found = self.by[key] = Volume()
        return found

    def table(self) -> Table:
        """Groups by rows released, then jobs, then name."""
        order = sorted(self.by.items(), key=lambda item: (-item[1].rows_out, -item[1].jobs, _sortable(item[0])))
        shown, hidden = order[:MOST_GROUPS], [volume for _, volume in order[MOST_GROUPS:]]
        others = total([*hidden, self.rest])
        groups = tuple(Group(key=key, volume=volume) for key, volume in shown)
        return Table(groups=groups, more=len(hidden), others=others)


class FirstUse:
    """Names of one kind: those used before the week, and those of the week with their first line."""

    def __init__(self) -> None:
        self._earlier: set[Key] = set()
        self.week: dict[Key, tuple[str, Place]] = {}
        self.full = False

    @property
    def has_earlier(self) -> bool:
        """Whether any name was used before the week."""
        return bool(self._earlier)

    def earlier(self, key: Key) -> None:
        """A name in a line before the week."""
        if len(self._earlier) < MOST_NAMES:
            self._earlier.add(key)
        elif key not in self._earlier:
            self.full = True

    def in_week(self, key: Key, time: str, place: Place) -> None:
        """A name in a line of the week."""
        found = self.week.get(key)
        if found is None and len(self.week) >= MOST_NAMES:
            self.full = True
        elif found is None or time < found[0]:
            self.week[key] = time, place

    def new(self) -> list[tuple[Key, str, Place]]:
        """The names of the week that are in no earlier line, with time and place, by time."""
        found = [(key, *seen) for key, seen in self.week.items() if key not in self._earlier]
        return sorted(found, key=lambda each: (each[1], _sortable(each[0])))


def total(volumes: Iterable[Volume]) -> Volume:
    """Their sum."""
    found = Volume()
    for volume in volumes:
        for name in _FIELDS:
            setattr(found, name, getattr(found, name) + getattr(volume, name))
    return found


def name_of(key: Key) -> str:
    """A group as one text."""
    return " ".join("not known" if part is None else part for part in key)


def _sortable(key: Key) -> bytes:
    return msgspec.json.encode(key)
