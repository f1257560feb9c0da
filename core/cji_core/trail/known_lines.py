"""Lines of a trail that somebody else has, compared with the trail: one answer for all who read it.

Somebody else is an auditor or a witness with a checkpoint, which has the root over the lines so far; a destination,
which has the hash of its last line; or a report that was made earlier, which has both.

    same      the trail has this line
    differs   the trail has another line of this number
    missing   the trail ends before it: its tail was cut off, or it is an older copy
    pruned    the line was removed, and what is kept in its place does not show it
"""

from collections.abc import Iterable, Mapping
from typing import Literal, Self

Answer = Literal["same", "differs", "missing", "pruned"]


class KnownLines:
    """Keeps what the comparison needs while the lines of a trail are read, in their order."""

    def __init__(self, numbers: Iterable[int]) -> None:
        """`numbers` are those of the lines that will be asked for."""
        self._wanted = frozenset(numbers)
        self._hashes: dict[int, str] = {}
        self.roots: dict[int, str] = {}
        """The root over the lines so far, in hexadecimal, by the number of the last one."""
        self._pruned = 0

    @classmethod
    def of_roots(cls, roots: Mapping[int, str], *, pruned: int) -> Self:
        """As it was after the lines were read; without the hashes of lines."""
        found = cls(roots)
        found.roots.update(roots)
        found._pruned = pruned
        return found

    def wants(self, number: int) -> bool:
        """Whether this line will be asked for."""
        return number in self._wanted

    def begin(self, pruned: int) -> None:
        """Before the first line that is there: how many were removed before it. Then `take` the last of these."""
        self._pruned = pruned

    def take(self, number: int, *, line_hash: str, root: str) -> None:
        """The next line that is wanted."""
        self._hashes[number], self.roots[number] = line_hash, root

    def compare(self, number: int, *, line_hash: str | None = None, root: str | None = None) -> Answer:
        """Compare a line of somebody else, who names its hash, a root, or both; everybody has the first 0 lines."""
        if number == 0:
            return "same"
        if number not in self.roots:
            return "pruned" if number <= self._pruned else "missing"
        same = line_hash in (None, self._hashes.get(number)) and root in (None, self.roots[number])
        return "same" if same else "differs"
