"""Sealed columns at a real worker: opened in a sandboxed cell, faulty rows left out, refusals by column and row."""

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

import grpc
import pyarrow as pa
import pytest

from cji_client.errors import WorkerRefused, from_rpc
from cji_client.spec import InputSpec
from cji_core.errors import Reason
from cji_core.format.job import SealedOutput
from cji_core.format.records import Status
from cji_core.operations.deidentify import Deidentify, Mask
from cji_core.operations.link import Link
from cji_core.operations.parameters import Parameters
from cji_core.operations.screen import Screen
from cji_core.operations.status_codes import CellCode
from tests.support.cell_writer import Cells, Value
from tests.support.column_jobs import Statement, Table
from tests.support.column_site import ColumnSite, column_site
from tests.support.simulations import simulated

IDENTITY, CONTACT = secrets.token_bytes(32), secrets.token_bytes(32)
PERSONS = Statement(
    columns={
        "last": Cells(cek=IDENTITY, kind="nvarchar(60)", deterministic=True),
        "first": Cells(cek=IDENTITY, kind="varchar(40) cp1252"),
        "DOB": Cells(cek=CONTACT, kind="date"),
        "SOC": Cells(cek=CONTACT, kind="char(9) cp1252"),
        "NAM": Cells(cek=IDENTITY, kind="nvarchar(60)"),
    }
)
SEALED = ("last", "first", "DOB", "SOC")
ROWS = 300
COLUMNS: dict[str, Sequence[Value]] = {
    "record_id": [f"r{i}" for i in range(ROWS)],
    "last": [f"GARZA{i % 90}" for i in range(ROWS)],
    "first": [None if i % 7 == 0 else f"José{i % 50}" for i in range(ROWS)],
    "DOB": [date(1950 + i % 50, 1 + i % 12, 1 + i % 28) for i in range(ROWS)],
    "SOC": [f"{100000001 + 7919 * (i // 2):09d}" for i in range(ROWS)],
}
PLAIN = {name: [f"{v:%Y%m%d}" if isinstance(v, date) else v for v in values] for name, values in COLUMNS.items()}
KEEP = Deidentify(columns={**dict.fromkeys(COLUMNS, "keep"), "SOC": Mask(keep_last=4)})
LINK = Link(random_pairs=2_000)


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ColumnSite]:
    folder = tmp_path_factory.mktemp("columns")
    with simulated(folder / "azure") as azure, column_site(folder / "site", azure, PERSONS) as found:
        yield found


def sealed(**written: Sequence[bytes | None]) -> Table:
    left = {name: values for name, values in COLUMNS.items() if name not in written}
    return Table(columns=left, sealed=SEALED, written=written)


def cells(name: str) -> list[bytes | None]:
    return [PERSONS.columns[name].cell(value) for value in COLUMNS[name]]


def refusal(columns: ColumnSite, tables: Sequence[Table], operation: Parameters) -> WorkerRefused:
    with pytest.raises(grpc.RpcError) as caught:
        columns.run(tables, operation)
    refused = from_rpc(caught.value)
    assert isinstance(refused, WorkerRefused)
    return refused


def test_a_job_and_its_sealed_results_are_those_on_plain_rows(columns: ColumnSite) -> None:
    back = [
        SealedOutput(output="result", column="SOC", column_keys=0, as_column="first"),
        SealedOutput(output="result", column="last", column_keys=0, as_column="last"),
    ]
    table = sealed()
    found = columns.run([table], KEEP, outputs=back)
    assert found["row_status"]["status"].to_pylist() == [Status.OK] * ROWS
    assert found["result"]["DOB"].to_pylist() == PLAIN["DOB"]
    assert found["result"]["first"].to_pylist() == PLAIN["first"]
    opened = PERSONS.columns["first"].plains(found["result"]["SOC"])
    assert [value[-4:].decode() for value in opened if value] == [str(value)[-4:] for value in PLAIN["SOC"]]
    assert found["result"]["last"].to_pylist() == table.batch([PERSONS])["last"].to_pylist()
    last = PERSONS.columns["last"].plains(found["result"]["last"])
    assert [value.decode("utf-16-le") for value in last if value] == PLAIN["last"]


def test_rows_with_faulty_cells_are_left_out_of_a_job(columns: ColumnSite) -> None:
    last, dob = cells("last"), cells("DOB")
    last[5], dob[299] = (last[5] or b"")[:-1], (dob[3] or b"")[:40] + bytes(25)
    found = columns.run([replace(sealed(last=last, DOB=dob), cuts=(100, 250))], KEEP)
    wrong = {5: [CellCode.CELL_LENGTH], 299: [CellCode.CELL_MAC]}
    assert found["row_status"]["codes"].to_pylist() == [wrong.get(row, []) for row in range(ROWS)]
    assert found["result"]["record_id"].to_pylist() == [f"r{row}" for row in range(ROWS) if row not in wrong]


def test_a_wrong_key_is_refused_with_the_column_and_its_row(columns: ColumnSite) -> None:
    other = replace(PERSONS.columns["SOC"], cek=IDENTITY)
    soc = [None, None, *(other.cell(value) for value in COLUMNS["SOC"][2:])]
    refused = refusal(columns, [sealed(SOC=soc)], KEEP)
    assert (refused.reason, refused.columns, refused.row) == (Reason.COLUMN_KEY_WRONG, ("SOC",), 2)


def test_a_faulty_cell_of_a_side_table_is_refused_by_its_row(columns: ColumnSite) -> None:
    last = cells("last")
    last[7] = b"GARZA7"
    refused = refusal(columns, [replace(sealed(last=last), name="link_to"), sealed()], LINK)
    assert (refused.reason, refused.columns, refused.row) == (Reason.COLUMN_CELL_INVALID, ("last",), 7)


def test_tables_link_as_in_plain_text(columns: ColumnSite) -> None:
    found = columns.run([replace(sealed(), name="link_to"), sealed()], LINK)
    table = pa.table(PLAIN)
    spec = columns.site.spec(LINK, sides={"link_to": InputSpec(schema="person/1")})
    assert found == columns.site.open(columns.site.run(table, spec, sides={"link_to": table}))
    assert found["pairs"].num_rows >= ROWS


HOT: dict[str, Sequence[Value]] = {
    "NAM": ["ROE, RICHARD", "DOE, JANE"],
    "SEX": ["M", "F"],
    "RAC": ["W", "W"],
    "DOB": [date(1970, 1, 31), date(1980, 2, 1)],
    "NIC": ["W1", "W2"],
    "file_code": ["W", "W"],
}
ASKED: dict[str, Sequence[Value]] = {"NAM": ["ROE, RICHARD"], "SEX": ["M"], "RAC": ["W"], "DOB": [date(1970, 1, 31)]}


def test_sealed_inquiries_search_a_reference_that_is_resident(columns: ColumnSite) -> None:
    """In a job of its own a reference may have sealed columns too; it is then not retained."""
    in_cells = Table(columns=HOT, sealed=("DOB", "NAM"), name="reference", schema="hotfile/1")
    inquiry = Table(columns=ASKED, sealed=("DOB", "NAM"))
    assert columns.run([in_cells, inquiry], Screen())["hits"]["NIC"].to_pylist() == ["W1"]
    assert refusal(columns, [in_cells, inquiry], Screen(retain_seconds=300)).reason is Reason.POLICY_DENIED
    as_text = {name: [str(value) for value in values] for name, values in HOT.items()}
    job, parts = columns.job([replace(in_cells, columns=as_text, sealed=()), inquiry], Screen(retain_seconds=300))
    assert columns.run_job(job, parts)["hits"]["NIC"].to_pylist() == ["W1"]
    digest = hashlib.sha256(b"".join(parts[0])).hexdigest()
    assert columns.run([inquiry], Screen(resident_reference=digest))["hits"]["NIC"].to_pylist() == ["W1"]
