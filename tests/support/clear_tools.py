"""What tests of `clear` share: tables, events, and outcomes as the twin gives them."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from cji_core.format.records import SCHEMAS, tagged
from cji_core.operations.clear import CLEAR, Clear, Rule, Rules, When
from cji_core.operations.clear.declaration import NAMES as ALL_NAMES
from cji_operations.operation import Outputs
from tests.reference.clear import Outcome
from tests.support.contexts import context, prepare_table

__all__ = ["AS_OF", "CHRI", "NAMES", "batch", "conviction", "outcomes", "run", "table"]

AS_OF = datetime.date(2026, 2, 1)
CHRI = "chri_event/2"
NAMES = ALL_NAMES


def table(*rules: Mapping[str, Any], **changes: Any) -> Rules:
    """A table of rules r1, r2, ... with these conditions; the relief is the one beside them, or `dismiss`."""
    made = [
        Rule(
            id=f"r{number}",
            relief=rule.get("relief", "dismiss"),
            reason=f"Reason {number}.",
            source="A law.",
            when=When(**{name: value for name, value in rule.items() if name != "relief"}),
        )
        for number, rule in enumerate(rules, 1)
    ]
    fields: dict[str, Any] = {
        "laws": ("HS", "PC"),
        "dispositions": {"conviction": ("CONVICTED",)},
        "unlisted": "no_conviction",
        "scope": When(),
        **changes,
    }
    return Rules(version=1, state="Nowhere", title="a test", sources=("A law.",), rules=tuple(made), **fields)


def conviction(**changes: Any) -> dict[str, Any]:
    """A felony conviction of S1, who was 30 on that day."""
    row = {
        "subject": "S1",
        "DOB": "19800101",
        "count": None,
        "event": "COURT ACTION",
        "date": "20100315",
        "county": "SOMEWHERE",
        "offense": "11358 HS-CULTIVATE",
        "level": "F",
        "disposition": "CONVICTED",
        "sentence": "JAIL",
        "sentence_length": "16M",
        "deceased": False,
    }
    return row | changes


def batch(rows: Sequence[Mapping[str, Any]], names: Sequence[str] = NAMES, *, binary: bool = False) -> pa.RecordBatch:
    """Events as a batch of `chri_event/2`."""
    text = pa.binary() if binary else pa.utf8()
    types = {name: pa.bool_() if pa.bool_() in SCHEMAS[CHRI].columns[name].types else text for name in names}
    schema = tagged(CHRI, [pa.field(name, types[name]) for name in names])
    columns = [
        pa.array([row.get(name) for row in rows], pa.utf8() if kind != pa.bool_() else kind)
        for name, kind in types.items()
    ]
    assert set(names) <= SCHEMAS[CHRI].columns.keys()
    return pa.RecordBatch.from_arrays([c.cast(f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def run(
    rows: Sequence[Mapping[str, Any]] | pa.RecordBatch, rules: Rules, *, county: str = "", as_of: datetime.date = AS_OF
) -> Outputs:
    """The outputs for these events, as a cell gets them from a header."""
    records = rows if isinstance(rows, pa.RecordBatch) else batch(rows)
    message = CLEAR.message(Clear(table=rules, as_of=as_of, county=county))
    prepared = prepare_table(message, CHRI, records.schema, context())
    return prepared.run([records], lambda *_: None)


def outcomes(found: Outputs) -> dict[int, Outcome]:
    """Determinations and what was not decided, by row."""
    parts = {name: [row for each in batches for row in each.to_pylist()] for name, batches in found.parts.items()}
    decided = {row["row"]: Outcome(row["relief"], row["rule"]) for row in parts["determinations"]}
    undecided = {row["row"]: Outcome(None, row["rule"], row["cause"]) for row in parts["not_decided"]}
    assert not decided.keys() & undecided.keys()
    return decided | undecided
