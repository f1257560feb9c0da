"""Average linkage the slow way: every pair of clusters, and every pair of rows across them, in loops."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np

from cji_operations.kernels.average_linkage import STEPS, scattered

Cluster = tuple[int, ...]
Pair = tuple[int, int]


def across(
    one: Cluster,
    other: Cluster,
    listed: Mapping[Pair, float],
    *,
    unlisted: float,
    second: Sequence[bool] | None,
    copies: Sequence[int] | None = None,
    apart: Callable[[int, int], bool] = lambda _one, _other: False,
) -> tuple[float, float] | None:
    """(mean, maximum) over the pairs of rows across two clusters; None if no pair of them is listed, or one is apart.

    A row counts as many times as it has copies.
    """
    pairs = [(min(i, j), max(i, j)) for i in one for j in other if second is None or bool(second[i]) != bool(second[j])]
    if not any(pair in listed for pair in pairs) or any(apart(i, j) for i in one for j in other):
        return None
    times = [1 if copies is None else copies[i] * copies[j] for i, j in pairs]
    weights = [listed.get(pair, unlisted) for pair in pairs]
    mean = sum(weight * number for weight, number in zip(weights, times, strict=True)) / sum(times)
    return mean, max(listed[pair] for pair in pairs if pair in listed)


def linked(
    n: int,
    listed: Mapping[Pair, float],
    *,
    match: float,
    stop: float,
    unlisted: float,
    second: Sequence[bool] | None = None,
    one_at_a_time: bool = False,
    copies: Sequence[int] | None = None,
    apart: Callable[[int, int], bool] = lambda _one, _other: False,
    single: bool = False,
) -> list[int]:
    """The lowest row of the cluster of each row. In every round, all that are each other's best are joined.

    `single`: by the maximum across two clusters instead of the mean.

    With `one_at_a_time`, as textbooks have it: the best two clusters of all, again and again.
    """
    clusters: list[Cluster] = [(row,) for row in range(n)]
    while True:
        means: dict[Pair, tuple[int, int]] = {}
        for one, other in combinations(sorted(clusters), 2):
            found = across(one, other, listed, unlisted=unlisted, second=second, copies=copies, apart=apart)
            if single and found is not None:
                found = found[1], found[1]
            if found is not None and found[0] >= stop and found[1] >= match:
                order = int(scattered(np.array([one[0]]), np.array([other[0]]))[0])
                means[one[0], other[0]] = (round(found[0] * STEPS), order)
        if not means:
            break
        best = {node: max(key for pair, key in means.items() if node in pair) for pair in means for node in pair}
        join = [pair for pair, key in means.items() if key == best[pair[0]] == best[pair[1]]]
        if one_at_a_time:
            join = [max(means, key=lambda pair: means[pair])]
        whole = {cluster[0]: cluster for cluster in clusters}
        for low, high in join:
            whole[low] = tuple(sorted(whole[low] + whole.pop(high)))
        clusters = list(whole.values())
    root = [0] * n
    for cluster in clusters:
        for row in cluster:
            root[row] = cluster[0]
    return root
