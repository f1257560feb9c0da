"""`screen` on people named as the US Census counts names: against brute force, and with people who are on file."""

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from cji_core.format.records import tagged
from cji_core.operations.screen import MAX_HITS
from cji_core.operations.tables.screening import Rules
from cji_operations.screen import HitClass, Index, build, run
from tests.reference import screen as twin

pytestmark = pytest.mark.vectors

Columns = dict[str, npt.NDArray[np.str_]]
SEEDS = {"asked": 11, "on_file": 12}
DAYS = np.arange(np.datetime64("1976-01-01"), np.datetime64("1984-12-31"))


def names(vectors: Path, kind: str) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.float64]]:
    lines = gzip.decompress((vectors / f"cji/names/dist.{kind}.gz").read_bytes()).decode().splitlines()
    chances = np.array([float(line.split()[1]) for line in lines])
    return np.array([line.split()[0] for line in lines]), chances / chances.sum()


def people(vectors: Path, n: int, seed: int) -> Columns:
    """Born within nine years, a quarter of them around the end of February: more pairs are near than in life."""
    rng = np.random.default_rng(seed)
    (last, of_last), (first, of_first) = names(vectors, "all.last"), names(vectors, "female.first")
    days = rng.choice(DAYS, n)
    leap = np.array([day for day in DAYS if str(day)[5:] in ("02-28", "02-29", "03-01")])
    days[: n // 4] = rng.choice(leap, n // 4)
    return {
        "last": rng.choice(last, n, p=of_last),
        "first": rng.choice(first, n, p=of_first),
        "DOB": np.char.replace(days.astype(str), "-", ""),
        "SEX": rng.choice(list("MFU"), n),
        "RAC": rng.choice(list("WBAIU"), n),
    }


def batch(columns: Columns, schema_id: str) -> pa.RecordBatch:
    schema = tagged(schema_id, [pa.field(name, pa.utf8()) for name in columns])
    return pa.RecordBatch.from_arrays([pa.array(values) for values in columns.values()], schema=schema)


def built(columns: Columns) -> Index:
    with_file = {**columns, "file_code": np.full(len(columns["last"]), "W")}
    return build([batch(with_file, "hotfile/1")], twin.FILES, room=1 << 34)


def brute_force(asked: Columns, on_file: Columns, rules: Rules) -> set[tuple[int, int]]:
    """Every inquiry against every record."""
    spoken = {name: twin.soundex(name) for name in np.unique(np.concatenate((asked["last"], on_file["last"]))).tolist()}
    sound = np.array([spoken[name] for name in on_file["last"].tolist()])
    date = on_file["DOB"].astype(np.int64)
    year, day = date // 10_000, date % 10_000
    common = np.array([twin.is_common(y) for y in year.tolist()])
    found = set[tuple[int, int]]()
    rows = zip(*(asked[name].tolist() for name in ("last", "DOB", "SEX", "RAC")), strict=True)
    for row, (last, born, sex, race) in enumerate(rows):
        of_year, of_day = int(born[:4]), int(born[4:])
        same_day = day == of_day
        if of_day == 229:
            same_day |= np.isin(day, (228, 301)) & common
        elif of_day in (228, 301) and twin.is_common(of_year):
            same_day |= day == 229
        hit = same_day & (np.abs(year - of_year) <= rules.years) & (sound == spoken[last])
        for position in np.flatnonzero(hit).tolist():
            if on_file["SEX"][position] in rules.sex[sex] and on_file["RAC"][position] in rules.race[race]:
                found.add((row, position))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("preset", twin.PRESETS)
def test_equal_to_brute_force(vectors: Path, preset: str) -> None:
    """20 000 inquiries against 20 000 records."""
    asked, on_file = (people(vectors, 20_000, seed) for seed in SEEDS.values())
    screened = run(batch(asked, "person/1"), built(on_file), twin.asked(preset, max_hits=MAX_HITS), twin.MODEL)
    pairs = list(zip(screened.row.tolist(), screened.reference_row.tolist(), strict=True))
    wanted = brute_force(asked, on_file, twin.PRESETS[preset])
    assert len(wanted) > 100
    assert len(pairs) == len(wanted)
    assert set(pairs) == wanted


@pytest.mark.parametrize("preset", twin.PRESETS)
def test_everybody_on_file_is_found(vectors: Path, preset: str) -> None:
    """Each of 5 000 people of 50 000 on file is asked for as the search allows: another year, sex unknown."""
    rng = np.random.default_rng(13)
    on_file = people(vectors, 50_000, 14)
    rows = rng.choice(50_000, 5_000, replace=False)
    asked = {name: values[rows].copy() for name, values in on_file.items()}
    asked["SEX"][::3], asked["RAC"][::5] = "U", "U"
    years = twin.PRESETS[preset].years
    moved = np.array(
        [
            born if born[4:] == "0229" else f"{int(born[:4]) + by}{born[4:]}"
            for born, by in zip(asked["DOB"].tolist(), rng.integers(-years, years + 1, len(rows)).tolist(), strict=True)
        ]
    )
    asked["DOB"] = moved
    screened = run(batch(asked, "person/1"), built(on_file), twin.asked(preset, max_hits=MAX_HITS), twin.MODEL)
    found = set(zip(screened.row.tolist(), screened.reference_row.tolist(), strict=True))
    missed = [i for i, row in enumerate(rows.tolist()) if (i, row) not in found]
    assert not missed
    same = moved == on_file["DOB"][rows]
    best = screened.best[same & (asked["SEX"] != "U")]
    assert (best <= HitClass.STRONG).mean() > 0.99
