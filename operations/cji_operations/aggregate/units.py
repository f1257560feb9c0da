"""The units that Return A counts in NIBRS incidents: victims, offenses, premises entered, vehicles stolen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Ints
from cji_operations.aggregate.forms import FORMS, LINES, UNCLASSIFIABLE, Class, Line
from cji_operations.nibrs.segments import Chunk
from cji_operations.nibrs.specification import load_rule_set

RULES: Final = load_rule_set("nibrs/3.1")
_NO_RANK: Final = 1 << 20
_RENTAL_STORAGE, _STOLEN = "19", "7"

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Units:
    """Units of incidents: int64[u] each; `reports` counted from the first of the submission, `lines` of LINES."""

    reports: Ints
    lines: Ints
    counts: Ints


def score(chunk: Chunk, counted: Bools) -> Iterator[Units]:
    """The units of every class in every incident of a chunk."""
    offenses = chunk.table("offenses")
    code, report = offenses.column("offense"), offenses.up
    rank = np.full(len(counted), _NO_RANK)
    for each in FORMS[0].classes:
        np.minimum.at(rank, report[isin(code, "offense", each.offenses)], each.rank)
    for form in FORMS:
        for each in form.classes:
            eligible = counted & ((rank == each.rank) | (each.rank == 0))
            count = {"victim": _victims, "vehicles": _vehicles}.get(each.unit, _offenses)
            yield count(chunk, each, eligible)


def _victims(chunk: Chunk, each: Class, eligible: Bools) -> Units:
    """Victims connected to an offense of the class, each once."""
    offenses, connections = chunk.table("offenses"), chunk.table("connections")
    victims = chunk.table("victims")
    code, report = connections.column("connected"), connections.climb("reports")
    rows = np.flatnonzero(eligible[report] & isin(code, "offense", each.offenses))
    offense = chunk.partners("connections", offenses, "connected", "offense")[rows]
    there = offense >= 0
    holding = [
        there & _holds(chunk, line)[offense] & _meets(connections.column("sex")[rows], "sex", line.sexes)
        for line in each.lines
    ]
    return _units_of(each, connections.up[rows], victims.up, holding)


def _offenses(chunk: Chunk, each: Class, eligible: Bools) -> Units:
    """Incidents with an offense of the class, each once; burglaries of rental storage by the premises entered."""
    offenses = chunk.table("offenses")
    rows = np.flatnonzero(eligible[offenses.up] & isin(offenses.column("offense"), "offense", each.offenses))
    units = _units_of(
        each, offenses.up[rows], np.arange(len(eligible)), [_holds(chunk, line)[rows] for line in each.lines]
    )
    if each.unit == "premises":
        entered = np.ones(len(eligible), np.int64)
        storage = isin(offenses.column("location")[rows], "location", (_RENTAL_STORAGE,))
        number = np.where(storage, offenses.column("premises")[rows], 1)
        np.maximum.at(entered, offenses.up[rows], number)
        return Units(reports=units.reports, lines=units.lines, counts=entered[units.reports])
    return units


def _vehicles(chunk: Chunk, each: Class, eligible: Bools) -> Units:
    """Vehicles stolen, one at least for each entry; the first line that has an entry takes what no other line does.

    Attempts are one vehicle each, on the first line.
    """
    offenses, properties, items = chunk.table("offenses"), chunk.table("properties"), chunk.table("items")
    m, line_count = len(eligible), len(each.lines)
    of_class = eligible[offenses.up] & isin(offenses.column("offense"), "offense", each.offenses)
    wanted, done = np.zeros(m, np.bool_), np.zeros(m, np.bool_)
    wanted[offenses.up[of_class]] = True
    done[offenses.up[of_class & isin(offenses.column("completed"), "completed", ("C",))]] = True
    tried = np.zeros(m, np.bool_)
    tried[offenses.up[of_class & isin(offenses.column("completed"), "completed", ("A",))]] = True
    stolen = isin(properties.column("loss"), "loss", (_STOLEN,))
    number = np.zeros(m, np.int64)
    np.add.at(number, properties.up[stolen], np.maximum(properties.column("stolen_vehicles")[stolen], 0))
    entries = np.zeros((line_count, m), np.int64)
    of_stolen, report = stolen[items.up], items.climb("reports")
    for line, one in zip(entries, each.lines, strict=True):
        np.add.at(line, report[of_stolen & isin(items.column("description"), "description", one.descriptions)], 1)
    scored = np.where(done, entries, 0)
    rest = np.maximum(number - entries.sum(axis=0), 0) * done
    first = np.argmax(entries > 0, axis=0)
    named = entries.any(axis=0)
    scored[first[named], np.flatnonzero(named)] += rest[named]
    scored[0] += tried & ~done
    unclear = wanted & ~scored.any(axis=0)
    numbers = _line_numbers(each)
    lines, reports = np.nonzero(scored * wanted)
    return Units(
        reports=np.concatenate((reports, np.flatnonzero(unclear))),
        lines=np.concatenate((numbers[lines], np.full(np.count_nonzero(unclear), numbers[-1]))),
        counts=np.concatenate((scored[lines, reports], np.ones(np.count_nonzero(unclear), np.int64))),
    )


def _holds(chunk: Chunk, line: Line) -> Bools:
    """bool[offenses]: the offense meets every condition of the line."""
    offenses, weapons = chunk.table("offenses"), chunk.table("weapons")
    found = isin(offenses.column("offense"), "offense", line.offenses)
    found &= _meets(offenses.column("completed"), "completed", line.completed)
    found &= _meets(offenses.column("entry"), "entry", line.entry)
    if line.weapons:
        armed = np.zeros(offenses.n, np.bool_)
        armed[weapons.up[isin(weapons.column("weapon"), "weapon", line.weapons)]] = True
        found &= armed
    return found


def isin(values: Array, table: str, codes: Sequence[str]) -> Bools:
    """Whether each value, a position in a code table, is that of one of the codes."""
    known = list(RULES.codes[table].codes)
    chosen = np.zeros(len(known) + 2, np.bool_)  # the last two positions are for BAD_VALUE and BLANK_VALUE
    chosen[[known.index(code) for code in codes]] = True
    return chosen[values]


def _meets(values: Array, table: str, codes: Sequence[str]) -> Bools:
    return isin(values, table, codes) if codes else np.ones(len(values), np.bool_)


def _line_numbers(each: Class) -> Ints:
    """The lines of a class as LINES numbers them, and behind them that of what is on none."""
    return np.array([*(LINES[each.form, line.line] for line in each.lines), LINES[each.form, UNCLASSIFIABLE]])


def _units_of(each: Class, owner: Ints, report: Ints, holding: Sequence[Bools]) -> Units:
    """One unit for each different `owner` of some rows, on the first line that holds for any of its rows.

    owner int64[n]; report int64: that of each owner; holding: for each line of the class bool[n].
    """
    position = np.full(len(owner), len(holding))
    for line in reversed(range(len(holding))):
        position[holding[line]] = line
    least = np.full(len(report), _NO_RANK)
    np.minimum.at(least, owner, position)
    units = np.flatnonzero(least < _NO_RANK)
    return Units(reports=report[units], lines=_line_numbers(each)[least[units]], counts=np.ones(len(units), np.int64))
