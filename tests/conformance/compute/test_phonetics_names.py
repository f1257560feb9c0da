"""Phonetic codes beside the package jellyfish on every name of the census."""

import gzip
from pathlib import Path

import jellyfish
import pyarrow as pa
import pytest

from cji_operations.kernels import phonetics
from cji_operations.kernels.strings import words

pytestmark = pytest.mark.vectors


@pytest.mark.parametrize("code", ["soundex", "nysiis"])
def test_census_names_have_the_codes_of_jellyfish(vectors: Path, code: str) -> None:
    names: list[str] = []
    for file in ("all.last", "male.first", "female.first"):
        lines = gzip.decompress((vectors / f"cji/names/dist.{file}.gz").read_bytes()).decode("ascii").splitlines()
        names += [line.split()[0] for line in lines]
    known, number = words(pa.array(names))
    assert len(known) > 90_000
    codes = getattr(phonetics, code)(known)
    found = [row.tobytes().rstrip(b"\0").decode() for row in codes[number]]
    assert found == list(map(getattr(jellyfish, code), names))
