"""LEOKA of real and test submissions is what an independent, slow conversion makes of them, cell by cell."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from tests.reference.leoka import convert
from tests.support.leoka_tools import engine

pytestmark = pytest.mark.vectors

WEAPONS = (b"12", b"20", b"35", b"95", b"40", b"99", b"10")
FOLDER = Path(os.environ.get("CJI_VECTORS", "")) / "cji" / "nibrs"


@pytest.mark.parametrize("name", ["vt_2020_04_deid.txt.gz", "Test-Submission-1.txt"])
def test_every_cell_is_that_of_the_twin(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    lines = (gzip.decompress(data) if name.endswith(".gz") else data).splitlines()
    cells, _ = engine(lines)
    assert cells == convert([line.decode("latin-1") for line in lines])
    rng, letters = np.random.default_rng(21), b"0123456789 ACDFNIMSUL"
    for _ in range(3):
        damaged = []
        for line in lines:
            one = bytearray(line)
            for place in rng.integers(4, max(len(one), 5), rng.poisson(0.7)):
                if place < len(one):
                    one[place] = letters[rng.integers(len(letters))]
            if one[4:5] == b"4" and rng.random() < 0.9:  # few victims are officers
                one = one.ljust(141)
                one[70:71], one[129:132] = b"L", b"%02d%c" % (rng.integers(0, 13), letters[rng.integers(len(letters))])
                one[40:43] = (b"13A", b"13B", b"09A")[rng.integers(3)]
            if one[4:5] == b"2" and rng.random() < 0.7:
                one[37:40], one[52:54] = (b"13A", b"13B")[rng.integers(2)], WEAPONS[rng.integers(len(WEAPONS))]
            damaged.append(bytes(one))
        cells, _ = engine(damaged)
        assert sum(cells.values()) > 200
        assert cells == convert([line.decode("latin-1") for line in damaged])
