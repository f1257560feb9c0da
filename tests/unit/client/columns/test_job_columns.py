"""From columns.toml and the keys of a table to the header of a job, or to a refusal before anything is sent."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cji_client.columns.keys_file import load_keys
from cji_client.errors import SpecError
from cji_client.prepared import prepare
from cji_client.spec import InputSpec, SideSpec
from cji_core.format.columns import ColumnRight
from cji_core.format.envelope import open_dek, signer_thumbprint
from cji_core.format.job import SealedOutput, SizeClass, parse
from cji_core.format.keys import new_signing_key
from cji_core.operations.screen import Screen
from cji_core.operations.validate import Validate
from cji_core.strict import b64url
from cji_core.suites import Suite
from tests.support.cells_of_form import TOKEN, cell, columns_toml, unusable
from tests.support.column_keys import column, worker_key
from tests.support.encrypted_table import COLUMNS, NOW, EncryptedTable
from tests.support.job_specs import KEK_ID

COMPARED = [replace(each, rights=each.rights | {ColumnRight.OPEN, ColumnRight.COMPARE}) for each in COLUMNS]
RETURNED = TOKEN.replace('column = "token"', 'column = "record_id"')
NCIC = (Validate(rule_set="ncic/1"),)
TABLE = pa.table(
    {"id": ["a", "b"], "SSN": pa.array([cell(1), None], pa.binary()), "LastName": pa.array([cell(2)] * 2, pa.binary())}
)


@pytest.fixture
def table(tmp_path: Path) -> EncryptedTable:
    made = EncryptedTable(folder=tmp_path, signing=new_signing_key())
    made.columns.write_text(columns_toml(("SSN", "SOC"), ("LastName", "last"), rest=RETURNED))
    made.write(made.statement())
    return made


def test_the_header_states_columns_keys_and_outputs(table: EncryptedTable) -> None:
    job = table.sealed(TABLE)
    header = parse(job.header.data)
    assert header.size_class is SizeClass.POWER_OF_TWO
    assert header.column_keys == (load_keys(table.folder / "persons.keys.json"),)
    [part] = header.inputs
    assert (part.sealed_columns, part.column_keys) == (("SOC", "last"), 0)
    assert header.sealed_outputs == (
        SealedOutput(output="result", column="record_id", column_keys=0, as_column="person_token"),
    )
    dek = open_dek(worker_key(), header.wrapped_dek, header.suite)
    assert b"".join(job.seal_part(0, TABLE)).find(cell(2)) < 0  # the whole is sealed as every job is
    assert len(dek) == 32


def test_columns_that_the_input_lacks_are_not_stated(table: EncryptedTable) -> None:
    table.columns.write_text(columns_toml(("SSN", "SOC"), ("LastName", "last")))
    job = table.sealed(TABLE.drop_columns(["SSN"]), operations=NCIC)
    assert job.header.inputs[0].sealed_columns == ("last",)
    with unusable(SpecError, "records has the encrypted columns SOC, last, and the job was sealed for last"):
        job.seal_part(0, TABLE)


def test_columns_are_compared_only_where_that_is_stated(table: EncryptedTable) -> None:
    side = SideSpec(file=Path("x"), schema="person/1", rename={"id": "record_id"})
    prepared = prepare(TABLE, table.spec(sides={"link_to": side}), sides={"link_to": pa.table({"id": ["a"]})})
    with unusable(
        SpecError, "a column without the right compare may not meet unsealed values: SOC", remedy="cji columns rewrap"
    ):
        table.seal(prepared)
    table.write(table.statement(columns=COMPARED))
    assert table.seal(prepared).header.column_keys


@pytest.mark.parametrize(
    ("changed", "says", "remedy"),
    [
        ('column = "token"', "no column token in its output result", "cji schema show person/1"),
        ('output = "hits"\ncolumn = "record_id"', "no output hits", "It has result, row_status"),
    ],
)
def test_results_are_columns_that_the_job_makes(table: EncryptedTable, changed: str, says: str, remedy: str) -> None:
    text = table.columns.read_text()
    wrong = 'output = "result"\ncolumn = "record_id"' if "hits" in changed else 'column = "record_id"'
    table.columns.write_text(text.replace(wrong, changed))
    with unusable(SpecError, says, remedy=remedy):
        table.sealed(TABLE)


def test_a_sealed_reference_never_stays_resident(table: EncryptedTable) -> None:
    text = table.columns.read_text().replace("person/1", "hotfile/1")
    table.columns.write_text(text)
    side = SideSpec(file=Path("x"), schema="hotfile/1", columns=table.columns, rename={"id": "record_id"})
    screen = Screen(preset="ncic_qw_expanded_dob", retain_seconds=60)
    spec = table.spec(input=InputSpec(schema="person/1"), operations=(screen,), sides={"reference": side})
    prepared = prepare(pa.table({"record_id": ["a"]}), spec, sides={"reference": TABLE})
    table.write(table.statement(columns=COMPARED))
    with unusable(SpecError, "may not stay resident", remedy="Remove retain_seconds"):
        table.seal(prepared)


def test_inputs_of_one_table_have_their_keys_once(table: EncryptedTable) -> None:
    table.write(table.statement(columns=COMPARED))
    input_spec = table.spec().input
    side = SideSpec(file=Path("x"), schema="person/1", columns=table.columns, rename={"id": "record_id"})
    spec = table.spec(sides={"link_to": side})
    header = table.seal(prepare(TABLE, spec, sides={"link_to": TABLE})).header
    assert [(each.name, each.sealed_columns, each.column_keys) for each in header.inputs] == [
        ("link_to", ("SOC", "last"), 0),
        ("records", ("SOC", "last"), 0),
    ]
    assert len(header.column_keys) == 1
    other = table.folder / "other"
    other.mkdir()
    second = replace(table, folder=other)
    second.columns.write_text(columns_toml(("SSN", "SOC"), ("LastName", "last")).replace("Persons", "Others"))
    second.write(second.statement(table="cjis.dbo.Others", columns=COMPARED))
    side = SideSpec(file=Path("x"), schema="person/1", columns=second.columns, rename=input_spec.rename)
    spec = table.spec(sides={"link_to": side})
    header = table.seal(prepare(TABLE, spec, sides={"link_to": TABLE})).header
    assert [each.statement.table for each in header.column_keys] == ["cjis.dbo.Others", "cjis.dbo.Persons"]
    assert [each.column_keys for each in header.inputs] == [0, 1]
    assert [each.column_keys for each in header.sealed_outputs] == [1]


def test_exact_sizes_are_refused_before_anything_is_read(table: EncryptedTable) -> None:
    with unusable(SpecError, 'size_class = "exact" shows how long results are', remedy="Remove size_class"):
        prepare(lambda: pytest.fail("it was read"), table.spec(size_class="exact"))
    plain = InputSpec(schema="person/1", rename={"id": "record_id"}, drop=("SSN", "LastName"))
    job = table.sealed(TABLE, input=plain, operations=NCIC)
    assert job.header.size_class is SizeClass.EXACT
    assert job.header.column_keys == ()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"originating_ori": "CA0190001"}, "the statement is of another agency"),
        ({"purpose_codes": ["E"]}, "the statement is for other purposes"),
        ({"submitters": [b"x" * 32]}, "the statement is for other submitters"),
        ({"kek_id": KEK_ID[:-1] + "0"}, "the statement is for another key of a worker"),
        ({"not_after": NOW + timedelta(hours=1)}, "the statement ends before the job may"),
        ({"table": "cjis.dbo.Others"}, "has the keys of cjis.dbo.Others, not of cjis.dbo.Persons"),
        ({"columns": COLUMNS[1:]}, "do not allow to open SOC"),
        (
            {"columns": (column("SOC", "date", rights=frozenset({ColumnRight.SEAL})), *COLUMNS[1:])},
            "do not allow to open SOC",
        ),
        ({"columns": COLUMNS[:2]}, "do not allow to seal person_token"),
    ],
)
def test_keys_that_do_not_serve_the_job_are_refused(table: EncryptedTable, changes: dict[str, Any], says: str) -> None:
    table.write(table.statement(**changes))
    with unusable(SpecError, says, remedy="cji columns rewrap") as caught:
        table.sealed(TABLE)
    submitter = b64url(signer_thumbprint(table.signing.public_key(), Suite.CLASSICAL_1))
    assert (f"Its submitter is {submitter}." in caught.value.remedy) is ("do not serve this job" in str(caught.value))


@pytest.mark.parametrize(
    "members", [{"signature": "!"}, {"statement": b64url(b"x")}, {"more": "x"}, {"sealed_keys": b64url(b"x" * 59)}]
)
def test_a_file_that_holds_no_keys_is_refused(table: EncryptedTable, members: dict[str, str]) -> None:
    table.write(table.statement(), **members)
    with unusable(SpecError, "persons.keys.json has no keys of columns"):
        table.sealed(TABLE)
    (table.folder / "persons.keys.json").unlink()
    with unusable(SpecError, "persons.keys.json cannot be read"):
        table.sealed(TABLE)
