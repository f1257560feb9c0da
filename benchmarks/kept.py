"""Results that are kept in a file, from which documentation takes its figures and its picture."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.harness import Result

__all__ = ["keep", "read", "write"]


def read(path: Path) -> list[Result]:
    """The results in a file of `--json` or `--keep`."""
    return msgspec.json.decode(path.read_bytes(), type=list[Result])


def write(results: Sequence[Result], path: Path) -> None:
    """The file that `read` reads."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")


def keep(results: Sequence[Result], path: Path) -> list[Result]:
    """Put these results into the file, each in the place of the earlier one of its name; returns all of them."""
    found = {result.name: result for result in (*(read(path) if path.exists() else ()), *results)}
    write([*found.values()], path)
    return [*found.values()]
