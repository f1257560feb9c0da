"""A population of any size with realistic records: several per person, with errors of typing and hearing.

Names have the frequencies of the US Census of 1990 (the files `dist.*` in the folder of real data), everything else is
uniform. Errors are drawn independently for each record.
"""

import gzip
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records.column import pack

__all__ = [
    "HEAVY",
    "USUAL",
    "WIDTH",
    "Errors",
    "Names",
    "Population",
    "census_names",
    "date_digits",
    "decimal",
    "population",
    "shorten",
    "slip",
    "wrong_digit",
]

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

WIDTH: Final = 16
_DAYS: Final = 25_000
_POSTCODES: Final = 30_000
_PLACES: Final = 2_000  # the first so many surnames, as towns


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """`n` records of `person/1`, and the person of each: int64[n]."""

    records: pa.RecordBatch
    person: Ints

    @property
    def true_pairs(self) -> int:
        """Number of pairs of records about the same person."""
        sizes = np.bincount(self.person)
        return int((sizes * (sizes - 1) // 2).sum())

    def same(self, left: Ints, right: Ints) -> int:
        """Number of these pairs of rows that are about the same person."""
        return int(np.count_nonzero(self.person[left] == self.person[right]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Shares of records with an error, or of persons where stated.

    slip       in a name: one letter replaced, omitted or doubled, or two swapped
    short      a short form of the given name
    swap       first and last name in each other's place
    one_name   the surname is missing, and in half of these records it is in the place of the given name
    date       a wrong digit in the date of birth, and in the Social Security number
    month_day  month and day swapped
    new_year   persons with only the year of birth known, recorded as 1 January
    birthplace another place of birth
    moved      another postcode
    missing    no value: this share of given names, sexes and dates, half of it for surnames, twice for places and
               postcodes, ten times for Social Security numbers
    """

    slip: float
    short: float
    swap: float
    date: float
    month_day: float
    moved: float
    missing: float
    one_name: float = 0.0
    new_year: float = 0.0
    birthplace: float = 0.0


USUAL: Final = Errors(slip=0.12, short=0.08, swap=0.01, date=0.08, month_day=0.01, moved=0.25, missing=0.04)
HEAVY: Final = Errors(
    slip=0.3,
    short=0.2,
    swap=0.02,
    date=0.3,
    month_day=0.02,
    moved=0.5,
    missing=0.15,
    one_name=0.2,
    new_year=0.3,
    birthplace=0.3,
)


def population(rows: int, *, per_person: float = 2.0, errors: Errors = USUAL, seed: int = 1) -> Population:
    """`rows` records about roughly rows / per_person persons.

    Raises: UsageError where CJI_VECTORS does not name the folder of real data.
    """
    rng = np.random.default_rng(seed)
    people = max(int(rows / per_person), 1)
    person = rng.integers(0, people, rows)
    woman = rng.random(people) < 0.5
    last_names, first_names = census_names("all.last"), (census_names("male.first"), census_names("female.first"))
    first = np.where(woman[:, None], first_names[1].draw(people, rng), first_names[0].draw(people, rng))
    last = last_names.draw(people, rng)
    born = np.datetime64("1935-01-01") + rng.integers(0, _DAYS, people)
    born = np.where(rng.random(people) < errors.new_year, born.astype("M8[Y]").astype("M8[D]"), born)
    place = rng.integers(0, _PLACES, people)
    social = rng.integers(10**8, 9 * 10**8, people)
    home = rng.integers(0, _POSTCODES, people)

    def errs(share: float) -> npt.NDArray[np.bool_]:
        return rng.random(rows) < share

    given, surname = first[person], last[person]
    shorten(given, errs(errors.short), rng)
    for names in (given, surname):
        slip(names, np.flatnonzero(errs(errors.slip)), rng)
    swapped = errs(errors.swap)
    given[swapped], surname[swapped] = surname[swapped], given[swapped]
    one_name = errs(errors.one_name)
    moved_up = np.flatnonzero(one_name & (rng.random(rows) < 0.5))
    given[moved_up] = surname[moved_up]
    surname[one_name] = 0
    moved = errs(errors.moved)
    postcode = decimal(np.where(moved, rng.integers(0, _POSTCODES, rows), home[person]) * 3 + 10_000, 5)
    dates = date_digits(born[person])
    month_day = np.flatnonzero(errs(errors.month_day) & (dates[:, 6:].astype(np.int64) @ (10, 1) <= 11 * ord("0") + 12))
    dates[month_day, 4:] = dates[month_day][:, [6, 7, 4, 5]]
    wrong_digit(dates, np.flatnonzero(errs(errors.date)), (3, 5, 7), rng)
    number = decimal(social[person], 9)
    wrong_digit(number, np.flatnonzero(errs(errors.date)), tuple(range(9)), rng)
    town = np.where(errs(errors.birthplace), rng.integers(0, _PLACES, rows), place[person])
    sex = np.where(woman[person], ord("F"), ord("M")).astype(np.uint8)[:, None]
    columns = {
        "first": (given, errors.missing),
        "last": (surname, errors.missing / 2),
        "SEX": (sex, errors.missing),
        "DOB": (dates, errors.missing),
        "POB": (last_names.words[town], 2 * errors.missing),
        "postcode": (postcode, 2 * errors.missing),
        "SOC": (number, 10 * errors.missing),
    }
    arrays = {
        name: pack(matrix, np.count_nonzero(matrix, axis=1) * ~errs(share), pa.binary())
        for name, (matrix, share) in columns.items()
    }
    return Population(records=pa.RecordBatch.from_pydict(arrays), person=person)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Names in uint8[k, 16] and their cumulative frequencies, float64[k]."""

    words: Bytes
    up_to: npt.NDArray[np.float64]

    def draw(self, n: int, rng: np.random.Generator) -> Bytes:
        """uint8[n, 16]: names by their frequencies."""
        words: Bytes = self.words[np.searchsorted(self.up_to, rng.random(n) * self.up_to[-1])]
        return words


def census_names(which: str) -> Names:
    """The names of the file `dist.WHICH`. Raises: UsageError where CJI_VECTORS names no folder of real data."""
    folder = os.environ.get("CJI_VECTORS")
    if not folder:
        raise click.UsageError("CJI_VECTORS must name the folder of real data")
    lines = gzip.decompress((Path(folder) / f"cji/names/dist.{which}.gz").read_bytes()).split(b"\n")
    fields = [line.split() for line in lines if line.strip()]
    words = np.array([field[0] for field in fields], f"S{WIDTH}")
    return Names(
        words=words.view(np.uint8).reshape(-1, WIDTH), up_to=np.cumsum([float(field[1]) + 1e-5 for field in fields])
    )


def shorten(names: Bytes, chosen: npt.NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Keep the first three to five letters, as people do."""
    kept = rng.integers(3, 6, len(names))
    names[chosen[:, None] & (np.arange(names.shape[1]) >= kept[:, None])] = 0


def slip(names: Bytes, rows: Ints, rng: np.random.Generator) -> None:
    """Replace a letter, omit one, double one, or swap two, each in a quarter of `rows`."""
    length = np.count_nonzero(names[rows], axis=1)
    rows, length = rows[length > 2], length[length > 2]
    at = rng.integers(1, length)
    kind = rng.integers(0, 4, len(rows))
    replaced = kind == 0
    names[rows[replaced], at[replaced]] = rng.integers(ord("A"), ord("Z") + 1, int(replaced.sum()))
    places = np.arange(names.shape[1])
    for number, step in ((1, 1), (2, -1)):
        chosen = kind == number
        source = np.clip(places + step * (places >= at[chosen, None] + (step < 0)), 0, len(places) - 1)
        names[rows[chosen]] = np.take_along_axis(names[rows[chosen]], source, axis=1)
    swapped, here = rows[kind == 3], at[kind == 3]
    names[swapped, here], names[swapped, here - 1] = names[swapped, here - 1], names[swapped, here]


def wrong_digit(numbers: Bytes, rows: Ints, places: tuple[int, ...], rng: np.random.Generator) -> None:
    """Write any digit to one of the `places` of each of the rows."""
    numbers[rows, rng.choice(places, len(rows))] = rng.integers(ord("0"), ord("9") + 1, len(rows))


def date_digits(days: npt.NDArray[np.datetime64]) -> Bytes:
    """uint8[n, 8]: YYYYMMDD."""
    text = days.astype("S10").view(np.uint8).reshape(-1, 10)
    return np.ascontiguousarray(text[:, [0, 1, 2, 3, 5, 6, 8, 9]])


def decimal(numbers: npt.NDArray[Any], width: int) -> Bytes:
    """uint8[n, width]: the last digits of numbers."""
    powers = 10 ** np.arange(width - 1, -1, -1)
    return (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)
