"""Cells of a table that must not be known, and those that hide them: no hidden cell follows from what is published.

Primary suppression hides every cell that counts somebody but fewer than `threshold`, totals among them (the frequency
rule; eleven is the threshold of the CMS Cell Suppression Policy). A hidden cell would follow from its row, its column
and their totals, so more cells must be hidden: complementary suppression, by hypercubes (R.-D. Repsilber, 1994; the
method of GHMITER in tau-ARGUS).

A cube takes the cell a and one partner on each axis, another value or the total: 2^k cells, its corners. Where the
partner is a value, a step along that axis turns the sign of the corner, where either is the total it does not. Adding
sign * m to every corner keeps every sum of the table, so that the table and the one that is moved look alike when all
corners are hidden. A cube can be moved until the first corner that falls is at 1, because no empty cell is hidden.

Cubes are moved one after the other, until a has two values at least that are d apart, even for a solver that uses that
counts are whole numbers; d is the value of a, or threshold - 1 if that is more. First a falls, as far as cells that are
hidden already allow. Then it rises by the rest; sums always rise by all of d. There is always a cube for this: the one
towards the totals alone, where nothing falls. Each time that cube is taken which hides the fewest rows for each unit of
its move; the last of MOVES has to do all that is left.

The result does not show which cells were hidden first: that would bound them. The order of cells, the greedy choice and
the limit on moves cost some cells more than the least that a solver finds (tests compare both).
"""

from collections.abc import Sequence
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Ints

MOVES: Final = 8


def hidden(measures: Sequence[Ints], contributors: Ints, threshold: int, dominated: Bools | None = None) -> Bools:
    """bool[shape]: the cells to hide, in tables with totals (see kernels.group_by) of one shape.

    `measures` add up to their totals, have no value below 0, and are all hidden by the same cells; the first is the
    number of rows. `contributors` are those whom the threshold counts: rows or persons. `dominated` bool[shape]: cells
    that are sensitive besides.
    """
    rows = measures[0]
    found: Bools = (rows > 0) & (np.maximum(contributors, 1) < threshold)  # where nobody is named, somebody is
    if dominated is not None:
        found |= dominated
    for cell in np.argwhere(found).tolist():
        cubes = _Cubes(rows, found, cell)
        for measure in measures:
            own = int(measure[tuple(cell)])
            wanted = max(own, threshold - 1)
            if measure is rows:
                wanted -= cubes.move(rows.copy(), min(own - 1, wanted), sign=-1)
            cubes.move(measure.copy(), wanted, sign=1)
    return found


class _Cubes:
    """The cubes of one cell, one for each choice of partners; moving one hides its corners in `found`."""

    def __init__(self, rows: Ints, found: Bools, cell: list[int]) -> None:
        self._rows, self._found, self._cell = rows, found, cell
        self._partners = [_partners(rows, cell, axis) for axis in range(rows.ndim)]
        self._shape = tuple(map(len, self._partners))
        self._corners = []
        for steps in product((False, True), repeat=rows.ndim):
            ends = zip(steps, self._partners, cell, strict=True)
            at = np.ix_(*(theirs if step else [own] for step, theirs, own in ends))
            falls = np.broadcast_to(_falls(steps, self._partners, cell, rows.shape), self._shape)
            self._corners.append((steps, at, falls))

    def move(self, table: Ints, wanted: int, *, sign: int) -> int:
        """How much lower (`sign` -1) or higher (1) the cell of `table` can be, `wanted` at most; changes `table`.

        It becomes lower by cubes that are hidden already, and higher by any, so by all that is wanted.
        """
        left = wanted
        for moves_left in reversed(range(MOVES)):
            cost, most = np.zeros(self._shape), np.full(self._shape, left)
            for _, corner, falls in self._corners:
                cost += np.where(self._found[corner], 0, self._rows[corner])
                most = np.where(self._rows[corner] > 0, most, 0)
                most = np.where(falls == (sign > 0), np.minimum(most, table[corner] - 1), most)
            enough = most >= (left if sign > 0 and not moves_left else 1)
            each = np.where(enough & ((sign > 0) | (cost == 0)), cost / np.maximum(most, 1), np.inf)
            if not left or each.min() == np.inf:
                break
            best = np.unravel_index(np.argmax(np.where(each == each.min(), most, -1)), self._shape)
            ends = [(own, int(p[i])) for own, p, i in zip(self._cell, self._partners, best, strict=True)]
            for steps, _, falls in self._corners:
                at = tuple(pair[step] for pair, step in zip(ends, steps, strict=True))
                self._found[at] = True
                table[at] += -sign * int(most[best]) if falls[best] else sign * int(most[best])
            left -= int(most[best])
        return wanted - left


def _partners(rows: Ints, cell: list[int], axis: int) -> Ints:
    """The positions along `axis` with which a cube of `cell` can be made: all but its own that are not empty."""
    line: Ints = np.moveaxis(rows, axis, -1)[tuple(cell[:axis] + cell[axis + 1 :])].copy()
    line[cell[axis]] = 0
    return np.flatnonzero(line)


def _falls(steps: Sequence[bool], partners: Sequence[Ints], cell: list[int], shape: Sequence[int]) -> Bools:
    """bool[...]: true where the corner reached by `steps` has a negative sign."""
    falls: npt.NDArray[np.bool_] = np.zeros((1,) * len(shape), np.bool_)
    for axis, step in enumerate(steps):
        total = shape[axis] - 1
        if step and cell[axis] != total:
            turned = (partners[axis] != total).reshape([-1 if i == axis else 1 for i in range(len(shape))])
            falls = falls ^ turned
    return falls
