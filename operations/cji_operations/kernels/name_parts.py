"""The parts of names: García López has two, whichever comes first, and López of them is a part of López de la Cruz.

Particles (DE LA, VAN DER, AL, BIN) are not parts, unless a name has nothing else; what is written apart or together
with the next word (O BRIEN, MC DONALD) is one part with it.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools
from cji_operations.kernels import hashing
from cji_operations.kernels.hashing import Hashes
from cji_operations.kernels.strings import Words

MOST: Final = 4
"""Parts of a name that are looked at: its first ones."""

_PARTICLES: Final = frozenset(
    b"DE DEL DELA DELLA DELLE DEI DEGLI LA LAS LOS LE LES L DA DAS DO DOS DI DU D VAN VON DER DEN DEM TEN TER TE HET T "
    b"ZU ZUM ZUR AF AV AL EL UL UR BIN IBN BINT BEN ABU Y E I UND ST SAINT STE SAINTE".split()
)
_JOINED: Final = frozenset(b"O MC MAC FITZ".split())

Codes = npt.NDArray[np.integer[Any]]


def parts(words: Words) -> Hashes:
    """uint64[k, MOST]: the hashes of the parts of plain words with their blanks, ascending behind zeros."""
    found = np.zeros((len(words), MOST), np.uint64)
    several = np.flatnonzero((words.data == ord(" ")).any(axis=1))
    found[:, -1] = np.where(words.lengths > 0, hashing.of_bytes(words.data) | np.uint64(1), np.uint64(0))
    if len(several):
        rows = np.ascontiguousarray(words.data[several])
        split = [_split(row.tobytes()[:length]) for row, length in zip(rows, words.lengths[several], strict=True)]
        flat = [part for one in split for part in one]
        width = max(map(len, flat))
        matrix = np.frombuffer(b"".join(part.ljust(width, b"\0") for part in flat), np.uint8).reshape(-1, width)
        of_part = hashing.of_bytes(matrix) | np.uint64(1)
        counts = np.array([len(one) for one in split])
        which = np.repeat(np.arange(len(split)), counts)
        place = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
        several_parts = np.zeros((len(split), MOST), np.uint64)
        several_parts[which, place] = of_part
        found[several] = np.sort(several_parts, axis=1)
    return found


def _split(value: bytes) -> list[bytes]:
    found, before = list[bytes](), b""
    for word in value.split():
        if word in _JOINED:
            before += word
            continue
        if before or word not in _PARTICLES:
            found.append(before + word)
        before = b""
    return (found + ([before] if before else []))[:MOST] or [value.replace(b" ", b"")]


def totals(found: Hashes) -> Hashes:
    """uint64[k]: equal for names with the same parts, in whatever order; of several names, they can be added up."""
    total: Hashes = np.where(found != 0, hashing.mixed(found), np.uint64(0)).sum(axis=1, dtype=np.uint64)
    return total


def contained(found: Hashes, a: Codes, b: Codes) -> Bools:
    """bool[p]: one of two names has all parts of the other one; a, b int[p]."""
    of_a, of_b = found[a], found[b]
    every_a, every_b = (np.ones(len(a), np.bool_) for _ in range(2))
    for i in range(MOST):
        every_a &= (of_a[:, i] == 0) | (of_a[:, i, None] == of_b).any(axis=1)
        every_b &= (of_b[:, i] == 0) | (of_b[:, i, None] == of_a).any(axis=1)
    either: Bools = every_a | every_b
    return either
