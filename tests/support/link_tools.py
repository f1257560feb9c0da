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


def _when(label: str, *conditions: tuple[str, str, float], frequency: str = "") -> Level:
    made = tuple(Condition(column=column, test=test, number=number) for column, test, number in conditions)  # type: ignore[arg-type]
    return Level(label=label, conditions=made, tf_adjustment_column=frequency)


UNITS_MODEL = Model(
    comparisons=(
        Comparison(
            name="first",
            levels=(
                _when("the same", ("first", "same", 0), frequency="first"),
                _when("alike", ("first", "jaro_winkler", 0.8)),
                ELSE,
            ),
        ),
        Comparison(
            name="last",
            levels=(
                _when("the same", ("last", "same", 0), frequency="last"),
                _when("sound", ("last", "soundex", 0)),
                ELSE,
            ),
            missing="never",
        ),
        Comparison(
            name="names",
            levels=(
                Level(label="exchanged", conditions=(Condition(column="last", test="exchanged", other="first"),)),
                ELSE,
            ),
        ),
        Comparison(
            name="born and sex",
            levels=(
                _when("both", ("DOB", "same", 0), ("SEX", "same", 0)),
                _when("a slip", ("DOB", "date_slip", 0)),
                ELSE,
            ),
            missing="every",
        ),
    ),
    blocking=(
        Rule(keys=(Key(column="last"), Key(column="SEX"))),
        Rule(keys=(Key(column="last", form="soundex"), Key(column="DOB", form="year"))),
        Rule(keys=(Key(column="first"),)),
        Rule(keys=(Key(column="DOB"),), most_pairs=20),
    ),
    deterministic_rules=(Rule(keys=(Key(column="last"), Key(column="DOB"))), Rule(keys=(Key(column="first"),))),
    split=(Key(column="DOB", form="year"), Key(column="SEX"), Key(column="first")),
)
"""Of persons, with comparisons of every kind that units of several rows are treated by."""


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
