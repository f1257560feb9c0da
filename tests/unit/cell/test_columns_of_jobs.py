"""Sealed columns of side tables, of jobs in parts, and of outputs."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from cji_core.errors import Reason
from cji_core.format.job import SealedOutput
from cji_core.operations.aggregate import Aggregate
from cji_core.operations.deidentify import Deidentify, HmacToken, Mask, Transform
from cji_core.operations.link import Link
from cji_core.operations.parameters import Parameters
from tests.support.cell_writer import Cells, Value, plaintext
from tests.support.column_jobs import ColumnJob, Statement, Table
from tests.unit.cell.test_columns import damaged, place, refused

OURS, THEIRS = secrets.token_bytes(32), secrets.token_bytes(32)
RECORDS = Statement(
    columns={
        "last": Cells(cek=OURS, kind="nvarchar(60)", deterministic=True),
        "first": Cells(cek=OURS, kind="nvarchar(40)"),
        "DOB": Cells(cek=OURS, kind="date"),
        "SOC": Cells(cek=OURS, kind="char(9) cp1252"),
    }
)
OTHERS = Statement(
    columns={
        "last": Cells(cek=THEIRS, kind="varchar(60) utf-8"),
        "SOC": Cells(cek=OURS, kind="varchar(9) cp1252", deterministic=True),
    }
)
SEALED = ("last", "first", "DOB", "SOC")


def persons(n: int, *, shift: int = 0) -> dict[str, Sequence[Value]]:
    """Every third twice, with a slip; some without a number."""
    numbers = [(i // 3 * 3 if i % 3 == 1 else i) + shift for i in range(n)]
    return {
        "record_id": [f"r{i}" for i in range(n)],
        "last": [f"GARZA{k % 17}{'X' if i % 5 == 0 else ''}" for i, k in enumerate(numbers)],
        "first": [None if i % 11 == 0 else f"ANA{k % 7}É" for i, k in enumerate(numbers)],
        "DOB": [date(1950 + k % 50, 1 + k % 12, 1 + k % 28) for k in numbers],
        "SOC": [None if k % 4 == 0 else f"{100000001 + 7919 * k:09d}" for k in numbers],
    }


def plain(columns: dict[str, Sequence[Value]]) -> dict[str, Sequence[Value]]:
    return {
        name: [f"{value:%Y%m%d}" if isinstance(value, date) else value for value in values]
        for name, values in columns.items()
    }


def job(tables: Sequence[Table], *operations: Parameters, **changes: Any) -> ColumnJob:
    statements = changes.pop("statements", [RECORDS, OTHERS][: 1 + max(table.keys for table in tables)])
    return ColumnJob(tables=tables, operations=operations, statements=statements, **changes)


def sealed(n: int = 60, **changes: Any) -> Table:
    return Table(columns=persons(n), sealed=SEALED, **changes)


def open_(n: int = 60, **changes: Any) -> Table:
    return Table(columns=plain(persons(n)), **changes)


def side(**written: Sequence[bytes | None]) -> Table:
    """A second table, under another statement; a column may be written as it is here."""
    columns = {name: values for name, values in plain(persons(20, shift=5)).items() if name not in written}
    return Table(columns=columns, sealed=("SOC", "last"), keys=1, name="link_to", written=written)


PLAIN_SIDE = Table(columns=plain(persons(20, shift=5)), name="link_to")
LINK = Link(random_pairs=2_000)


def test_two_inputs_under_two_statements_link_as_plain_ones() -> None:
    found = job([side(), sealed()], LINK).run()
    assert found == job([PLAIN_SIDE, open_()], LINK, statements=()).run()
    assert found["pairs"].num_rows > 0


def cells(name: str) -> list[bytes | None]:
    return [OTHERS.columns[name].cell(value) for value in persons(20, shift=5)[name]]


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_faulty_cell_of_a_side_table_refuses_the_job(in_parts: bool) -> None:
    last = cells("last")
    last[7], last[9] = damaged(last[7], 5), b""
    this = job([side(last=last), sealed()], LINK)
    assert place(this.run_in_parts if in_parts else this.run, Reason.COLUMN_CELL_INVALID) == (0, 1, 7)


@pytest.mark.parametrize("in_parts", [False, True])
def test_the_wrong_key_of_a_side_table_refuses_the_job(in_parts: bool) -> None:
    other = Cells(cek=secrets.token_bytes(32), kind="varchar(9) cp1252", deterministic=True)
    soc = [None, *(other.cell("1") for _ in range(19))]
    this = job([side(SOC=soc), sealed()], LINK)
    assert place(this.run_in_parts if in_parts else this.run, Reason.COLUMN_KEY_WRONG) == (0, 0, 1)


def test_a_copied_cell_of_a_side_table_refuses_nothing() -> None:
    last = cells("last")
    last[7] = last[8]
    assert job([side(last=last), sealed()], LINK).run()["row_status"].num_rows == 60


DROPPED: dict[str, Transform] = dict.fromkeys(persons(1), "drop")
TOKENS = Deidentify(
    project="p",
    wrapped_project_key=bytes(60),
    columns={**DROPPED, "last": HmacToken(domain="names", bits=128), "SOC": Mask(keep_last=4), "DOB": "keep"},
)
COUNTED = Aggregate(keys={"last": tuple(f"GARZA{k}" for k in range(17))})
IN_PARTS: dict[str, tuple[Parameters, bytes | None]] = {
    "link": (LINK, None),
    "aggregate": (COUNTED, None),
    "deidentify": (TOKENS, bytes(32)),
}


@pytest.mark.parametrize("cuts", [(), (20, 20, 45)])
@pytest.mark.parametrize("name", IN_PARTS)
def test_a_job_in_parts_on_sealed_columns_is_that_on_plain_ones(name: str, cuts: Sequence[int]) -> None:
    operation, key = IN_PARTS[name]
    found = job([sealed(cuts=cuts)], operation, project_key=key).run_in_parts()
    assert found == job([open_(cuts=cuts)], operation, statements=(), project_key=key).run_in_parts()


def test_sides_and_records_in_parts_under_two_statements() -> None:
    found = job([side(), sealed(cuts=(30,))], LINK).run_in_parts()
    assert found == job([PLAIN_SIDE, open_(cuts=(30,))], LINK, statements=()).run_in_parts()


@pytest.mark.parametrize("name", IN_PARTS)
def test_a_faulty_cell_refuses_a_job_in_parts(name: str) -> None:
    operation, key = IN_PARTS[name]
    last = [RECORDS.columns["last"].cell(value) for value in persons(60)["last"]]
    last[33] = damaged(last[33], -1)
    columns = {column: values for column, values in persons(60).items() if column != "last"}
    table = Table(columns=columns, sealed=SEALED, cuts=(20, 30), written={"last": last})
    run = job([table], operation, project_key=key).run_in_parts
    assert place(run, Reason.COLUMN_CELL_INVALID) == (2, 3, 3)


def test_a_wrong_key_refuses_a_job_in_parts() -> None:
    wrong = replace(RECORDS, ceks={OURS: bytes(32)})
    run = job([sealed(cuts=(20,))], COUNTED, statements=[wrong]).run_in_parts
    assert place(run, Reason.COLUMN_KEY_WRONG) == (0, 0, 0)


# ---------------------------------------------------------------------- outputs

BACK = Statement(
    columns={
        "record_id": Cells(cek=THEIRS, kind="varchar(64) utf-8"),
        "SOC": Cells(cek=OURS, kind="char(9) cp1252"),
        "last": Cells(cek=OURS, kind="nvarchar(60)", deterministic=True),
        "first": Cells(cek=THEIRS, kind="nvarchar(4)"),
    }
)


def goes(column: str, as_column: str, *, output: str = "result", keys: int = 1) -> SealedOutput:
    return SealedOutput(output=output, column=column, column_keys=keys, as_column=as_column)


def back(operation: Parameters, *outputs: SealedOutput, **changes: Any) -> ColumnJob:
    return job([sealed(**changes)], operation, statements=[RECORDS, BACK], outputs=outputs, project_key=bytes(32))


@pytest.mark.parametrize("in_parts", [False, True])
def test_results_go_back_as_cells(in_parts: bool) -> None:
    this = back(TOKENS, goes("last", "record_id"), goes("SOC", "SOC"), cuts=(20,) if in_parts else ())
    found = (this.run_in_parts if in_parts else this.run)()
    values = job([open_()], TOKENS, statements=(), project_key=bytes(32)).run()["result"]
    assert [field.type for field in found["result"].schema] == [
        pa.binary() if field.name in {"last", "SOC"} else field.type for field in values.schema
    ]
    assert BACK.columns["record_id"].plains(found["result"]["last"]) == _plaintexts(values["last"], "varchar(64) utf-8")
    assert BACK.columns["SOC"].plains(found["result"]["SOC"]) == _plaintexts(values["SOC"], "char(9) cp1252")
    assert found["result"]["DOB"] == values["DOB"]


def _plaintexts(column: pa.ChunkedArray, kind: str) -> list[bytes | None]:
    return [None if value is None else plaintext(value, kind) for value in column.to_pylist()]


KEEP = Deidentify(columns={**DROPPED, "last": "keep", "first": "keep", "SOC": "keep"})


def test_opened_values_go_back_in_the_cells_they_came_in() -> None:
    this = back(KEEP, goes("last", "last"))
    sent = this.tables[0].batch(this.statements)
    assert this.run()["result"]["last"].to_pylist() == sent["last"].to_pylist()


def test_a_value_under_another_key_was_not_opened() -> None:
    """`first` came in under another key than `last` goes out under, or in randomized cells."""
    assert place(back(KEEP, goes("first", "last")).run, Reason.COLUMN_CELL_INVALID) == (None, 0, None)


def test_a_value_that_was_made_is_not_sealed_deterministically() -> None:
    changed = Deidentify(columns={**DROPPED, "last": Mask(keep_first=3)})
    assert place(back(changed, goes("last", "last")).run, Reason.COLUMN_CELL_INVALID) == (None, 0, None)


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_value_that_does_not_fit_its_type_refuses_the_job(in_parts: bool) -> None:
    this = back(KEEP, goes("SOC", "SOC"), goes("last", "first"))
    run = this.run_in_parts if in_parts else this.run
    assert place(run, Reason.COLUMN_CELL_INVALID) == (None, 1, None)


def test_a_sealed_column_that_no_output_has_is_refused() -> None:
    assert refused(back(KEEP, goes("OLN", "SOC")).run).reason is Reason.SCHEMA_MISMATCH


def test_nothing_is_sealed_deterministically_in_parts() -> None:
    assert refused(back(KEEP, goes("last", "last")).loop).reason is Reason.BAD_PARAMETERS


def test_further_outputs_are_sealed_too() -> None:
    this = back(LINK, goes("left_id", "record_id", output="pairs"), goes("right_id", "record_id", output="pairs"))
    found = this.run()["pairs"]
    values = job([open_()], LINK, statements=()).run()["pairs"]
    assert found.num_rows > 0
    for name in ("left_id", "right_id"):
        assert BACK.columns["record_id"].plains(found[name]) == _plaintexts(values[name], "varchar(64) utf-8")
    assert found["probability"] == values["probability"]
