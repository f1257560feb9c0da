"""Ids in outputs have the type of the ids in the records: a data frame joins them as they are."""

import pyarrow as pa
import pytest

from cji_client.spec import InputSpec
from cji_core.operations.clear import Clear
from cji_core.operations.deidentify import Deidentify, Ff1
from cji_core.operations.disseminate import Disseminate
from cji_core.operations.link import Link
from cji_core.operations.match_orders import MatchOrders
from cji_core.operations.screen import Screen
from cji_simulator.site import Site
from tests.support.clear_tools import NAMES, batch, conviction
from tests.support.clear_tools import table as rule_table

TEXT, BYTES = pa.utf8(), pa.binary()
SAME = {"last": "DOE", "first": "JOHN", "DOB": "19800101", "SOC": "400000003"}
LINK_TO = {"link_to": InputSpec(schema="person/1")}
IDS = ("left_id", "right_id")


def twins(prefix: str, pairs: int = 40) -> pa.Table:
    """Persons of whom everyone is there twice, with ids that are not ASCII."""
    return pa.table(
        {
            "record_id": [f"{prefix}é{i}" for i in range(2 * pairs)],
            "last": [f"NAME{'ABCDEFGHIJ'[i // 2 % 10]}" for i in range(2 * pairs)],
            "DOB": [f"19{50 + i // 2 % 50}01{1 + i // 2 % 28:02}" for i in range(2 * pairs)],
            "SOC": [f"{400_000_000 + 7919 * (i // 2)}" for i in range(2 * pairs)],
        }
    )


def as_bytes(table: pa.Table, *names: str) -> pa.Table:
    """The table with these columns in bytes, all of them without names."""
    kinds = {field.name: BYTES if field.name in (names or table.column_names) else field.type for field in table.schema}
    return table.cast(pa.schema(list(kinds.items())))


def types(table: pa.Table, *names: str) -> set[pa.DataType]:
    return {table.schema.field(name).type for name in names}


@pytest.mark.parametrize("kind", [TEXT, pa.int64(), pa.float64()], ids=str)
def test_pairs_and_clusters_join_the_records(site: Site, kind: pa.DataType) -> None:
    records = twins("A")
    if kind != TEXT:
        records = records.set_column(0, "record_id", pa.array(range(1000, 1080)).cast(kind))
    with site.run(records, site.spec(Link(random_pairs=20_000))).opened_by(site.recipient) as result:
        frame, pairs, clusters = (result.pandas(name) for name in ("result", "pairs", "clusters"))
        assert types(result.table("bridges"), *IDS) == {kind}
    assert len(pairs) >= 40
    for name in IDS:
        for of in (frame, records.to_pandas()):
            joined = pairs.merge(of, left_on=name, right_on="record_id")
            assert len(joined) == len(pairs)
    joined = clusters.merge(frame, left_on="first_id", right_on="record_id")
    assert len(joined) == len(clusters) == 40
    assert (joined["cluster_x"] == joined["cluster_y"]).all()


@pytest.mark.parametrize(
    ("of_records", "of_side", "wanted"),
    [(TEXT, TEXT, TEXT), (BYTES, TEXT, BYTES), (TEXT, BYTES, BYTES), (BYTES, BYTES, BYTES), (None, None, TEXT)],
)
def test_ids_of_two_tables_are_text_where_both_are(
    site: Site, of_records: pa.DataType | None, of_side: pa.DataType | None, wanted: pa.DataType
) -> None:
    tables = []
    for prefix, kind in (("A", of_records), ("B", of_side)):
        table = twins(prefix)
        made = as_bytes(table, "record_id") if kind == BYTES else table
        tables.append(table.drop_columns(["record_id"]) if kind is None else made)
    spec = site.spec(Link(random_pairs=20_000), sides=LINK_TO)
    out = site.open(site.run(tables[0], spec, sides={"link_to": tables[1]}))
    assert types(out["pairs"], *IDS) | types(out["clusters"], "first_id", "weakest_id") == {wanted}
    if of_records is not None:
        first = "Aé0".encode() if wanted == BYTES else "Aé0"
        assert first in out["pairs"]["left_id"].to_pylist()


def test_no_pairs_have_ids_of_the_same_type(site: Site) -> None:
    for table, wanted in ((twins("A", 1).slice(0, 1), TEXT), (as_bytes(twins("A", 1).slice(0, 1)), BYTES)):
        out = site.open(site.run(table, site.spec(Link(random_pairs=20_000))))
        assert out["pairs"].num_rows == 0
        assert types(out["pairs"], *IDS) | types(out["bridges"], *IDS) == {wanted}


@pytest.mark.parametrize("kind", [TEXT, BYTES])
def test_subjects_of_orders_and_of_a_ledger(site: Site, kind: pa.DataType) -> None:
    flags = ("sealed", "expunged", "juvenile", "non_conviction")
    texts = {"subject": ["S1", "S2"], "cycle": ["1", "1"], "date": ["20250801"] * 2, "disposition": ["convicted"] * 2}
    people = pa.table({name: [value, "ROE"] for name, value in SAME.items()} | {"record_id": ["S1", "S2"]})
    orders = pa.table({"order_id": ["O1"], "action": ["seal"], "cycle": ["1"]} | {n: [v] for n, v in SAME.items()})
    events = pa.table(texts | {flag: pa.array([False] * 2) for flag in flags})
    if kind == BYTES:
        events, people, orders = as_bytes(events, *texts), as_bytes(people), as_bytes(orders)
    spec = site.spec(
        MatchOrders(),
        Disseminate(recipient_class="criminal_justice"),
        input=InputSpec(schema="chri_event/1"),
        sides={"orders": InputSpec(schema="court_order/1"), "persons": InputSpec(schema="person/1")},
    )
    out = site.open(site.run(events, spec, sides={"orders": orders, "persons": people}))
    assert types(out["work_list"], "order_id", "subject", "second_subject") == {kind}
    assert types(out["applied"], "order_id", "subject") == {kind}
    assert out["ledger"].schema.field("subject").type == kind
    assert out["applied"].schema.field("hmac").type == BYTES
    assert set(out["ledger"]["subject"].to_pylist()) == set(events["subject"].to_pylist())
    assert out["applied"]["subject"].to_pylist() == people["record_id"].to_pylist()[:1]


@pytest.mark.parametrize("kind", [TEXT, BYTES])
def test_subjects_of_determinations(site: Site, kind: pa.DataType) -> None:
    rows = [conviction(subject="S1", level="F"), conviction(subject="S2", level="F", DOB=None)]
    events = pa.Table.from_batches([batch(rows, NAMES)])
    made = as_bytes(events, "subject") if kind == BYTES else events
    rules = rule_table({"level": ("felony",), "age_from": 50})
    spec = site.spec(Clear(table=rules), input=InputSpec(schema="chri_event/2"))
    out = site.open(site.run(made, spec))
    for name in ("determinations", "not_decided"):
        assert out[name].schema.field("subject").type == kind
    found = {value for name in ("determinations", "not_decided") for value in out[name]["subject"].to_pylist()}
    assert found
    assert found <= set(made["subject"].to_pylist())


@pytest.mark.parametrize("kind", [TEXT, BYTES])
def test_a_token_map_joins_the_result(site: Site, kind: pa.DataType) -> None:
    records = pa.table({"SOC": [f"{i:09d}" for i in range(50)]})
    made = as_bytes(records) if kind == BYTES else records
    spec = site.spec(Deidentify(project="p1", columns={"SOC": Ff1(domain="soc")}, token_map=True))
    with site.run(made, spec).opened_by(site.recipient) as result:
        assert types(result.table("token_map"), "token", "value") == {kind}
        joined = result.pandas("token_map").merge(result.pandas(), left_on="token", right_on="SOC")
    assert len(joined) == 50


@pytest.mark.parametrize("kind", [TEXT, BYTES])
def test_hits_have_the_types_of_a_resident_reference(site: Site, kind: pa.DataType) -> None:
    """The job that finds it in memory has not seen its columns."""
    wanted = {"NAM": "ROE, RICHARD", "SEX": "M", "RAC": "W", "DOB": "19700131", "NIC": f"W{kind}", "file_code": "W"}
    reference = pa.table({name: [text] for name, text in wanted.items()})
    reference = as_bytes(reference, "NIC") if kind == BYTES else reference
    inquiry = pa.table({name: [wanted[name]] for name in ("NAM", "SEX", "DOB")})
    with_side = site.spec(Screen(retain_seconds=300), sides={"reference": InputSpec(schema="hotfile/1")})
    first = site.run(inquiry, with_side, sides={"reference": reference})
    (digest,) = (part.sha256 for part in first.receipt.claims.inputs if part.name == "reference")
    again = site.run(inquiry, site.spec(Screen(resident_reference=digest)))
    for out in (site.open(first), site.open(again)):
        assert out["hits"]["NIC"].to_pylist() == reference["NIC"].to_pylist()
        assert types(out["hits"], "NIC") == {kind}
        assert types(out["hits"], "file_code", "ORI") == {TEXT}
