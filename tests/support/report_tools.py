"""Jobs for pages: operations run on tables in this process, as a recipient would read their outputs."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from cji_audit.dissemination.disclosures import Row, disclosure_page
from cji_client.report import Job, report
from cji_core.format.records import RowStatus, arrow, tagged
from cji_core.operations.aggregate import Aggregate
from cji_core.operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
from cji_core.operations.link.outputs import LEVELS, PARTS
from cji_core.operations.match_orders import MatchOrders
from cji_core.operations.parameters import Parameters
from cji_core.operations.registry import operation_of
from cji_core.operations.validate import Validate
from cji_operations.operation import BatchOperation, PreparedOperation
from tests.support.contexts import context, planned, prepare_any
from tests.support.nibrs_xml_tools import rows_of
from tests.support.paths import ROOT

NIBRS = "nibrs.flat/3.1"
PERSON = "person/1"

_SURE = {"last": (0.9, 0.01), "first": (0.9, 0.01), "DOB": (0.95, 0.001), "SOC": (0.9, 0.0001)}
MODEL = Model(
    comparisons=tuple(
        Comparison(
            name=name,
            levels=(
                Level(label="the same", conditions=(Condition(column=name),), m=m, u=u),
                Level(label="different", m=1 - m, u=1 - u),
            ),
        )
        for name, (m, u) in _SURE.items()
    ),
    blocking=(Rule(keys=(Key(column="last"),)), Rule(keys=(Key(column="SOC"),))),
    prior=0.0001,
)
"""A model with given weights: SOC alone does not make a match, and missing values count for nothing."""

PEOPLE = (
    *(("DOW", "JANE", "19820214", None),) * 3,
    ("DOW", "JANE", "19820214", "231564897"),
    ("DOW", "JANE", "19510730", "231564897"),
    *(("DOW", "JANE", "19510730", None),) * 3,
    ("ROE", "RICHARD", "19751103", "219098765"),
    ("ROE", "RICHARD", None, None),
    ("ROE", "RICK", "19751103", "219098765"),
)
"""Two clusters of four with a bridge between rows 3 and 4, a cluster of two, and pairs for a clerk."""


def opened(
    parameters: Parameters,
    schema_id: str,
    table: pa.Table,
    sides: Mapping[str, tuple[str, pa.Table]] = MappingProxyType({}),
    *,
    project_key: bytes | None = None,
    purpose_code: str = "C",
    secondary_recipient: str = "",
) -> Job:
    """The job of one operation."""
    message = operation_of(parameters).message(parameters)
    schema = tagged(schema_id, [*table.schema])
    batches = {name: each.cast(tagged(kind, [*each.schema])).to_batches() for name, (kind, each) in sides.items()}
    of_job = context(project_key, purpose_code=purpose_code, secondary_recipient=secondary_recipient)
    given = replace(of_job, sides=batches)
    outputs = _outputs(prepare_any(message, schema_id, schema, given), table.cast(schema).to_batches())
    plan = planned([message], schema_id, sides={name: kind for name, (kind, _) in sides.items()})
    inputs = [schema, *(each.schema for _, each in sides.values())]
    for part in plan.operations[0].signature.parts:
        made = part.schema.made_from(inputs)
        outputs[part.name] = [arrow.with_text(batch, made) for batch in outputs.get(part.name, [])]
    return Job(
        operations=[parameters],
        outputs={output.name: output.schema.schema_id for output in plan.outputs},
        read=lambda name: iter(outputs[name]),
        sides={name: partial(iter, each) for name, each in batches.items()},
        facts={"receipt": "verified", "job": "7f" * 16, "worker": "worker-1"},
        simulated=True,
        rows=table.num_rows,
    )


def _outputs(operation: PreparedOperation, batches: list[pa.RecordBatch]) -> dict[str, list[pa.RecordBatch]]:
    if not isinstance(operation, BatchOperation):
        found = operation.run(batches, lambda *_: None)
        made = {"result": [*found.result], "row_status": [found.status.to_batch(0)]}
        return made | {name: [*part] for name, part in found.parts.items()}
    outputs = dict[str, list[pa.RecordBatch]]()
    for batch in batches:
        applied = operation.apply(batch)
        status = applied.status.to_batch(sum(each.num_rows for each in outputs.get("row_status", [])))
        for name, part in {"result": [applied.batch], "row_status": [status], **applied.parts}.items():
            outputs.setdefault(name, []).extend(part)
    return outputs | {name: [*part] for name, part in operation.finish().items()}


def people(rows: Any = PEOPLE, **more: Any) -> pa.Table:
    """Records of `rows` (last, first, DOB, SOC), numbered from p0 on."""
    columns = dict(zip(("last", "first", "DOB", "SOC"), zip(*rows, strict=True), strict=True))
    ids = [f"p{i}" for i in range(len(rows))]
    return pa.table({name: pa.array(found, pa.utf8()) for name, found in {"record_id": ids, **columns, **more}.items()})


def linked(table: pa.Table, sides: Mapping[str, tuple[str, pa.Table]] = MappingProxyType({})) -> Job:
    """A job of `link` with MODEL."""
    return opened(Link(model=MODEL), PERSON, table, sides)


def submission() -> pa.Table:
    """The example's NIBRS submission: four incidents, two of them rejected."""
    lines = (ROOT / "examples/validate/submission.txt").read_bytes().splitlines()
    return pa.table({"segment": pa.array(lines, pa.binary())})


def submission_in_xml() -> pa.Table:
    """The same as NIBRS XML, a report a row."""
    return pa.table({"report": pa.array(rows_of(submission()["segment"].to_pylist()), pa.binary())})


def example(name: str) -> pa.Table:
    """A CSV file of the examples, as text and flags."""
    names = (ROOT / name).read_text().partition("\n")[0].split(",")
    flags = ("sealed", "expunged", "juvenile", "non_conviction")
    kinds = {each: pa.bool_() if each in flags else pa.utf8() for each in names}
    options = pyarrow.csv.ConvertOptions(column_types=kinds, strings_can_be_null=True, null_values=[""])
    return pyarrow.csv.read_csv(ROOT / name, convert_options=options)


def jobs() -> dict[str, Job]:
    """One job for each kind of page."""
    day = date(2026, 2, 1)
    cells = Aggregate(keys={"SEX": ("F", "M"), "county": ()}, person="SID", threshold=3)
    return {
        "link": linked(people()),
        "link_to": linked(people(PEOPLE[:4]), {"link_to": (PERSON, people(PEOPLE[3:]))}),
        "validate": opened(Validate(rule_set="nibrs/3.1", as_of=day), NIBRS, submission()),
        "validate_xml": opened(Validate(rule_set="nibrs/2019", as_of=day), "nibrs.xml/2019.1", submission_in_xml()),
        "validate_columns": opened(
            Validate(rule_set="ncic/1", as_of=day), PERSON, example("examples/persons/people.csv")
        ),
        "aggregate": opened(cells, PERSON, example("examples/aggregate/people.csv")),
        "return_a": opened(Aggregate(preset="srs_return_a", reports="all"), NIBRS, submission()),
        "leoka": opened(Aggregate(preset="srs_leoka", reports="all"), NIBRS, submission()),
        "shr": opened(Aggregate(preset="srs_shr", reports="all"), NIBRS, submission()),
        "match_orders": opened(
            MatchOrders(),
            "chri_event/1",
            example("examples/match_orders/events.csv"),
            {
                "orders": ("court_order/1", example("examples/match_orders/orders.csv")),
                "persons": (PERSON, example("examples/match_orders/persons.csv")),
            },
        ),
    }


def disclosures() -> str:
    """The page for a person who inspects disclosures, with more of them than one table has."""
    row = Row(
        time="2026-03-01T12:00:00Z",
        purpose="I",
        requestor="Det. Muñoz",
        requesting_ori="WI0130000",
        secondary_recipient="Board of Private Security",
        recipient_class="non_criminal_justice",
        file="W",
        rows=12_345,
        ledger="results/2026-03-01-licences/ledger.csv",
    )
    rows = [replace(row, secondary_recipient=None if i % 2 else row.secondary_recipient) for i in range(230)]
    return "".join(
        disclosure_page({"subject": "GA00000001", "SID": "S" * 60}, rows, {"ledgers": "12", "rows": "1 000"})
    )


def page_of(job: Job) -> str:
    """The whole page."""
    pieces = report(job)
    assert pieces is not None
    return "".join(pieces)


def many_pairs(pairs: int, *, columns: int = 12, levels: int = 5) -> Job:
    """A job of `link` with so many pairs, made without linking: each row is in at most two pairs, a third of each kind.

    The model has as many comparisons as the records have columns.
    """
    rows, names = max(2 * pairs, 2), [f"column{number}" for number in range(columns)]
    left, kind = np.arange(pairs), np.arange(pairs) % 3
    weight = np.where(kind == 0, 2.0, 9.0) - left / max(pairs, 1)
    ids = pa.array([f"record-{number}" for number in range(rows)])
    records = pa.table({"record_id": ids} | {name: pa.array([f"value of {name}"] * rows) for name in names})
    of_level = [
        {
            "comparison": name,
            "level": level,
            "m": 0.2,
            "u": 0.1,
            "weight": 1.0 - level,
            "words": f"{name}: {level}; words",
        }
        | {"label": f"level {level}, which has a long label that says what it is", "columns": name, "same": ""}
        for name in names
        for level in range(levels)
    ]
    none = {"m": None, "u": None, "label": None, "columns": None, "same": None}
    prior = {"comparison": "", "level": 0, "weight": -12.0, "words": "of two records, one pair in 4096"} | none
    tables = {
        "result": records.append_column("cluster", pa.array(np.arange(rows) // 3 * 3, pa.uint64())),
        "pairs": {
            "left": left,
            "right": left + pairs,
            "left_id": ids.slice(0, pairs),
            "right_id": ids.slice(pairs, pairs),
            "weight": weight,
            "frequency": np.zeros(pairs),
            "probability": 1 / (1 + 2**-weight),
            "pattern": left % 5000,
            "match": kind > 0,
            "joined": kind > 1,
        },
        "patterns": {
            "pattern": np.arange(5000),
            "pairs": np.arange(5000) + 1,
            "weight": np.arange(5000) / 100,
            "dependence": np.zeros(5000),
            "relatives": np.zeros(5000),
            "levels": [[(number + place) % (levels + 1) - 1 for place in range(columns)] for number in range(5000)],
            "words": ["; ".join(f"{name}: level of it +1.0" for name in names)] * 5000,
        },
        "levels": {name: [row[name] for row in (prior, *of_level)] for name in LEVELS.schema.arrow.names},
        "clusters": {
            "cluster": np.arange(rows // 3) * 3,
            "first_id": ids.take(pa.array(np.arange(rows // 3) * 3)),
            "rows": np.full(rows // 3, 3),
            "pairs": np.full(rows // 3, 3),
            "listed": np.full(rows // 3, 3),
            "cohesion": np.arange(rows // 3) / 10,
            "weakest": np.arange(rows // 3) * 3,
            "weakest_of_link_to": np.zeros(rows // 3, np.bool_),
            "weakest_id": ids.take(pa.array(np.arange(rows // 3) * 3)),
            "weakest_weight": np.ones(rows // 3),
        },
        "bridges": {
            "left": left[:100],
            "right": left[:100] + pairs,
            "left_id": ids.slice(0, min(pairs, 100)),
            "right_id": ids.slice(pairs, min(pairs, 100)),
            "weight": weight[:100],
            "probability": weight[:100],
            "left_cluster": left[:100] // 3 * 3,
            "right_cluster": (left[:100] + pairs) // 3 * 3,
            "mean": np.zeros(len(left[:100])),
        },
        "blocks": {
            "rule": [f"{name} + another" for name in names] * 4,
            **{name: np.full(4 * columns, pairs) for name in ("blocks", "largest", "pairs", "new_pairs")},
            "left_out": np.zeros(4 * columns, np.bool_),
            **{
                name: np.zeros(4 * columns, np.int64) for name in ("split", "split_rows", "oversized", "oversized_rows")
            },
        },
        "weights": {
            "weight": np.arange(-60, 90, dtype=np.float64),
            "pairs": np.full(150, pairs * 40),
            "rows": np.full(150, rows // 150),
        },
        "completeness": {
            "present": [", ".join(names[:number]) for number in range(columns)],
            "missing": [", ".join(names[number:]) for number in range(columns)],
            "rows": np.full(columns, rows // columns),
            "below_match": np.full(columns, rows // columns // 2),
            "below_review": np.full(columns, rows // columns // 3),
            "weight": np.ones(columns),
        },
        "thresholds": {
            "score": np.linspace(0.5, 0.99, 12),
            "weight": np.linspace(0.0, 6.6, 12),
            "pairs": np.full(12, pairs),
            **{name: np.full(12, 0.05) for name in ("false_share", "low", "high")},
        },
    }
    outputs = {"result": "person/1", **{part.name: part.schema.schema_id for part in PARTS}}
    schemas = {part.name: part.schema.arrow for part in PARTS}
    made = {
        name: found if isinstance(found, pa.Table) else pa.table(found).cast(schemas[name])
        for name, found in tables.items()
    }
    made["row_status"] = pa.Table.from_batches([RowStatus.all_ok(rows).to_batch(0)])
    return Job(
        operations=[Link()],
        outputs=outputs,
        read=lambda name: iter(made[name].to_batches(max_chunksize=1 << 16)),
        sides={},
        facts={"receipt": "verified", "job": "7f" * 16, "worker": "worker-1"},
        simulated=False,
        rows=rows,
    )
