"""A small model of linkage, and `link` on one batch."""

from typing import Any

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from cji_core.operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
from cji_core.operations.link.outputs import PARTS
from cji_operations.link import Linked, link
from tests.reference.link import ignore, people

SAME, ELSE = Level(label="the same", conditions=(Condition(column="last"),)), Level(label="different")
LAST = Comparison(name="surname", levels=(SAME, ELSE))
BY_LAST = Rule(keys=(Key(column="last"),))
MODEL = Model(comparisons=(LAST,), blocking=(BY_LAST,), prior=0.01)


def given_model(m: float, u: float, *, frequency: bool = False) -> Model:
    levels = (
        replace(SAME, m=m, u=u, tf_adjustment_column="last" if frequency else ""),
        replace(ELSE, m=1 - m, u=1 - u),
    )
    return replace(MODEL, comparisons=(replace(LAST, levels=levels),))


def linked(batch: pa.RecordBatch, **parameters: Any) -> Linked:
    return link([batch], batch.schema, Link(**parameters), ignore)


def part(found: Linked, name: str) -> list[dict[str, Any]]:
    schema = {output.name: output.schema.arrow for output in PARTS}[name]
    rows: list[dict[str, Any]] = pa.Table.from_batches(found.parts()[name], schema).to_pylist()
    return rows


def persons_twice(columns: tuple[str, ...], *, agree: float, values: int) -> pa.RecordBatch:
    """Two records of each of 600 persons, of which each value of the second one is kept with probability `agree`."""
    rng = np.random.default_rng(7)
    made = {}
    for name in columns:
        first = rng.integers(0, values, 600)
        second = np.where(rng.random(600) < agree, first, rng.integers(0, values, 600))
        made[name] = [f"{int(value):05d}" for value in (*first, *second)]
    return people(**made)
