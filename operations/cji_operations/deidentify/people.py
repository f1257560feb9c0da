"""The persons behind groups of rows: one for each row, or those that a column names.

A promise of k is about persons. With `Rows` each row is another person. With `Persons` a class counts the different
persons of its rows; a row without a person counts nobody and is in no class of k, because nothing shows whose it is.

Where the output shows which rows are of one person (`linked`: a token of the person goes out), an attacker knows a set
of rows and looks for it: two persons are alike only if they have the same rows, each the same number of times. A class
then has persons who are alike, with all their rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Final, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Ints, read
from cji_operations.kernels.distinct import codes

_Words: TypeAlias = npt.NDArray[np.uint64]
_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))


class People(Protocol):
    """The persons of m groups of rows."""

    @property
    def linked(self) -> bool:
        """Whether the output shows which rows are of one person."""

    @property
    def rows(self) -> Ints:
        """int64[m]: the rows of each group."""

    @property
    def missing(self) -> Bools:
        """bool[m]: groups of rows that name no person."""

    def large(self, together: Ints, left: Ints, k: int) -> Ints:
        """int64[g]: those of the groups `left` that are in a class of k; if linked, `left` has all groups of a person.

        `together` int64[g] numbers their rows' values. Groups have the same number if their rows have the same value
        and are in the same class; -1 if the class is too small.
        """

    def alike(self, together: Ints) -> Ints:
        """int64[m]: the class of each group, 0 to c - 1, given `together` int64[m], the number of its rows' values."""

    def sizes(self, together: Ints) -> Ints:
        """int64[c]: the persons of each class."""

    def unlinked(self, pooled: Bools, k: int) -> Bools:
        """bool[m]: of the groups `pooled` whose values are all null, those that must not show their person either."""

    def number(self, chosen: Bools) -> int:
        """The persons of these groups."""

    def units(self, together: Ints, values: Ints) -> tuple[Ints, Ints, Ints]:
        """(class, value, weight) of who is in each class: a row, or a person with the set of its values there."""

    def holders(self, together: Ints, values: Ints) -> tuple[Ints, Ints, Ints]:
        """(class, value, weight) of who has a value in a class: a row, or a person once for each of its values."""

    def merged(self, group: Ints) -> Self:
        """Groups that are put together: group i goes to `group`[i], none with those of another person."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Rows:
    """Every row is a person."""

    rows: Ints
    linked: bool = False

    @property
    def missing(self) -> Bools:
        """None."""
        return np.zeros(len(self.rows), np.bool_)

    def large(self, together: Ints, left: Ints, k: int) -> Ints:
        """See `People`."""
        enough = np.bincount(together, self.rows[left]) >= k
        return np.where(enough[together], together, -1)

    def alike(self, together: Ints) -> Ints:
        """Rows with equal values."""
        return together

    def sizes(self, together: Ints) -> Ints:
        """The rows of each class."""
        return weighted(together, self.rows)

    def unlinked(self, pooled: Bools, k: int) -> Bools:  # noqa: ARG002 - as `People` has it
        """None."""
        return np.zeros(len(pooled), np.bool_)

    def number(self, chosen: Bools) -> int:
        """The rows of these groups."""
        return int(self.rows[chosen].sum())

    def units(self, together: Ints, values: Ints) -> tuple[Ints, Ints, Ints]:
        """The groups themselves."""
        return together, values, self.rows

    def holders(self, together: Ints, values: Ints) -> tuple[Ints, Ints, Ints]:
        """The groups themselves."""
        return together, values, self.rows

    def merged(self, group: Ints) -> Self:
        """See `People`."""
        return type(self)(rows=weighted(group, self.rows))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Persons:
    """`person` int64[m] below `different`: that of each group; rows that name none have one that counts nobody."""

    rows: Ints
    person: Ints
    different: int
    missing: Bools
    linked: bool

    @classmethod
    def of(cls, persons: pa.Array, rows: Ints, *, linked: bool) -> Self:
        """Those that this array names, null where it names none."""
        person, different = codes(persons)
        return cls(rows=rows, person=person, different=different, missing=~arrow.present(persons), linked=linked)

    def merged(self, group: Ints) -> Self:
        """Groups that are put together: group i goes to `group`[i], none with those of another person."""
        first = np.zeros(int(group.max(initial=-1)) + 1, np.int64)
        first[group] = np.arange(len(group))
        return type(self)(
            rows=weighted(group, self.rows),
            person=self.person[first],
            different=self.different,
            missing=self.missing[first],
            linked=self.linked,
        )

    @cached_property
    def _single(self) -> Bools:
        """bool[m]: the only group of its person."""
        single: Bools = (np.bincount(self.person, minlength=self.different) == 1)[self.person]
        return single

    def large(self, together: Ints, left: Ints, k: int) -> Ints:
        """See `People`; if linked, groups are in the order of their persons.

        Sets are compared by a hash of 64 bits: a search may err, `alike` does not.
        """
        if not self.linked:
            enough = self._count(together, left) >= k
            return np.where(enough[together] & ~self.missing[left], together, -1)
        person = self.person[left]
        starts = np.flatnonzero(np.diff(person, prepend=-1))
        if not len(starts):
            return np.empty(0, np.int64)
        sets = np.add.reduceat(_mixed(together, np.uint64(0)) * self.rows[left].astype(np.uint64), starts)
        alike = np.unique(sets, return_inverse=True)[1]
        enough = np.bincount(alike, ~self.missing[left[starts]]) >= k
        of_group = np.repeat(alike, np.diff(starts, append=len(left)))
        return np.where(enough[of_group] & ~self.missing[left], of_group * (int(together.max()) + 1) + together, -1)

    def alike(self, together: Ints) -> Ints:
        """Rows with equal values; if linked, those of persons who have the same rows."""
        if not self.linked:
            return together
        return equal_sets(self.person, together, self.rows, self.different)[self.person]

    def sizes(self, together: Ints) -> Ints:
        """The different persons of each class."""
        return self._count(together, np.arange(len(together)))

    def unlinked(self, pooled: Bools, k: int) -> Bools:
        """Those of persons whose number of rows fewer than k of them have; all, if these are too few themselves."""
        if not self.linked:
            return np.zeros(len(pooled), np.bool_)
        of_person = weighted(self.person, self.rows)
        enough = np.bincount(of_person[np.unique(self.person[pooled & ~self.missing])]) >= k
        found = pooled.copy()
        shown = np.flatnonzero(pooled & ~self.missing)
        found[shown] = ~enough[of_person[self.person[shown]]]
        return found if not found.any() or self.number(found) >= k else pooled

    def number(self, chosen: Bools) -> int:
        """The different persons of these groups."""
        return len(np.unique(self.person[chosen & ~self.missing]))

    def units(self, together: Ints, values: Ints) -> tuple[Ints, Ints, Ints]:
        """Every person in every class, with the number of the set of values that it has there."""
        pairs, owner = np.unique(together * self.different + self.person, return_inverse=True)
        return (
            pairs // max(self.different, 1),
            equal_sets(owner, values, None, len(pairs)),
            np.ones(len(pairs), np.int64),
        )

    def holders(self, together: Ints, values: Ints) -> tuple[Ints, Ints, Ints]:
        """Every person in every class with each of its values there."""
        owner = np.unique(together * self.different + self.person, return_inverse=True)[1]
        first = np.unique(owner * (int(values.max(initial=0)) + 1) + values, return_index=True)[1]
        return together[first], values[first], np.ones(len(first), np.int64)

    def _count(self, together: Ints, left: Ints) -> Ints:
        """int64: the different persons of each class of the groups `left`."""
        classes = int(together.max(initial=-1)) + 1
        known, single = ~self.missing[left], self._single[left]
        several = known & ~single
        pairs = np.unique(together[several] * self.different + self.person[left[several]])
        alone = np.bincount(together[known & single], minlength=classes)
        return alone + np.bincount(pairs // max(self.different, 1), minlength=classes)


def weighted(together: Ints, rows: Ints) -> Ints:
    """int64: the rows of each class, of groups of `rows` int64[m]."""
    return np.bincount(together, rows).astype(np.int64)


def named(arrays: Sequence[pa.Array], kind: pa.DataType) -> pa.Array:
    """The persons that a column names, as `binary`: null where it is null or has no bytes."""
    whole = arrow.concat(arrays, kind)
    text = whole if kind in (pa.utf8(), pa.binary()) else whole.cast(pa.utf8())
    at = arrow.from_numpy(np.arange(len(text)), valid=read(text).filled)
    return text.view(pa.binary()).take(at)


def equal_sets(owner: Ints, values: Ints, times: Ints | None, n: int) -> Ints:
    """int64[n]: owners, 0 to n - 1, each there once at least, have the same number if they own the same values.

    `values` int64[m] not negative, `times` int64[m] how often each is owned; None: that does not count. Exact: a hash
    finds who may be equal, and is taken only after all values were compared.
    """
    if not n:
        return np.empty(0, np.int64)
    space = int(values.max()) + 1
    pairs, which = np.unique(owner * space + values, return_inverse=True)
    of_pair, value = pairs // space, pairs % space
    often = np.ones(len(pairs), np.int64) if times is None else weighted(which, times)
    starts = np.flatnonzero(np.diff(of_pair, prepend=-1))
    lengths = np.diff(starts, append=len(pairs))
    within = np.arange(len(pairs)) - np.repeat(starts, lengths)
    for salt in count():
        hashes = np.add.reduceat(_mixed(value, np.uint64(salt)) * often.astype(np.uint64), starts)
        _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
        leader = first[group]
        if (lengths == lengths[leader]).all():
            there = starts[leader[of_pair]] + within
            if (value[there] == value).all() and (often[there] == often).all():
                break
    return group


def _mixed(values: Ints, salt: np.uint64) -> _Words:
    """uint64: SplitMix64 (G. L. Steele and others, 2014) of each value under this salt."""
    with np.errstate(over="ignore"):
        word = (values.astype(np.uint64) + np.uint64(1) + (salt << np.uint64(32))) * _STEP
        for shift, factor in _MIX:
            word = (word ^ (word >> shift)) * factor
        return word ^ (word >> np.uint64(31))
