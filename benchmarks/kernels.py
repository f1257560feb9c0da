"""`kernels`: comparing and encoding names, against rapidfuzz and jellyfish, on one thread each.

Names are the surnames from the US Census of 1990, each once, or those from FEBRL 4 if CJI_VECTORS does not provide
them. Both sides have their input ready in their own form: numbers of distinct words here, lists of Python strings
there. Their results must be equal, or there is no result. `above` sorts the vocabulary in each call and returns the
pairs that it found; `cdist` returns a float32 matrix that would still have to be searched.

Phonetic codes are those of names of ASCII letters. The rule of the National Archives codes the letters of a name, so a
blank or a hyphen, which FEBRL's errors put into names, separates no two consonants: BRAC CI is BRACCI, B620. jellyfish
takes any other character for a vowel between them (B622), and NYSIIS's keeps it in the code: rules of its own.
"""

import gzip
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import jellyfish
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rapidfuzz import process
from rapidfuzz.distance import JaroWinkler

from benchmarks.corpus import people
from benchmarks.harness import Paired, Result, paired, rate
from benchmarks.machine import facts
from benchmarks.report import Report
from cji_core.format.records.column import Bytes, Ints
from cji_operations.kernels import jaro, phonetics
from cji_operations.kernels.strings import Words, words

__all__ = ["run"]

T = TypeVar("T")

_CHUNK: Final = 50_000  # pairs, as `link` compares them
_QUERIES: Final = 250  # in a call; 88 799 surnames for each make a matrix of 85 MiB
_CODED: Final = 80_000  # names a run at least, however few are distinct
_CUTOFFS: Final = (0.85, 0.92)


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; about a minute."""
    machine, pairs = facts(), 3 if quick else 7
    report.heading("kernels", machine)
    names = _names()
    known, _ = words(pa.array(names))
    with report.doing("pairs"):
        cpdist = _cpdist(names, known, number=200_000 if quick else 1_000_000, pairs=pairs)
    with report.doing("pairs above a cut-off"):
        cdist = {c: _cdist(names, known, cutoff=c, queries=500 if quick else 2_000, pairs=pairs) for c in _CUTOFFS}
    with report.doing("phonetic codes"):
        spelled = [name for name in names if name.isascii() and name.isalpha()]
        letters, _ = words(pa.array(spelled))
        soundex = _coded(spelled, letters, phonetics.soundex, jellyfish.soundex, pairs=pairs)
        nysiis = _coded(spelled, letters, phonetics.nysiis, jellyfish.nysiis, pairs=pairs)
    report.table(
        "Million a second",
        ("", "worker", "peer", "ratio"),
        [
            _row("Jaro-Winkler / cpdist", cpdist),
            *(_row(f"Jaro-Winkler from {c} / cdist", found) for c, found in cdist.items()),
            _row("Soundex / jellyfish", soundex),
            _row("NYSIIS / jellyfish", nysiis),
        ],
    )
    report.note(f"{len(names)} distinct names: {'US Census 1990' if os.environ.get('CJI_VECTORS') else 'FEBRL 4'}")
    report.note(
        f"phonetic codes of the {len(spelled)} that have letters only: a blank or a hyphen separates no consonants by "
        "the rule of the National Archives, and does by jellyfish's"
    )
    measured = {"cpdist": cpdist, "cdist": cdist[_CUTOFFS[0]], "soundex": soundex, "nysiis": nysiis}
    return Result(
        name="kernels",
        machine=machine,
        figures={f"{name}_per_s": found.subject.middle for name, found in measured.items()}
        | {f"{name}_peer_per_s": found.peer.middle for name, found in measured.items()},
        ratios={name: found.ratio.middle for name, found in measured.items()},
    )


def _names() -> list[str]:
    folder = os.environ.get("CJI_VECTORS")
    if folder is None:
        return sorted({name for name in people(10_000)["last"].to_pylist() if name})
    lines = gzip.decompress((Path(folder) / "cji/names/dist.all.last.gz").read_bytes()).decode("ascii").splitlines()
    return [line.split()[0] for line in lines]


def _cpdist(names: list[str], known: Words, *, number: int, pairs: int) -> Paired:
    """Random pairs, in calls of `_CHUNK`, pairs per second."""
    left, right = np.random.default_rng(1).integers(0, len(names), (2, number))
    strings = [[names[i] for i in side] for side in (left, right)]

    def ours(rows: slice) -> npt.NDArray[np.float64]:
        return jaro.pairs(known, known, left[rows], right[rows])

    def theirs(rows: slice) -> npt.NDArray[np.float64]:
        found: npt.NDArray[np.float64] = process.cpdist(
            strings[0][rows], strings[1][rows], scorer=JaroWinkler.similarity, dtype=np.float64, workers=1
        )
        return found

    calls = [slice(first, first + _CHUNK) for first in range(0, number, _CHUNK)]
    for rows in calls:
        _must_equal(ours(rows), theirs(rows))
    return paired(_rate(number, calls, ours), _rate(number, calls, theirs), pairs=pairs)


def _cdist(names: list[str], known: Words, *, cutoff: float, queries: int, pairs: int) -> Paired:
    """Some names against all names, in calls of `_QUERIES`, pairs considered per second."""
    chosen = np.random.default_rng(2).choice(len(names), min(queries, len(names)), replace=False)
    calls = [chosen[first : first + _QUERIES] for first in range(0, len(chosen), _QUERIES)]
    asked = {first: words(pa.array([names[i] for i in call]))[0] for first, call in enumerate(calls)}

    def ours(call: int) -> tuple[Ints, Ints, npt.NDArray[np.float64]]:
        return jaro.above(asked[call], known, cutoff)

    def theirs(call: int, dtype: type[np.float32 | np.float64], at_least: float) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = process.cdist(
            [names[i] for i in calls[call]],
            names,
            scorer=JaroWinkler.similarity,
            score_cutoff=at_least,
            dtype=dtype,
            workers=1,
        )
        return found

    query, entry, score = ours(0)
    scores = theirs(0, np.float64, 0)  # with the cut-off, rapidfuzz drops pairs that have exactly that score
    _must_equal(np.stack((query, entry)), np.stack(np.nonzero(scores >= cutoff)))
    _must_equal(score, scores[query, entry])
    number = len(chosen) * len(names)
    return paired(
        _rate(number, asked, ours),
        _rate(number, asked, partial(theirs, dtype=np.float32, at_least=cutoff)),
        pairs=pairs,
    )


def _coded(
    names: list[str], known: Words, ours: Callable[[Words], Bytes], theirs: Callable[[str], str], *, pairs: int
) -> Paired:
    """Phonetic codes of all names, names per second."""
    found = [row.tobytes().rstrip(b"\0").decode() for row in ours(known)]
    _must_equal(np.array(found), np.array(list(map(theirs, names))))
    times = -(-_CODED // len(names))
    return paired(
        _rate(times * len(names), [known] * times, ours),
        _rate(times * len(names), [names] * times, lambda every: list(map(theirs, every))),
        pairs=pairs,
    )


def _rate(number: int, calls: Iterable[T], function: Callable[[T], object]) -> Callable[[], float]:
    def work() -> None:
        for call in calls:
            function(call)

    return rate(number, work)


def _must_equal(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> None:
    if not np.array_equal(ours, theirs):
        raise RuntimeError("the two sides do not find the same")


def _row(title: str, found: Paired) -> tuple[str, str, str, str]:
    return (
        title,
        f"{found.subject.middle / 1e6:.1f}",
        f"{found.peer.middle / 1e6:.1f}",
        found.ratio.text(places=1),
    )
