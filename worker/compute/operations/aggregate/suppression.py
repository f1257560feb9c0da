"""Cells of a table that must not be known, and those that hide them: no hidden cell follows from what is published.

Primary suppression hides every cell that counts somebody but fewer than `threshold`, totals among them (the frequency
rule; eleven is the threshold of the CMS Cell Suppression Policy). A hidden cell would follow from its row, its column
and their totals, so more cells must be hidden: complementary suppression, by hypercubes (R.-D. Repsilber, 1994; the
method of GHMITER in tau-ARGUS).

A cube takes the cell a and one partner on each axis, another value or the total: 2^k cells, its corners. Where the
partner is a value, a step along that axis turns the sign of the corner, where either is the total it does not. Adding
sign * d to every corner keeps every sum of the table, so that the table and the one that is moved look alike when all
corners are hidden. The move makes a larger by d, which is the value of a or threshold - 1 if that is more, and leaves
everything above 0, because a corner of sign - is taken only where it is above d. So every corner has two values at
least, d apart, even if a solver uses that counts are whole numbers and that no empty cell is hidden. There is always
such a cube: the one towards the totals alone has no corner of sign -.

Among all cubes that one is taken that hides the smallest number of rows which are not hidden yet. The result does not
show which cells were hidden first: that would bound them.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from worker.compute.kernels.column import Bools, Ints


def hidden(measures: Sequence[Ints], contributors: Ints, threshold: int) -> Bools:
    """bool[shape]: the cells to hide, in tables with totals (see kernels.cells) of one shape.

    `measures` add up to their totals, have no value below 0, and are all hidden by the same cells; the first is the
    number of rows. `contributors` are those whom the threshold counts: rows or persons.
    """
    rows = measures[0]
    found = np.zeros(rows.shape, np.bool_)
    small = (rows > 0) & (np.maximum(contributors, 1) < threshold)  # where nobody is named, somebody is
    for cell in np.argwhere(small).tolist():
        found[_cube(measures, found, cell, threshold)] = True
    return found


def _cube(measures: Sequence[Ints], found: Bools, cell: list[int], threshold: int) -> tuple[Ints, ...]:
    """The corners of the best cube of `cell`, as an index."""
    rows = measures[0]
    partners = [_partners(rows, cell, axis) for axis in range(rows.ndim)]
    moves = [max(int(measure[tuple(cell)]), threshold - 1) for measure in measures]
    shape = tuple(map(len, partners))
    cost, possible = np.zeros(shape), np.ones(shape, np.bool_)
    for steps in product((False, True), repeat=rows.ndim):
        corner = np.ix_(*(theirs if step else [own] for step, theirs, own in zip(steps, partners, cell, strict=True)))
        cost += np.where(found[corner], 0, rows[corner])
        possible &= rows[corner] > 0
        falls = _falls(steps, partners, cell, rows.shape)
        for measure, move in zip(measures, moves, strict=True):
            possible &= ~falls | (measure[corner] > move)
    best = np.unravel_index(np.argmin(np.where(possible, cost, np.inf)), shape)
    ends = [(own, int(theirs[position])) for own, theirs, position in zip(cell, partners, best, strict=True)]
    return tuple(np.array(list(product(*ends))).T)


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
