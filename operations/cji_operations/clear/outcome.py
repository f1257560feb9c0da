"""From records to decisions: what `clear` finds about some records that hold the whole history of their subjects.

Its outputs are determinations with the facts behind them, and charges that were not decided.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import RowStatus, Status, arrow
from cji_core.format.records.column import Bools, Ints
from cji_core.operations.clear.declaration import DETERMINATIONS, NOT_DECIDED, Clear, Code
from cji_core.operations.clear.rules import Rule
from cji_core.operations.clear.words import reason_of
from cji_core.operations.parameters import known
from cji_operations.clear.conditions import CONDITIONS
from cji_operations.clear.decide import CAUSES, Decision, all_rules, decide
from cji_operations.clear.facts import Columns, Facts, gather, status_of
from cji_operations.progress import ProgressCallback

_BATCH: Final = 16_384
_ALWAYS: Final = ("level", "sections", "convicted_before")
"""Conditions whose facts every determination has: level, section and date."""
_Used: TypeAlias = Sequence[tuple[str, Any]]
"""The conditions of a rule whose facts a determination has, with their values."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Outcome:
    """Of n rows: their status, the relief utf8[n] of each, and the parts by name, whose `row` counts these rows."""

    status: RowStatus
    relief: pa.Array
    parts: Mapping[str, Iterable[pa.RecordBatch]]


def outcome(parameters: Clear, columns: Columns, progress: ProgressCallback) -> Outcome:
    """Decide on all charges."""
    progress("facts", 0)
    facts = gather(columns, known(parameters.table), known(parameters.as_of))
    progress("decide", 0)
    decision = decide(facts, county=parameters.county)
    status = status_of(facts.rows, columns).found(facts.row[decision.open], status=Status.WARNED, code=Code.NOT_DECIDED)
    progress("decide", 100)
    subjects = columns.text("subject")
    return Outcome(
        status=status,
        relief=reliefs(facts, decision),
        parts={
            DETERMINATIONS.name: determinations(facts, decision, subjects),
            NOT_DECIDED.name: not_decided(facts, decision, subjects),
        },
    )


def determinations(facts: Facts, decision: Decision, subjects: pa.Array) -> Iterator[pa.RecordBatch]:
    """One row for each charge that a rule decided; `subjects` binary[n]."""
    rules = all_rules(facts.rules)
    used = tuple((*((name, None) for name in _ALWAYS), *each.when.conditions()) for each in rules)
    return (_determinations(facts, decision, subjects, at, rules=rules, used=used) for at in _chunks(decision.decided))


def not_decided(facts: Facts, decision: Decision, subjects: pa.Array) -> Iterator[pa.RecordBatch]:
    """One row for each charge in scope that no rule decided, with the cause; `subjects` binary[n]."""
    ids = [each.id for each in all_rules(facts.rules)]
    words = _texts([reason_of(name, each.value) for name in (*ids, "") for each in CAUSES])
    return (_not_decided(facts, decision, subjects, at, ids=_texts(ids), words=words) for at in _chunks(decision.open))


def _chunks(chosen: Bools) -> Iterator[Ints]:
    at = np.flatnonzero(chosen)
    return (at[first : first + _BATCH] for first in range(0, len(at), _BATCH))


def _determinations(
    facts: Facts, decision: Decision, subjects: pa.Array, at: Ints, *, rules: Sequence[Rule], used: Sequence[_Used]
) -> pa.RecordBatch:
    rule = arrow.from_numpy(decision.rule[at])
    columns = [_texts([getattr(each, name) for each in rules]).take(rule) for name in ("relief", "id", "reason")]
    return pa.RecordBatch.from_arrays(
        [*_who(facts, at, subjects), *columns, _facts_used(facts, decision.rule[at], at, used)],
        schema=DETERMINATIONS.schema.arrow,
    )


def _not_decided(
    facts: Facts, decision: Decision, subjects: pa.Array, at: Ints, *, ids: pa.Array, words: pa.Array
) -> pa.RecordBatch:
    rule, cause = decision.rule[at], decision.cause[at]
    word = np.where(rule < 0, len(ids), rule) * len(CAUSES) + cause
    columns = [
        _texts([each.name for each in CAUSES]).take(arrow.from_numpy(cause)),
        ids.take(arrow.from_numpy(np.maximum(rule, 0), valid=rule >= 0)),
        words.take(arrow.from_numpy(word)),
    ]
    return pa.RecordBatch.from_arrays([*_who(facts, at, subjects), *columns], schema=NOT_DECIDED.schema.arrow)


def reliefs(facts: Facts, decision: Decision) -> pa.Array:
    """utf8[n]: the relief at the row of each charge that a rule decided, null elsewhere."""
    n = len(facts.rows.date)
    rule = np.full(n, -1)
    rule[facts.row[decision.decided]] = decision.rule[decision.decided]
    names = _texts([each.relief for each in all_rules(facts.rules)])
    return names.take(arrow.from_numpy(np.maximum(rule, 0), valid=rule >= 0))


def _who(facts: Facts, at: Ints, subjects: pa.Array) -> list[pa.Array]:
    row = facts.row[at]
    return [arrow.from_numpy(row, pa.uint64()), subjects.take(arrow.from_numpy(row))]


def _texts(values: list[str]) -> pa.Array:
    return pa.array(values, pa.utf8())


def _facts_used(facts: Facts, rule: Ints, at: Ints, used: Sequence[_Used]) -> pa.Array:
    """utf8: level, section and date of each charge, and the facts that the conditions of its rule looked at."""
    pieces, order = [pa.nulls(0, pa.utf8())], [np.empty(0, np.int64)]
    for number, each in enumerate(used):
        here = np.flatnonzero(rule == number)
        if len(here):
            pieces.append(_joined(each, facts, at[here]))
            order.append(here)
    place = np.argsort(np.concatenate(order))
    return pa.concat_arrays(pieces).take(arrow.from_numpy(place))


def _joined(conditions: _Used, facts: Facts, at: Ints) -> pa.Array:
    """utf8: the facts of a rule's conditions, each fact once, separated by semicolons."""
    found = {CONDITIONS[name].found or (name, value): (name, value) for name, value in conditions}
    parts, words = list[Any](), ""
    pieces = [p for name, value in found.values() for p in ("; ", *CONDITIONS[name].words(facts, at, value))]
    for piece in pieces[1:]:
        if isinstance(piece, str):
            words += piece
        else:
            parts += [pa.scalar(words, pa.utf8()), piece]
            words = ""
    return pc.binary_join_element_wise(*parts, pa.scalar(words, pa.utf8()), pa.scalar("", pa.utf8()))
