"""Return A of real and test submissions is what an independent, slow conversion makes of them, cell by cell."""

import gzip
import os
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.reference.return_a import convert
from tests.support.nibrs_tools import judged
from tests.support.return_a_tools import engine, rows_of, verdicts_of

pytestmark = pytest.mark.vectors

FOLDER = Path(os.environ.get("CJI_VECTORS", "")) / "cji" / "nibrs"
FILES = ("vt_2020_04_deid.txt.gz", "Test-Submission-1.txt")


def lines_of(name: str) -> list[bytes]:
    data = (FOLDER / name).read_bytes()
    return (gzip.decompress(data) if name.endswith(".gz") else data).splitlines()


def decoded(lines: list[bytes]) -> list[str]:
    return [line.decode("latin-1") for line in lines]


@pytest.mark.parametrize("name", FILES)
def test_every_cell_is_that_of_the_twin(name: str) -> None:
    lines = lines_of(name)
    found = engine(lines)
    assert found.cells == convert(decoded(lines))
    assert sum(cell[0] for cell in found.cells.values()) > 100


@pytest.mark.parametrize("name", FILES)
def test_every_cell_is_that_of_the_twin_when_the_file_is_damaged(name: str) -> None:
    rng = np.random.default_rng(20)
    lines = lines_of(name)
    letters = b"0123456789 ACDFNIMSU"
    for _ in range(3):
        damaged = []
        for line in lines:
            one = bytearray(line)
            for place in rng.integers(4, max(len(one), 5), rng.poisson(0.7)):
                if place < len(one):
                    one[place] = letters[rng.integers(len(letters))]
            if rng.random() > 0.02:
                damaged.append(bytes(one))
        assert engine(damaged).cells == convert(decoded(damaged))


def test_sums_match_their_lines_and_the_totals_of_a_state() -> None:
    found = engine(lines_of("vt_2020_04_deid.txt.gz"))
    sheets: dict[tuple[str, str, str], dict[str, int]] = defaultdict(dict)
    for form, ori, month, line, counts in rows_of(found):
        sheets[form, ori, month][line] = counts
    for (form, _, _), sheet in sheets.items():
        if form == "return_a":
            assert sheet["total"] == sum(sheet[line] for line in ["1", "2", "3", "4", "5", "6", "7"])
            assert sheet["4"] == sum(sheet[line] for line in ["4a", "4b", "4c", "4d", "4e"])
    assert (found.accounting["counted"], found.accounting["deletion"], found.accounting["not counted"]) == (
        1041,
        304,
        1,
    )


@pytest.mark.parametrize("name", FILES)
def test_accepted_reports_are_those_that_a_validation_leaves(name: str) -> None:
    """Every cell is that of the twin on the file without the segments of rejected reports."""
    lines = [line for line in lines_of(name) if line.strip()]
    reports = judged(b"\n".join(lines) + b"\n").reports
    incidents = (reports.row, reports.ori, reports.number, reports.accepted)
    table = [
        (row, ori.decode("latin-1"), number.decode("latin-1"), accepted)
        for row, ori, number, accepted in zip(*(column.tolist() for column in incidents), strict=True)
    ]
    bounds = [*sorted(reports.row.tolist()), len(lines)]
    end = dict(pairwise(bounds))
    left = [line for row, _, _, accepted in table if accepted for line in lines[row : end[row]]]
    found = engine(lines, verdicts=verdicts_of(table))
    assert found.cells == convert(decoded(left))
    assert found.accounting["rejected"] > 0
    assert engine(lines).cells != found.cells
