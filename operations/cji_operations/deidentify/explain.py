"""The remains of a table under rules of de-identification, measured where the records are; no value is in the answer.

    uniqueness   persons whose readable values nobody else has, or whose set of rows where their rows are linked:
                 of the quasi-identifiers at their first steps, of all readable columns, and of each alone
    ranks        of tokens: values whose place among the frequencies is certain, counted from the most frequent one.
                 Who knows how frequent surnames are reads that many of them
    shifts       shifted dates beside readable ones: rows in which both are the same day, so that the shift can be read
    texts        readable columns with prose
    neighbours   rows whose person is that of the row before: what the order shows, tokens or not

Two frequencies are apart if they differ by more than twice the standard deviation of the difference of two Poisson
counts. Only the first `LIMIT` rows are read. Uniqueness is then an upper bound: in more rows fewer are alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import FREE_TEXT, METADATA_KEY, SCHEMAS, arrow
from cji_core.format.records.column import Ints
from cji_core.operations.deidentify.declaration import Deidentify
from cji_core.operations.deidentify.rules import DateShift, Hierarchy, Redact, Token
from cji_operations.deidentify.people import People, Persons, Rows, named
from cji_operations.deidentify.transforms import OneBatch, bind, steps
from cji_operations.kernels.distinct import classes, codes

LIMIT: Final = 1_000_000
_SIGMAS: Final = 2.0
_WORDS: Final = 4  # of a value that counts as prose
_PROSE: Final = 0.05  # of the values of a column

_PERSONS: Final[Mapping[str, str]] = {"chri_event/1": "subject", "chri_event/2": "subject"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique:
    """Of columns taken together: persons whom they show to be alone, as a share of all."""

    columns: tuple[str, ...]
    values: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Of a column of tokens: how many values have a certain rank, and the share of rows or persons that have them."""

    column: str
    values: int
    certain: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadableShift:
    """A shifted and a readable date, and the share of rows in which they are the same day before the shift."""

    shifted: str
    readable: str
    same_day: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The answer. `persons` is the column that names them, "" where each row counts as one; `complete`: all rows."""

    rows: int
    complete: bool
    person: str
    persons: int
    linked_by: tuple[str, ...]
    quasi_identifiers: Unique | None
    readable: Unique | None
    alone: tuple[Unique, ...]
    tokens: tuple[Ranks, ...]
    shifts: tuple[ReadableShift, ...]
    texts: tuple[str, ...]
    neighbours: float


def explain(batches: Iterable[pa.RecordBatch], schema: pa.Schema, parameters: Deidentify) -> Left:
    """Measure what these rules leave of the records. Raises: Refusal where rules and columns do not fit."""
    taken, rows, complete = list[pa.RecordBatch](), 0, True
    for batch in batches:
        if rows + batch.num_rows > LIMIT:
            taken.append(batch.slice(0, LIMIT - rows))
            complete = False
            break
        taken.append(batch)
        rows += batch.num_rows
    table = _Table(pa.Table.from_batches(taken, schema), parameters)
    small = parameters.small_classes
    quasi = () if small is None else small.quasi_identifiers
    readable = [name for name in parameters.readable if name in schema.names]
    of_name = {name: codes(table.published(name)) for name in {*readable, *(q for q in quasi if q in schema.names)}}
    return Left(
        rows=table.rows,
        complete=complete,
        person=table.person,
        persons=table.people.number(~table.people.missing),
        linked_by=table.links,
        quasi_identifiers=_unique(table.people, of_name, [name for name in quasi if name in of_name]),
        readable=_unique(table.people, of_name, readable),
        alone=tuple(one for name in readable if (one := _unique(table.people, of_name, [name])) is not None),
        tokens=tuple(table.ranks(name) for name, rule in parameters.columns.items() if table.has(name, rule, Token)),
        shifts=tuple(table.shifts()),
        texts=tuple(name for name in readable if table.is_prose(name)),
        neighbours=table.neighbours(),
    )


class _Table:
    """The records as columns, and who is behind their rows."""

    def __init__(self, table: pa.Table, parameters: Deidentify) -> None:
        self._table, self._parameters = table.combine_chunks(), parameters
        self.rows = table.num_rows
        self.person = self._named_person()
        self.links = tuple(sorted(parameters.linking(self.person))) if self.person else ()
        each = np.ones(self.rows, np.int64)
        self.people: People = Rows(rows=each)
        if self.person:
            array = self.column(self.person)
            self.people = Persons.of(named([array], array.type), each, linked=bool(self.links))

    def _named_person(self) -> str:
        small, names = self._parameters.small_classes, self._table.schema.names
        schema_id = self._table.schema.metadata[METADATA_KEY].decode()
        wanted = (small.person if small is not None else "") or _PERSONS.get(schema_id, "")
        return wanted if wanted in names else ""

    def column(self, name: str) -> pa.Array:
        """A column of the records."""
        return arrow.concat(self._table.column(name).chunks, self._table.schema.field(name).type)

    def has(self, name: str, rule: object, kind: object) -> bool:
        """Whether there is such a column, with such a rule."""
        return name in self._table.schema.names and isinstance(rule, kind)  # type: ignore[arg-type]  # a union

    def published(self, name: str) -> pa.Array:
        """A readable column as it goes out, a hierarchy at its first step; tokens as the values that they stand for."""
        rule, array, schema = self._parameters.columns[name], self.column(name), self._table.schema
        if isinstance(rule, Hierarchy):
            return steps(name, rule, schema=schema)[0](array).array
        if rule in ("drop", "null") or isinstance(rule, Token | DateShift):
            return array
        one = pa.RecordBatch.from_arrays([array], names=[name])
        return bind(name, rule, project="", schema=schema, key=b"")(OneBatch(one), 0).array

    def ranks(self, name: str) -> Ranks:
        """Frequencies of a column of tokens, in persons; in rows where it names the person."""
        value, k = codes(self.column(name))
        filled = arrow.present(self.column(name))
        of_rows = name == self.person or not isinstance(self.people, Persons)
        counted = np.bincount(value[filled], minlength=k) if of_rows else self._holders(value, filled, k)
        count = np.sort(counted)[::-1].astype(np.float64)
        count = count[count > 0]
        after = np.append(count[1:], 0)
        apart = count - after > _SIGMAS * np.sqrt(count + after)
        certain = len(count) if apart.all() else int(np.argmin(apart))
        total = float(count.sum())
        share = float(count[:certain].sum()) / total if total else 0.0
        return Ranks(column=name, values=len(count), certain=certain, share=share)

    def _holders(self, value: Ints, filled: np.typing.NDArray[np.bool_], k: int) -> Ints:
        pair = np.unique(self.people.person[filled] * k + value[filled]) if isinstance(self.people, Persons) else value
        return np.bincount(pair % k, minlength=k)

    def shifts(self) -> Iterable[ReadableShift]:
        """Every shifted date beside every readable one."""
        known = SCHEMAS[self._table.schema.metadata[METADATA_KEY].decode()].columns
        rules = {name: rule for name, rule in self._parameters.columns.items() if name in self._table.schema.names}
        dates = [name for name in rules if known[name].date]
        for one, other in combinations(dates, 2):
            for shifted, readable in ((one, other), (other, one)):
                if isinstance(rules[shifted], DateShift) and readable in self._parameters.readable:
                    same = pc.equal(self.column(shifted).view(pa.binary()), self.column(readable).view(pa.binary()))
                    number = pc.sum(same).as_py() or 0
                    yield ReadableShift(shifted=shifted, readable=readable, same_day=number / max(self.rows, 1))

    def is_prose(self, name: str) -> bool:
        """Whether a readable column is free text, or has values of several words."""
        if name in FREE_TEXT and isinstance(self._parameters.columns[name], Redact):
            return True
        array = self.column(name)
        if array.type not in (pa.utf8(), pa.binary()):
            return False
        blanks = arrow.numbers(pc.fill_null(pc.count_substring(array, " "), 0))
        return float((blanks >= _WORDS - 1).mean()) >= _PROSE if len(blanks) else False

    def neighbours(self) -> float:
        """The share of rows whose person is that of the row before."""
        if not isinstance(self.people, Persons) or self.rows < 2:
            return 0.0
        person, missing = self.people.person, self.people.missing
        return float(((person[1:] == person[:-1]) & ~missing[1:]).mean())


def _unique(people: People, of_name: Mapping[str, tuple[Ints, int]], names: Sequence[str]) -> Unique | None:
    if not names:
        return None
    n = len(people.rows)
    values = classes([of_name[name] for name in names], n)
    together = people.alike(values)
    alone = (people.sizes(together) <= 1)[together] & ~people.missing if n else np.zeros(0, np.bool_)
    everybody = people.number(~people.missing)
    return Unique(
        columns=tuple(names),
        values=int(values.max(initial=-1)) + 1,
        share=people.number(alone) / max(everybody, 1),
    )
