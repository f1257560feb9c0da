"""Follows the end of a growing trail across its segments: new lines only, each verified to continue the one before."""

from contextlib import closing
from pathlib import Path
from typing import Final

from cji_core.trail import ChainError, Record
from cji_core.trail.trail import Position, after, last

MOST_LINES: Final = 4096
"""Read in one step; a line has 80 KiB at most, and usually one or two."""


class Tail:
    """Begins after the last whole line that is there when it first reads. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position: Position | None = None

    def read(self) -> list[Record]:
        """The lines that are new, at most `MOST_LINES` of them.

        Raises ChainError for lines that do not continue the trail, or OSError. After both it begins again at the end.
        """
        found: list[Record] = []
        try:
            if self._position is None:
                self._position = last(self._path)
            with closing(after(self._path, self._position)) as lines:
                for position, record in lines:
                    found.append(record)
                    self._position = position
                    if len(found) == MOST_LINES:
                        break
        except (ChainError, OSError):
            self._position = None
            raise
        return found
