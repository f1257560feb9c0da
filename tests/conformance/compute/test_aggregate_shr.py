"""The Supplementary Homicide Report of test submissions is what an independent, slow conversion makes of them."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from tests.reference.shr import convert
from tests.support.shr_tools import by_key, engine

pytestmark = pytest.mark.vectors

FOLDER = Path(os.environ.get("CJI_VECTORS", "")) / "cji" / "nibrs"
OFFENSES = (b"09A", b"09A", b"09C", b"120", b"35A", b"13A")
RELATIONS = (b"SE", b"CH", b"BE", b"VO", b"RU", b"ST", b"XS", b"OK", b"GP", b"  ")


@pytest.mark.parametrize("name", ["vt_2020_04_deid.txt.gz", "Test-Submission-1.txt"])
def test_every_row_is_that_of_the_twin(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    lines = (gzip.decompress(data) if name.endswith(".gz") else data).splitlines()
    assert by_key(engine(lines)[0]) == by_key(convert([line.decode("latin-1") for line in lines]))
    rng, letters = np.random.default_rng(22), b"0123456789 ABCDFNIMSUL"
    for _ in range(3):
        damaged = []
        for line in lines:
            one = bytearray(line)
            for place in rng.integers(37, max(len(one), 38), rng.poisson(0.7)):
                if place < len(one):
                    one[place] = letters[rng.integers(len(letters))]
            if one[4:5] == b"2" and rng.random() < 0.8:
                one[37:40] = OFFENSES[rng.integers(len(OFFENSES))]
                one[44:46] = (b"15", b"20")[rng.integers(2)]
            if one[4:5] == b"4" and rng.random() < 0.9:
                one[40:43] = OFFENSES[rng.integers(3)]
                one[79:84] = b"%02d  %c" % (rng.integers(1, 22), letters[rng.integers(10, 20)])
                one[89:93] = b"%02d" % rng.integers(0, 3) + RELATIONS[rng.integers(len(RELATIONS))]
            damaged.append(bytes(one))
        rows = engine(damaged)[0]
        assert len(rows) > 50
        assert by_key(rows) == by_key(convert([line.decode("latin-1") for line in damaged]))
