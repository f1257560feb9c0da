"""components: one task brings together the matches of all, of each of which it gets a forest.

Records of one cluster are joined by matches, so clusters are made within components of these. Units
that are equal to each other are in one component, too: the weight between them counts for those that they stand for.
A component goes to one share; shares get about as many units. The task holds less than `count.ROW_BYTES` for each unit.
"""

import numpy as np
import numpy.typing as npt

from cji_core.errors import Limit
from cji_core.format.records import arrow
from cji_core.operations.link import edges
from cji_operations.kernels.components import PORTION, Components, components
from cji_operations.kernels.hashing import Hashes
from cji_operations.link.blocking import too_many
from cji_operations.link.marks import MOST_SOURCES, SOURCE
from cji_operations.link.stages import edge_data
from cji_operations.link.stages.count import Planned
from cji_operations.link.stages.shares import starts
from cji_operations.stages.task import Task


def form(task: Task) -> None:
    """See the module. Raises: Refusal(LIMIT_EXCEEDED) at COMPUTE for too many sources without duplicates."""
    (planned,) = edge_data.read_documents(task, edges.PLAN, Planned)
    shares, n = planned.shares, planned.facts.n
    found = Components(n)
    _join(task, edges.TWINS.name, found)
    _write_same(task)
    _join(task, edges.FOREST.name, found)
    units, root = found.members()
    del found
    share = _shares(units, root, shares)
    ends = np.searchsorted(units, starts(n, shares))
    for consumer in range(shares):
        some = slice(ends[consumer], ends[consumer + 1])
        edge_data.write(task, edges.HOMES, units[some], root[some], share[some], to=consumer)


def _shares(units: npt.NDArray[np.uint32], root: npt.NDArray[np.uint32], shares: int) -> npt.NDArray[np.uint16]:
    """uint16[k]: the share of each unit's component, where shares have about as many of these units."""
    lowest = units[units == root]
    component, sizes = np.empty(len(units), np.uint32), np.zeros(len(lowest), np.int64)
    for start in range(0, len(units), PORTION):
        some = np.searchsorted(lowest, root[start : start + PORTION])
        component[start : start + PORTION] = some
        np.add.at(sizes, some, 1)
    middle = np.cumsum(sizes)
    middle -= sizes // 2
    middle *= shares
    middle //= max(len(units), 1)
    return np.minimum(middle, shares - 1).astype(np.uint16)[component]


def _join(task: Task, edge: str, found: Components) -> None:
    for _, batch in task.read(edge):
        left, right = (arrow.numbers(column) for column in batch.columns)
        found.join(left, right)


def _write_same(task: Task) -> None:
    column, value, other = edge_data.read_numbers(task, edges.TOGETHER)
    if len(np.unique(value[column == SOURCE])) > MOST_SOURCES:
        raise too_many(Limit.SOURCES)
    for number in np.unique(column[column != SOURCE]).tolist():
        some = column == number
        distinct, place = np.unique(np.concatenate((value[some], other[some])), return_inverse=True)
        k = int(np.count_nonzero(some))
        stands: Hashes = distinct[components(len(distinct), place[:k], place[k:])]
        edge_data.write(task, edges.SAME, np.full(len(distinct), number, np.uint16), distinct, stands)
