"""Edit distance by the textbook's recursion."""

from functools import cache


def distance(a: str, b: str, *, transpositions: bool) -> int:
    """Levenshtein's distance; with `transpositions`, two neighbours in each other's place are one edit."""

    @cache
    def of(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        best = min(of(i - 1, j) + 1, of(i, j - 1) + 1, of(i - 1, j - 1) + (a[i - 1] != b[j - 1]))
        if transpositions and i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
            best = min(best, of(i - 2, j - 2) + 1)
        return best

    return of(len(a), len(b))
