"""Jobs for pages: operations run on tables in this process, as a recipient would read their outputs."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import partial
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.csv

from cji_audit.dissemination.disclosures import Row, disclosure_page
from cji_client.report import Job, report
from cji_core.format.records import tagged
from cji_core.operations.aggregate import Aggregate
from cji_core.operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
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
    *(("DOE", "JANE", "19820214", None),) * 3,
    ("DOE", "JANE", "19820214", "123456789"),
    ("DOE", "JANE", "19510730", "123456789"),
    *(("DOE", "JANE", "19510730", None),) * 3,
    ("ROE", "RICHARD", "19751103", "219099999"),
    ("ROE", "RICHARD", None, None),
    ("ROE", "RICK", "19751103", "219099999"),
)
"""Two clusters of four with a bridge between rows 3 and 4, a cluster of two, and pairs for a clerk."""


def opened(
    parameters: Parameters,
    schema_id: str,
    table: pa.Table,
    sides: Mapping[str, tuple[str, pa.Table]] = MappingProxyType({}),
) -> Job:
    """The job of one operation."""
    message = operation_of(parameters).message(parameters)
    schema = tagged(schema_id, [*table.schema])
    batches = {name: each.cast(tagged(kind, [*each.schema])).to_batches() for name, (kind, each) in sides.items()}
    given = replace(context(), sides=batches)
    outputs = _outputs(prepare_any(message, schema_id, schema, given), table.cast(schema).to_batches())
    plan = planned([message], schema_id, sides={name: kind for name, (kind, _) in sides.items()})
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
        return {"result": [*found.result], **{name: [*part] for name, part in found.parts.items()}}
    outputs = dict[str, list[pa.RecordBatch]]()
    for batch in batches:
        applied = operation.apply(batch)
        for name, part in {"result": [applied.batch], **applied.parts}.items():
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
