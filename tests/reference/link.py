"""Record linkage the slow way: pairs in loops, probabilities one by one. And small tables that tests link."""

import math
from collections.abc import Iterable, Sequence
from itertools import combinations

import pyarrow as pa


def ignore(_step: str, _per_cent: int) -> None:
    """Progress that nobody watches."""


def people(**columns: Sequence[str | None]) -> pa.RecordBatch:
    """Records of these text columns."""
    return pa.RecordBatch.from_pydict({name: pa.array(values, pa.utf8()) for name, values in columns.items()})


def pairs_of(groups: Sequence[int], second: Sequence[bool] | None = None) -> set[tuple[int, int]]:
    """All pairs of rows of one group; with `second`, one row of each table."""
    found = set()
    for i, j in combinations(range(len(groups)), 2):
        if groups[i] == groups[j] >= 0 and (second is None or second[i] != second[j]):
            found.add((j, i) if second is not None and second[i] else (i, j))
    return found


def clusters(n: int, edges: Iterable[tuple[int, int]]) -> list[int]:
    """The lowest node that each node hangs together with."""
    root = list(range(n))
    for left, right in edges:
        low, high = sorted((root[left], root[right]))
        root = [low if one == high else one for one in root]
    return root


def em_round(
    patterns: Sequence[Sequence[int]],
    counts: Sequence[float],
    m: Sequence[Sequence[float]],
    u: Sequence[Sequence[float]],
    share: float,
    *,
    start: Sequence[Sequence[float]],
    prior_pairs: float,
) -> tuple[list[list[float]], float]:
    """One E step and one M step, by the definitions."""
    expected = []
    for levels, count in zip(patterns, counts, strict=True):
        if_match = math.prod([m[c][level] for c, level in enumerate(levels) if level >= 0])
        if_not = math.prod([u[c][level] for c, level in enumerate(levels) if level >= 0])
        expected.append(count * share * if_match / (share * if_match + (1 - share) * if_not))
    new = []
    for c, values in enumerate(start):
        totals = [prior_pairs * value for value in values]
        for levels, weight in zip(patterns, expected, strict=True):
            if levels[c] >= 0:
                totals[levels[c]] += weight
        new.append([total / sum(totals) for total in totals])
    return new, (sum(expected) + 0.5) / (sum(counts) + 1)
