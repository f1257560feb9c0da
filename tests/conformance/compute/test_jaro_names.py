"""Jaro-Winkler beside the package rapidfuzz on census names: every pair of five thousand."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rapidfuzz import distance, process

from cji_operations.kernels import jaro
from cji_operations.kernels.strings import words

pytestmark = pytest.mark.vectors


@pytest.fixture(scope="module")
def names(vectors: Path) -> list[str]:
    lines = gzip.decompress((vectors / "cji/names/dist.all.last.gz").read_bytes()).decode("ascii").splitlines()
    every = [line.split()[0] for line in lines]
    rng = np.random.default_rng(20260101)
    return [every[i] for i in rng.choice(len(every), 5_000, replace=False)]


@pytest.fixture(scope="module")
def theirs(names: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    found: np.ndarray[tuple[int, int], np.dtype[np.float64]] = process.cdist(
        names, names, scorer=distance.JaroWinkler.similarity, dtype=np.float64, workers=1
    )
    return found


def test_all_pairs_equal_rapidfuzz(names: list[str], theirs: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    known, code = words(pa.array(names))
    assert len(known) == 5_000
    left, right = np.triu_indices(5_000)
    assert np.abs(jaro.pairs(known, known, code[left], code[right]) - theirs[left, right]).max() < 1e-12


@pytest.mark.parametrize("cutoff", [0.7, 0.85, 0.95])
def test_above_equals_rapidfuzz(
    names: list[str], theirs: np.ndarray[tuple[int, int], np.dtype[np.float64]], cutoff: float
) -> None:
    known, _ = words(pa.array(names))
    query, entry, score = jaro.above(known, known, cutoff)
    wanted = np.nonzero(theirs >= cutoff)
    assert np.array_equal(np.stack((query, entry)), np.stack(wanted))
    assert np.abs(score - theirs[wanted]).max() < 1e-12
