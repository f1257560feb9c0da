"""Numbers of a table that must not be known, and those that hide them: no small cell follows from what is published.

A cell is small if it counts somebody but fewer than `threshold`, totals among them (the frequency rule; eleven is the
threshold of the CMS Cell Suppression Policy). Every small cell is hidden, and more with it (complementary suppression),
until it can have d = threshold - 1 other values at least, rows and persons each, for a reader who knows

* every published number, and the number of all rows, which is that of `row_status`;
* that counts are whole, that a cell which is listed has a row at least, and no more persons than rows;
* that a total has as many persons at least as each of its cells, and as many at most as all together;
* of any keys of which it is true, that a person has one value only, so that persons add up along them.

For each of these values there is a table that he cannot tell from the real one. It is made by moves:

* A *cube* (R.-D. Repsilber, 1994; GHMITER in tau-ARGUS) takes the cell a and one partner on each axis, another value or
  the total: 2^k cells, its corners. Where the partner is a value, a step along that axis turns the sign of the corner,
  where either is the total it does not. Adding sign * m to every corner keeps every sum of the table.
* A *pair* takes one cell of the finest table and adds m, and takes m from another: what changes are the totals of the
  one that are none of the other. It serves where no cube does, and always if any other cell can fall.

All that a move changes is hidden, so what is published stays. A move of rows never changes their total; sums may, since
their total is published nowhere else. Persons are protected in the way of these two that withholds less:

**Together.** Cubes move persons, and rows by the same: no cell gets more persons than rows, and along each axis persons
of the cells change by as much as those of their total, so both what adds up and what overlaps stays as it is. A cell
keeps a person, and a total as many as any of its cells (`_room`).

**Apart.** Rows move by themselves. The cells of the finest table that change are `free`: persons of their totals are
withheld, so that in them there can be any number from 1 to the rows. A total of more than 2 d persons is published
nevertheless if it says nothing of them: along each of its axes all parts are published, or those that are make up the
total already. Then free cells can have 1, a withheld total the most of its cells that are published, and the small cell
up to its rows. Where persons add up along an axis, no such total has a free part, and a withheld one is their sum.

Moves are made one after the other. First a falls, as far as cells that are hidden already allow, then it rises by the
rest; sums always rise by all of their value, or d. Each time that move is taken which hides the fewest rows for each
unit of it. If a table is so small that no moves make d values, nothing of it is published but its total.

The result does not show which cells were hidden first: that would bound them. The order of cells, the greedy choice and
the limits on moves cost some cells more than the least that a solver finds (tests compare both).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Ints
from cji_operations.kernels.group_by import with_totals

MOVES: Final = 64
TRIES: Final = 32
"""Cubes that are looked at more closely before one move of persons is given up."""

Cell = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Protection:
    """bool[shape] each: cells of which nothing but their being there is published; those whose persons are withheld.

    `persons` includes `hidden`. `only_total`: no cell is even listed, but the total of all.
    """

    hidden: Bools
    persons: Bools
    only_total: bool = False


def protect(
    measures: Sequence[Ints],
    contributors: Ints,
    threshold: int,
    *,
    dominated: Bools | None = None,
    persons: bool = False,
) -> Protection:
    """The numbers to withhold of tables with totals (see kernels.group_by) of one shape.

    `measures` add up to their totals, have no value below 0, and are all hidden by the same cells; the first is the
    number of rows. `contributors` are those whom the threshold counts: rows, or `persons`, who are published as well.
    `dominated` bool[shape]: cells of which a sum must not be known besides.
    """
    rows, *sums = measures
    small: Bools = (rows > 0) & (np.maximum(contributors, 1) < threshold)  # where nobody is named, somebody is
    found = small if dominated is None else small | dominated
    if not found.any():
        return Protection(hidden=found, persons=found)
    work = _Work(measures, found.copy(), threshold - 1, _People(rows, contributors) if persons else None)
    if small[(-1,) * rows.ndim]:
        return _only_total(rows, found)
    for cell in map(tuple, np.argwhere(found).tolist()):
        if small[cell] and not work.protect(cell):
            return _only_total(rows, found)
        moves = _Moves(rows, work.found, cell, keeps_total=False)
        for measure in sums:
            moves.move(measure.copy(), max(int(measure[cell]), threshold - 1), sign=1)
    return Protection(hidden=work.found, persons=work.withheld)


def _only_total(rows: Ints, found: Bools) -> Protection:
    hidden: Bools = rows > 0
    hidden[(-1,) * found.ndim] = found[(-1,) * found.ndim]
    return Protection(hidden=hidden, persons=hidden, only_total=True)


class _People:
    """The persons of a table with totals."""

    def __init__(self, rows: Ints, persons: Ints) -> None:
        self._rows, self.persons = rows, persons

    def withheld(self, found: Bools, free: Bools, d: int) -> Bools:
        """bool[shape]: where persons are withheld, if cells `found` are hidden, and some of the finest are `free`."""
        seen = ~_above(free, self._rows)
        for steps in sorted(product((False, True), repeat=free.ndim), key=sum)[1:]:
            at = tuple(slice(-1, None) if step else slice(-1) for step in steps)
            says_nothing: Bools = ~found[at] & (self.persons[at] > 2 * d)
            for axis in np.flatnonzero(steps).tolist():
                parts = tuple(slice(-1) if i == axis else each for i, each in enumerate(at))
                enough = np.where(seen[parts], self.persons[parts], 0).sum(axis=axis, keepdims=True)
                every = (seen[parts] | (self._rows[parts] == 0)).all(axis=axis, keepdims=True)
                says_nothing &= every | (enough >= self.persons[at])
            seen[at] |= says_nothing
        return (~seen | found) & (self._rows > 0)


def _above(cells: Bools, rows: Ints) -> Bools:
    """bool[shape]: these cells of the finest table, and all their totals."""
    above: Bools = (with_totals(cells[(slice(-1),) * rows.ndim].astype(np.int64)) > 0) & (rows > 0)
    return above


class _Work:
    """Cells `found` so far, and those of the finest table that are `free`: their persons can be any number."""

    def __init__(self, measures: Sequence[Ints], found: Bools, d: int, people: _People | None) -> None:
        self.found = found
        self._free = np.zeros(found.shape, np.bool_)
        self._rows, self._numbers, self._d, self._people = measures[0], len(measures), d, people

    @property
    def withheld(self) -> Bools:
        """bool[shape]: where persons are withheld."""
        return self.found if self._people is None else self._people.withheld(self.found, self._free, self._d)

    def protect(self, cell: Cell) -> bool:
        """Give a small cell its values; False if there are not so many."""
        moves = _Moves(self._rows, self.found, cell)
        if self._people is None:
            return self._range(moves, self._rows)
        return self._protect_persons(cell, moves, self._people)

    def _protect_persons(self, cell: Cell, moves: "_Moves", people: _People) -> bool:
        """Let rows and persons move together, or apart: whichever withholds less."""

        def cost(found: Bools, free: Bools) -> float:
            """The rows of all numbers withheld."""
            quiet = people.withheld(found, free, self._d)
            return float(self._rows[found].sum()) * self._numbers + float(self._rows[quiet].sum())

        together = self.found.copy()
        moved = self._range(moves.hiding_in(together), people.persons)
        if not moved or not np.array_equal(together, self.found):
            apart = self.found.copy()
            if self._range(moves.hiding_in(apart), self._rows):
                free = self._free | self._inside(cell) | moves.changed
                if not moved or cost(apart, free) < cost(together, self._free):
                    moved, together, self._free = True, apart, free
        self.found = together
        if moved and self._rows[cell] > self._d:  # many rows of few persons
            moves.hiding_in(self.found).move(self._rows.copy(), int(self._rows[cell]), sign=1)
        return moved

    def _range(self, moves: "_Moves", table: Ints) -> bool:
        """Whether the cell can have d other values at least."""
        own, of_persons = int(table[moves.cell]), table is not self._rows
        low = moves.move(table.copy(), min(own - 1, self._d), sign=-1, free=True, of_persons=of_persons)
        high = moves.move(table.copy(), self._d - low, sign=1, of_persons=of_persons)
        if low + high < self._d:
            low = moves.move(table.copy(), min(own - 1, self._d - high), sign=-1, of_persons=of_persons)
        return low + high >= self._d

    def _inside(self, cell: Cell) -> Bools:
        """bool[shape]: the cells of the finest table in it."""
        found = np.zeros(self.found.shape, np.bool_)
        found[_inside(cell, self.found.shape)] = True
        return found & (self._rows > 0)


class _Moves:
    """The moves of one cell; a move hides what it changes in `found`, and notes finest cells in `changed`."""

    def __init__(self, rows: Ints, found: Bools, cell: Cell, *, keeps_total: bool = True) -> None:
        self.cell, self.changed = cell, np.zeros(found.shape, np.bool_)
        self._rows, self._found, self._keeps_total = rows, found, keeps_total
        self._partners = [_partners(rows, cell, axis) for axis in range(rows.ndim)]
        self._shape = tuple(map(len, self._partners))
        self._corners = []
        for steps in product((False, True), repeat=rows.ndim):
            ends = zip(steps, self._partners, cell, strict=True)
            at = np.ix_(*(theirs if step else [own] for step, theirs, own in ends))
            falls = np.broadcast_to(_falls(steps, self._partners, cell, rows.shape), self._shape)
            self._corners.append((steps, at, falls))
        self._total = [
            (theirs == size - 1) | (own == size - 1)
            for theirs, own, size in zip(self._partners, cell, rows.shape, strict=True)
        ]

    def hiding_in(self, found: Bools) -> "_Moves":
        """These moves, from now on with what is hidden in `found`."""
        self._found = found
        self.changed[:] = False
        return self

    def move(self, table: Ints, wanted: int, *, sign: int, free: bool = False, of_persons: bool = False) -> int:
        """How much lower (`sign` -1) or higher (1) the cell of `table` can be, `wanted` at most; changes `table`.

        With `free`, by what is hidden already. `of_persons`: the table is of persons, and rows move with them.
        """
        left = wanted
        for moves_left in reversed(range(MOVES)):
            if left <= 0:
                break
            least = left if not moves_left and not self._keeps_total else 1
            moved = self._cube(table, left, sign, free=free, least=least, of_persons=of_persons)
            if not moved and self._keeps_total and not of_persons:
                moved = self._pair(table, left, sign, free=free)
            if not moved:
                break
            left -= moved
        return wanted - max(left, 0)

    def _cube(self, table: Ints, left: int, sign: int, *, free: bool, least: int, of_persons: bool) -> int:
        cost, most = np.zeros(self._shape), np.full(self._shape, left)
        for _, corner, falls in self._corners:
            cost += np.where(self._found[corner], 0, self._rows[corner])
            most = np.where(self._rows[corner] > 0, most, 0)
            most = np.where(falls == (sign > 0), np.minimum(most, table[corner] - 1), most)
        if self._keeps_total:
            most = np.where(_all(self._total), 0, most)
        best = _best(cost, most, least=least, free=free)
        for _ in range(TRIES) if of_persons else ():
            room = np.inf if best is None else self._room(table, best, sign)
            if best is None or room >= most[best]:
                break
            most[best] = room
            best = _best(cost, most, least=least, free=free)
        else:
            best = None if of_persons else best
        if best is None:
            return 0
        m = int(most[best])
        ends = [(own, int(p[i])) for own, p, i in zip(self.cell, self._partners, best, strict=True)]
        for steps, _, falls in self._corners:
            at = tuple(pair[step] for pair, step in zip(ends, steps, strict=True))
            self._change(table, at, -sign * m if falls[best] else sign * m)
        return m

    def _room(self, table: Ints, cube: tuple[np.intp, ...], sign: int) -> int:
        """By how much a cube can move persons, so that no total has fewer than one of its cells.

        Where both partners on an axis are values, the total of a corner stays. Where one is the total, it moves with
        its one cell, and has others.
        """
        ends = [(own, int(p[i])) for own, p, i in zip(self.cell, self._partners, cube, strict=True)]
        room = int(table[(-1,) * table.ndim])
        for steps, _, falls in self._corners:
            at = tuple(pair[step] for pair, step in zip(ends, steps, strict=True))
            rises = bool(falls[cube]) == (sign < 0)
            for axis, size in enumerate(table.shape):
                line = np.moveaxis(table, axis, -1)[at[:axis] + at[axis + 1 :]]
                if at[axis] == size - 1:
                    continue
                if size - 1 not in ends[axis]:
                    room = min(room, int(line[-1] - line[at[axis]])) if rises else room
                elif not rises:
                    others = max(line[: at[axis]].max(initial=0), line[at[axis] + 1 : -1].max(initial=0))
                    room = min(room, int(line[-1] - others))
        return room

    def _pair(self, table: Ints, left: int, sign: int, *, free: bool) -> int:
        """Move between a cell of the finest table inside of ours, and one outside."""
        ours = _inside(self.cell, table.shape)
        first = tuple(
            int(i) if own == size - 1 else own
            for i, own, size in zip(
                np.unravel_index(np.argmax(table[ours]), table[ours].shape), self.cell, table.shape, strict=True
            )
        )
        shape = tuple(size - 1 for size in table.shape)
        apart = [np.arange(size) != own for size, own in zip(shape, first, strict=True)]
        most = np.minimum(left, table[(slice(-1),) * table.ndim] - 1 if sign > 0 else table[first] - 1)
        most = np.where(self._rows[(slice(-1),) * table.ndim] > 0, most, 0)
        most[ours] = 0
        cost = np.zeros(shape)
        shown = np.where(self._found, 0, self._rows)
        for steps in product((False, True), repeat=table.ndim):
            differs = ~_all([~each | step for each, step in zip(apart, steps, strict=True)])
            theirs = shown[tuple(slice(-1, None) if step else slice(-1) for step in steps)]
            cost += np.where(differs, theirs + shown[_up(first, steps)], 0)
        best = _best(cost, most, least=1, free=free)
        if best is None:
            return 0
        m, second = int(most[best]), tuple(map(int, best))
        for steps in product((False, True), repeat=table.ndim):
            one, other = _up(first, steps), _up(second, steps)
            if one != other:
                self._change(table, one, sign * m)
                self._change(table, other, -sign * m)
        return m

    def _change(self, table: Ints, at: Cell, by: int) -> None:
        self._found[at] = True
        table[at] += by
        if all(i % size < size - 1 for i, size in zip(at, table.shape, strict=True)):
            self.changed[at] = True


def _best(cost: npt.NDArray[np.float64], most: Ints, *, least: int, free: bool) -> tuple[np.intp, ...] | None:
    """The move that costs least for each unit, the longest of these; None if there is none."""
    can = (most >= least) & ((cost == 0) | (not free))
    if not can.any():
        return None
    each = np.where(can, cost / np.maximum(most, 1), np.inf)
    return np.unravel_index(np.argmax(np.where(each == each.min(), most, -1)), most.shape)


def _all(of_axes: Sequence[Bools]) -> Bools:
    """bool[...]: where all are true, each along its axis."""
    found = np.ones((1,) * len(of_axes), np.bool_)
    for axis, each in enumerate(of_axes):
        found = found & each.reshape([-1 if i == axis else 1 for i in range(len(of_axes))])
    return found


def _inside(cell: Cell, shape: Sequence[int]) -> tuple[slice, ...]:
    """The cells of the finest table in a cell."""
    return tuple(slice(-1) if own == size - 1 else slice(own, own + 1) for own, size in zip(cell, shape, strict=True))


def _up(cell: Cell, steps: Sequence[bool]) -> Cell:
    """The total of a cell over some axes."""
    return tuple(-1 if step else own for own, step in zip(cell, steps, strict=True))


def _partners(rows: Ints, cell: Cell, axis: int) -> Ints:
    """The positions along `axis` with which a cube of `cell` can be made: all but its own that are not empty."""
    line: Ints = np.moveaxis(rows, axis, -1)[cell[:axis] + cell[axis + 1 :]].copy()
    line[cell[axis]] = 0
    return np.flatnonzero(line)


def _falls(steps: Sequence[bool], partners: Sequence[Ints], cell: Cell, shape: Sequence[int]) -> Bools:
    """bool[...]: true where the corner reached by `steps` has a negative sign."""
    falls: npt.NDArray[np.bool_] = np.zeros((1,) * len(shape), np.bool_)
    for axis, step in enumerate(steps):
        total = shape[axis] - 1
        if step and cell[axis] != total:
            turned = (partners[axis] != total).reshape([-1 if i == axis else 1 for i in range(len(shape))])
            falls = falls ^ turned
    return falls
