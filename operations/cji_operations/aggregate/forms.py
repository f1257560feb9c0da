"""The forms of the Summary Reporting System and what their lines count, read from data/return_a.csv when imported.

A line of the file counts units of its `offenses`: victims connected to one, incidents with one (`offense`), premises
entered, or vehicles stolen; each once in its `class`. The conditions of a line on `completed`, `entry`, `weapons` (any
of them), `sexes` of the victim and `descriptions` of property must hold; an empty field sets no condition. Of the lines
of one class the first that holds takes the unit, which is how the hierarchy of weapons comes about; if none does, it is
unclassifiable.

`rank` is the Hierarchy Rule: of an incident only the offense of the lowest rank is counted. Offenses without a rank are
exempt, arson and human trafficking. `columns` are those that the form has: 4 actual offenses, 5 cleared by arrest or
exceptional means, 6 of these only with persons under 18.

Source: FBI, Conversion of NIBRS Data to Summary Reporting System Data, version 3.0 (2012-07-20). Where it is silent:
* 4e is not a Part I offense, so it ranks after them all; 11B and 11C rank with 11A, whose line they share.
* Intimidation (13C) has no weapon in NIBRS (Technical Specification 3.1, data element 13), so line 4e asks for none.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from types import MappingProxyType
from typing import Final

UNCLASSIFIABLE: Final = "unclassifiable"
TOTAL: Final = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the file, see above."""

    line: str
    total: str
    offenses: tuple[str, ...]
    completed: tuple[str, ...]
    entry: tuple[str, ...]
    weapons: tuple[str, ...]
    sexes: tuple[str, ...]
    descriptions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """Lines of one form that share out the same units, in order; rank 0 is exempt."""

    form: str
    rank: int
    unit: str
    lines: tuple[Line, ...]

    @property
    def offenses(self) -> tuple[str, ...]:
        """Of all lines."""
        return tuple(code for line in self.lines for code in line.offenses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form: its classes, and whether it has clearances."""

    name: str
    classes: tuple[Class, ...]
    clearances: bool

    @property
    def sums(self) -> Sequence[tuple[str, tuple[str, ...]]]:
        """The printed lines, in order: a line, and the lines of the file that it adds up."""
        total_of = {line.line: line.total for each in self.classes for line in each.lines}
        found: dict[str, tuple[str, ...]] = {line: (line,) for line in total_of}
        for total in total_of.values():
            found[total] = tuple(line for line in total_of if total_of[line] == total)
        if len(total_of) > 1:
            found[TOTAL] = tuple(total_of)
        return (*sorted(found.items()), (UNCLASSIFIABLE, (UNCLASSIFIABLE,)))

    @property
    def tree(self) -> Sequence[tuple[str, tuple[str, ...]]]:
        """The sums as they add up, line by line: each class and its lines, then the grand total and its classes."""
        lines = dict(self.sums)
        classes = [line for line in lines if line not in {TOTAL, UNCLASSIFIABLE}]
        sums = [(line, lines[line]) for line in classes if lines[line] != (line,)]
        inner = {part for _, parts in sums for part in parts}
        last = [(TOTAL, tuple(line for line in classes if line not in inner))] if TOTAL in lines else []
        return (*sums, *last)


def _line(row: dict[str, str]) -> Line:
    several = ("offenses", "completed", "entry", "weapons", "sexes", "descriptions")
    return Line(line=row["line"], total=row["total"], **{name: tuple(row[name].split()) for name in several})


def _forms() -> tuple[Form, ...]:
    rows = list(csv.DictReader(files(__package__).joinpath("data", "return_a.csv").read_text("utf-8").splitlines()))
    forms = []
    for name, of_form in groupby(rows, key=lambda row: row["form"]):
        held = list(of_form)
        classes = tuple(
            Class(form=name, rank=int(rank or 0), unit=unit, lines=tuple(map(_line, of_class)))
            for (_, rank, unit), of_class in groupby(held, key=lambda row: (row["class"], row["rank"], row["unit"]))
        )
        forms.append(Form(name=name, classes=classes, clearances=held[0]["columns"] == "4 5 6"))
    return tuple(forms)


FORMS: Final = _forms()
TITLES: Final = MappingProxyType(
    {
        (row["form"], row["line"]): row["title"]
        for row in csv.DictReader(files(__package__).joinpath("data", "titles.csv").read_text("utf-8").splitlines())
    }
)
"""(form, line) of every printed line -> its title on the form, shortened."""
LINES: Final = MappingProxyType(
    {key: i for i, key in enumerate((f.name, line) for f in FORMS for line, parts in f.sums if parts == (line,))}
)
"""(form, line) of every line that units are scored on -> its number."""
