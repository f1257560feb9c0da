"""Outputs of a job in parts have the types that the inputs give them, also where their task has read edges alone."""

from collections.abc import Mapping
from datetime import date

import pyarrow as pa
import pytest

from cji_client.sources import fit
from cji_client.spec import InputSpec
from cji_core.format.job import InputPart, parse_plan
from cji_core.operations.disseminate import DISSEMINATE, Disseminate
from cji_core.operations.link import LINK, Link
from cji_core.operations.match_orders import MATCH_ORDERS, MatchOrders
from cji_core.operations.registry import plan
from cji_core.operations.screen import SCREEN, Screen
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.cell.parts_loop import PartsLoop
from cji_worker.cell.task_keys import TaskKeys
from cji_worker.cell.task_outputs import TaskOutputs
from tests.support.letter_jobs import result, sealed

PERSONS = pa.table(
    {
        "record_id": [f"R{i}" for i in range(60)],
        "last": [f"NAME{'ABCDEFGHIJ'[i // 2 % 10]}" for i in range(60)],
        "DOB": [f"19{50 + i // 2}0101" for i in range(60)],
        "SOC": [f"{400_000_000 + 7919 * (i // 2)}" for i in range(60)],
    }
)
EVENTS = pa.table(
    {name: [f"R{i}" if name == "subject" else "1" for i in range(60)] for name in ("subject", "cycle")}
    | {name: pa.array([False] * 60) for name in ("sealed", "expunged", "juvenile", "non_conviction")}
)
ORDERS = pa.table({name: ["R3"] for name in ("order_id", "subject")} | {"action": ["seal"], "cycle": ["1"]})


def in_bytes(table: pa.Table, name: str) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, table[name].cast(pa.binary()))


def ran(
    operation: pb.Operation, records: pa.Table, schema: str, sides: Mapping[str, tuple[str, pa.Table]]
) -> PartsLoop:
    """A job with two shards of which the second has no rows."""
    schemas = {**{name: side for name, (side, _) in sides.items()}, "records": schema}
    parts = [fit(table, InputSpec(schema=side)).open() for side, table in sides.values()]
    parts += [fit(shard, InputSpec(schema=schema)).open() for shard in (records, records.slice(0, 0))]
    inputs = [InputPart(name=name, schema=each, shards=1 + (name == "records")) for name, each in schemas.items()]
    loop = sealed(parts, plan([operation], schemas), operation, inputs=inputs)
    loop.run()
    return loop


def types(loop: PartsLoop, output: str) -> dict[str, str]:
    """The types of an output's columns."""
    return {field.name: str(field.type) for field in result(loop)[output].schema}


def linked(side: pa.Table) -> PartsLoop:
    return ran(LINK.message(Link(random_pairs=2_000)), PERSONS, "person/1", {"link_to": ("person/1", side)})


@pytest.mark.parametrize(("side", "wanted"), [(PERSONS, "string"), (in_bytes(PERSONS, "record_id"), "binary")])
def test_ids_of_link(side: pa.Table, wanted: str) -> None:
    loop = linked(side)
    for output, name in (("pairs", "left_id"), ("clusters", "weakest_id"), ("bridges", "right_id")):
        assert types(loop, output)[name] == wanted


def test_no_ids_are_written_before_all_inputs_are_known() -> None:
    loop = linked(PERSONS)
    stage = loop.streams.stage("order")
    assert stage is not None
    keys = TaskKeys(loop.dek, header_sha384=loop.header.sha384, plan=parse_plan(loop.plan))
    some = {"records": PERSONS.schema}
    outputs = TaskOutputs(
        job=loop.streams, stage=stage, number=0, keys=keys, emit=lambda *_: None, inputs=some, columns={}
    )
    with pytest.raises(ValueError, match="before it knows the columns of all inputs"):
        outputs.finish(padded=False)
    some["link_to"] = PERSONS.schema
    outputs.finish(padded=False)


@pytest.mark.parametrize(
    ("persons", "orders", "wanted"),
    [
        (PERSONS, ORDERS, ("string", "string")),
        (in_bytes(PERSONS, "record_id"), ORDERS, ("string", "binary")),
        (PERSONS, in_bytes(ORDERS, "order_id"), ("binary", "string")),
    ],
)
def test_ids_of_match_orders(persons: pa.Table, orders: pa.Table, wanted: tuple[str, str]) -> None:
    sides = {"orders": ("court_order/1", orders), "persons": ("person/1", persons)}
    loop = ran(MATCH_ORDERS.message(MatchOrders()), EVENTS, "chri_event/1", sides)
    for output in ("work_list", "applied"):
        found = types(loop, output)
        assert (found["order_id"], found["subject"]) == wanted


@pytest.mark.parametrize(("records", "wanted"), [(EVENTS, "string"), (in_bytes(EVENTS, "subject"), "binary")])
def test_subjects_of_a_ledger(records: pa.Table, wanted: str) -> None:
    message = DISSEMINATE.message(Disseminate(recipient_class="criminal_justice", as_of=date(2026, 1, 1)))
    assert types(ran(message, records, "chri_event/1", {}), "ledger")["subject"] == wanted


@pytest.mark.parametrize(("name", "wanted"), [("file_code", "string"), ("NIC", "binary")])
def test_identifiers_of_hits(name: str, wanted: str) -> None:
    entry = {"NAM": "ROE, RICHARD", "SEX": "M", "RAC": "W", "DOB": "19700131", "NIC": "W1", "file_code": "W"}
    reference = pa.table({column: [text] for column, text in entry.items()})
    sides = {"reference": ("hotfile/1", in_bytes(reference, name))}
    loop = ran(
        SCREEN.message(Screen(preset="ncic_qw", max_hits=5)), reference.select(["NAM", "SEX", "DOB"]), "person/1", sides
    )
    assert result(loop)["hits"].num_rows == 1
    assert types(loop, "hits")["NIC"] == wanted
