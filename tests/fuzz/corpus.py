"""Inputs that guided runs found and that are kept: a text file for each target, an input in base64 on each line.

They are made up, like everything they grew from: keep them from runs without CJI_VECTORS. `smallest` selects them by
the arcs that they take in our own code, a pair of lines that follow each other, so a line of a file is there because it
takes one that no sound input and no shorter line takes.

`python -m tests.fuzz.corpus` selects again, in a process with other keys than those that the inputs were made under.
"""

import base64
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any, Final

from tests.fuzz.engine import Target, outcome
from tests.fuzz.targets import TARGETS
from tests.support.paths import PACKAGES, ROOT

__all__ = ["FOLDER", "MOST_BYTES", "arcs", "main", "read", "smallest", "write"]

FOLDER: Final = ROOT / "tests/fuzz/corpus"
MOST_BYTES: Final = 4096
"""Of one input that is kept."""

OURS: Final = tuple(f"{package}/" for name, package in PACKAGES.items() if name not in {"simulator", "engine"})
Arc = tuple[str, int, int]


def read(name: str, *, folder: Path = FOLDER) -> tuple[bytes, ...]:
    """What is kept for the target of this name."""
    path = folder / f"{name}.txt"
    return tuple(base64.b64decode(line) for line in path.read_text().splitlines()) if path.exists() else ()


def write(name: str, inputs: Iterable[bytes], *, folder: Path = FOLDER) -> None:
    """Keep exactly these."""
    lines = [base64.b64encode(each).decode() + "\n" for each in inputs]
    path = folder / f"{name}.txt"
    folder.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if lines:
        path.write_text("".join(lines))


def smallest(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    """The inputs, short ones first, that take an arc which none before them took, nor a sound input."""
    known: set[Arc] = set()
    for sound in target.corpus():
        arcs(target, sound)  # caches of the reader fill, once
        known |= arcs(target, sound)
    kept = []
    for each in sorted(set(inputs), key=lambda data: (len(data), data)):
        if len(each) <= MOST_BYTES and (new := arcs(target, each) - known):
            known |= new
            kept.append(each)
    return kept


def arcs(target: Target, data: bytes) -> set[Arc]:
    """The arcs that reading this input takes in `worker` and `attestation`."""
    found: set[Arc] = set()

    def call(frame: FrameType, event: str, _: object) -> Any:
        name, last = frame.f_code.co_filename, 0
        if not name.startswith(OURS):
            return None

        def line(inner: FrameType, event: str, _: object) -> Any:
            nonlocal last
            if event == "line":
                found.add((name, last, inner.f_lineno))
                last = inner.f_lineno
            return line

        return line

    before = sys.gettrace()
    sys.settrace(call)
    try:
        outcome(target, data)
    finally:
        sys.settrace(before)
    return found


def main() -> None:
    """Keep only what is still worth it."""
    for target in TARGETS:
        write(target.name, smallest(target, read(target.name)))


if __name__ == "__main__":
    main()
