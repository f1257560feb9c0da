"""Corpora of different kinds whose persons are known, to try how true a match score is: a few thousand rows each.

They differ in what a model of independent comparisons does not know: records with errors in all their columns, errors
that are copied from record to record, households, aliases, people who marry and move, few surnames, placeholders, many
records of a person, or none twice. Names have the frequencies of the US Census of 1990 (`census_names`).
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.generate import Bytes, Ints, census_names, date_digits, decimal, shorten, slip, wrong_digit
from cji_core.format.records.column import pack

__all__ = ["KINDS", "Corpus", "Kind", "make"]

_WHOLE: Final = (
    "first",
    "middle",
    "last",
    "DOB",
    "SOC",
    "SEX",
    "POB",
    "postcode",
    "street_number",
    "address_1",
    "city",
)
_NAMED: Final = ("first", "middle", "last", "DOB")
_LISTED: Final = ("first", "middle", "last", "street_number", "address_1")
_HISTORICAL: Final = ("first", "last", "DOB", "POB", "postcode", "SEX")
_INDEX: Final = ("first", "middle", "last", "DOB", "SEX", "POB", "SOC")
_FILES: Final = ("first", "last", "DOB", "SEX", "postcode", "address_1", "city")
_STREETS: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The character of a corpus. All but `persons`, `records` and the columns are shares.

    `records[i]` of the persons have i + 1 records. `surnames`: only so many different ones, 0 for all. `families` live
    with the person before them; in a share of them, `namesakes`, the given name is the same too. A share of `bad`
    records has each error `times` as often. A record is a copy of the person's last one, errors included, or `afresh`.
    `alias`: another surname, and in a third of these another given name. `years` in which persons are born.
    """

    persons: int
    records: tuple[float, ...] = (0.4, 0.3, 0.2, 0.1)
    columns: tuple[str, ...] = _WHOLE
    surnames: int = 0
    families: float = 0.0
    namesakes: float = 0.0
    bad: float = 0.0
    times: float = 1.0
    afresh: float = 1.0
    slip: float = 0.08
    short: float = 0.05
    date: float = 0.05
    number: float = 0.05
    moved: float = 0.15
    alias: float = 0.0
    other_date: float = 0.0
    married: float = 0.0
    missing: float = 0.05
    placeholder: float = 0.0
    years: int = 70
    tables: int = 1
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Records, those of the second table if two are linked, and the person of each row of both: int64[n]."""

    records: pa.RecordBatch
    side: pa.RecordBatch | None
    person: Ints

    @property
    def true_pairs(self) -> int:
        """Number of pairs of one person; where two tables are linked, of one row of each."""
        cut = self.records.num_rows
        first, second = np.bincount(self.person[:cut]), np.bincount(self.person[cut:])
        if self.side is None:
            return int((first * (first - 1) // 2).sum())
        k = min(len(first), len(second))
        return int((first[:k] * second[:k]).sum())


KINDS: Final[dict[str, Kind]] = {
    "correlated errors": Kind(persons=1500, bad=0.25, times=5.0),
    "copied errors": Kind(persons=900, records=(0.1, 0.2, 0.3, 0.2, 0.2), afresh=0.4, slip=0.15, date=0.12),
    "households": Kind(persons=2500, records=(0.5, 0.5), columns=_LISTED, families=0.6, namesakes=0.02, moved=0.05),
    "families with dates": Kind(persons=2500, records=(0.5, 0.4, 0.1), columns=_FILES, families=0.6, namesakes=0.02),
    "historical": Kind(
        persons=500,
        records=(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1),
        columns=_HISTORICAL,
        slip=0.25,
        short=0.2,
        date=0.25,
        moved=0.4,
        missing=0.2,
        bad=0.3,
        times=2.5,
        afresh=0.6,
    ),
    "aliases": Kind(
        persons=1200, records=(0.3, 0.3, 0.2, 0.1, 0.1), columns=_INDEX, alias=0.35, other_date=0.25, number=0.3
    ),
    "aliases by name and date": Kind(
        persons=2000, records=(0.3, 0.3, 0.2, 0.2), columns=_NAMED, alias=0.4, other_date=0.3, missing=0.1
    ),
    "administrative": Kind(
        persons=2000,
        records=(0.3, 0.4, 0.2, 0.1),
        columns=_FILES,
        moved=0.5,
        married=0.15,
        families=0.4,
        bad=0.1,
        times=3.0,
    ),
    "tiny": Kind(persons=40, records=(0.5, 0.5), columns=_INDEX),
    "many each": Kind(persons=60, records=(0.0,) * 39 + (1.0,), columns=_HISTORICAL, slip=0.15, bad=0.3, times=3.0),
    "none twice": Kind(persons=4000, records=(1.0,), columns=_FILES, families=0.4),
    "hardly any twice": Kind(persons=4000, records=(0.98, 0.02), columns=_NAMED, families=0.3),
    "two tables": Kind(persons=3000, records=(0.4, 0.6), columns=_FILES, tables=2, bad=0.2, times=4.0, moved=0.3),
    "two tables by name": Kind(persons=3000, records=(0.4, 0.6), columns=_NAMED, tables=2, date=0.12, slip=0.12),
    "few surnames": Kind(persons=2500, records=(0.5, 0.3, 0.2), columns=_FILES, surnames=40, years=30, slip=0.1),
    "one cohort": Kind(persons=3000, records=(0.5, 0.5), columns=(*_NAMED, "SEX", "POB"), years=2, slip=0.12, date=0.1),
    "placeholders": Kind(persons=2000, records=(0.5, 0.3, 0.2), columns=_INDEX, placeholder=0.12, bad=0.2, times=3.0),
}
"""By name."""

KEPT: Final[dict[str, Kind]] = {
    f"{name}, other": replace(
        kind,
        seed=kind.seed + 77,
        persons=max(kind.persons * 3 // 4, 30),
        slip=kind.slip * 1.4,
        date=kind.date * 0.7,
        moved=min(kind.moved * 1.5, 0.8),
        missing=kind.missing * 1.6,
    )
    for name, kind in KINDS.items()
}
"""The same kinds with other shares; the numbers of the interval were looked at on these, too."""


def make(kind: Kind) -> Corpus:
    """The corpus of a kind; the same each time."""
    rng = np.random.default_rng(kind.seed)
    of_person = _persons(kind, rng)
    count = rng.choice(len(kind.records), kind.persons, p=kind.records) + 1
    rows = {name: np.repeat(values, count, axis=0) for name, values in of_person.items()}
    person = np.repeat(np.arange(kind.persons), count)
    ordinal = np.arange(len(person)) - np.repeat(np.cumsum(count) - count, count)
    worse = np.where(rng.random(len(person)) < kind.bad, kind.times, 1.0)
    for number in range(1 if kind.tables > 1 else 0, int(ordinal.max()) + 1):
        here = np.flatnonzero(ordinal == number)
        if number:
            copied = here[rng.random(len(here)) >= kind.afresh]
            for values in rows.values():
                values[copied] = values[copied - 1]
        some = {name: values[here] for name, values in rows.items()}
        _spoil(some, kind, worse[here], rng)
        for name, values in some.items():
            rows[name][here] = values
    order = rng.permutation(len(person))
    order = order[np.argsort(ordinal[order] > 0, kind="stable")] if kind.tables > 1 else order
    batch = pa.RecordBatch.from_pydict(
        {
            name: pack(
                np.ascontiguousarray(rows[name][order]),
                np.count_nonzero(rows[name][order], axis=1)
                * (rng.random(len(order)) >= np.minimum(kind.missing * worse[order], 0.9)),
                pa.binary(),
            )
            for name in kind.columns
        }
    )
    cut = int((ordinal == 0).sum()) if kind.tables > 1 else len(person)
    side = batch.slice(cut) if kind.tables > 1 else None
    return Corpus(records=batch.slice(0, cut), side=side, person=person[order])


def _persons(kind: Kind, rng: np.random.Generator) -> dict[str, Bytes]:
    n = kind.persons
    surnames, men, women = (census_names(which) for which in ("all.last", "male.first", "female.first"))
    head = np.flatnonzero(rng.random(n) >= kind.families)
    head = head if len(head) and head[0] == 0 else np.append(0, head)
    home = head[np.searchsorted(head, np.arange(n), side="right") - 1]
    woman = rng.random((n, 1)) < 0.5
    first = np.where(woman, women.draw(n, rng), men.draw(n, rng))
    namesake = (home != np.arange(n)) & (rng.random(n) < kind.namesakes / max(kind.families, 1e-9))
    first[namesake], woman[namesake] = first[home[namesake]], woman[home[namesake]]
    middle = np.where(woman, women.draw(n, rng), men.draw(n, rng))
    middle[rng.random(n) < 0.3] = 0
    words = surnames.words[: kind.surnames or len(surnames.words)]
    up_to = surnames.up_to[: len(words)]
    last = words[np.searchsorted(up_to, rng.random(n) * up_to[-1])]
    born = np.datetime64("1930-01-01") + rng.integers(0, int(kind.years * 365.25), n)
    town = rng.integers(0, 300, n)[home]
    streets = surnames.words[:_STREETS]
    return {
        "first": first,
        "middle": middle,
        "last": last[home],
        "DOB": date_digits(born),
        "SOC": decimal(rng.integers(10**8, 9 * 10**8, n), 9),
        "SEX": np.where(woman, ord("F"), ord("M")).astype(np.uint8),
        "POB": surnames.words[(rng.random(n) ** 2 * 800).astype(np.int64)],
        "postcode": decimal(town * 37 + rng.integers(0, 8, n)[home] + 10_000, 5),
        "street_number": decimal(rng.integers(1, 2_000, n)[home], 4),
        "address_1": streets[rng.integers(0, _STREETS, n)[home]],
        "city": surnames.words[1000 + town],
    }


def _spoil(rows: dict[str, Bytes], kind: Kind, worse: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
    """Put errors into records, `worse` times as often as in usual ones."""
    n = len(worse)

    def some(share: float) -> Ints:
        return np.flatnonzero(rng.random(n) < np.minimum(share * worse, 0.95))

    def others(name: str, chosen: Ints) -> None:
        """The value of any other person."""
        rows[name][chosen] = rows[name][rng.permutation(n)[: len(chosen)]]

    alias = some(kind.alias)
    others("last", alias)
    others("first", alias[rng.random(len(alias)) < 1 / 3])
    others("last", np.intersect1d(some(kind.married), np.flatnonzero(rows["SEX"][:, 0] == ord("F"))))
    others("DOB", some(kind.other_date))
    moved = some(kind.moved)
    whither = rng.permutation(n)[: len(moved)]
    for name in ("postcode", "street_number", "address_1", "city"):
        rows[name][moved] = rows[name][whither]
    others("POB", some(kind.moved / 4))
    chosen = np.zeros(n, np.bool_)
    chosen[some(kind.short)] = True
    shorten(rows["first"], chosen, rng)
    for name in ("first", "last", "middle", "address_1", "POB", "city"):
        slip(rows[name], some(kind.slip), rng)
    wrong_digit(rows["DOB"], some(kind.date), (3, 5, 7), rng)
    wrong_digit(rows["SOC"], some(kind.number), tuple(range(9)), rng)
    initial = some(kind.short)
    rows["middle"][initial, 1:] = 0
    for name, word in (("DOB", b"19000101"), ("SOC", b"999999999"), ("first", b"UNKNOWN"), ("last", b"DOE")):
        chosen_rows = some(kind.placeholder)
        rows[name][chosen_rows] = 0
        rows[name][chosen_rows, : len(word)] = np.frombuffer(word, np.uint8)
