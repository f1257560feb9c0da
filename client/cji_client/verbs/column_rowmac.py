"""`cji columns rowmac`: MACs over the rows of an encrypted table, and a signed statement of its version."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
import pyarrow as pa

from cji_client.columns.errors import TableRefused
from cji_client.columns.file import ColumnsFile, load_columns
from cji_client.columns.master_keys import public_in, signer_in
from cji_client.columns.rowmac import TableCheck, TableMacs, check_table, load_key, new_key, with_macs
from cji_client.columns.table_statement import AGAIN, MOST_VERSION, TableStatement, load_statement, sign_table
from cji_client.errors import SpecError
from cji_client.files import read_file
from cji_client.sources import Batches
from cji_client.spec import InputSpec
from cji_client.verbs.column_answers import AddedRowMacs, FaultyRow, NewRowMacKey, VerifiedRowMacs
from cji_core.command.common import FILE, explained, prompt
from cji_core.command.json_output import answers, print_answer
from cji_core.command.output import RESULT, WORKBOOK, Target, write_batches

_NEW: Final = click.Path(dir_okay=False, path_type=Path)
_VERSION: Final = click.IntRange(1, MOST_VERSION)
_READ: Final = (".parquet", ".arrow", ".arrows", ".csv", ".tsv", ".tab", ".psv", ".txt", ".dat")
_WRITTEN: Final = (".parquet", ".arrow", ".csv")
_LISTED: Final = 100
_COLUMNS: Final = click.option("--columns", "described", type=FILE, required=True, help="The table's columns.toml.")
_KEY: Final = click.option(
    "--key", "key_file", type=FILE, required=True, help="The key of MACs, of `cji columns rowmac key`."
)


@click.group()
def rowmac() -> None:
    """Find what a database's administrator did to the rows of an encrypted table.

    A cell proves that its writer had the key, not which row, column, table or time it is of. The writer of the rows
    adds a column `row_mac` to each version of the table, and signs the version. A reader who has both finds cells that
    were moved or put back, and rows that were added or removed.

    It does not protect against who has the key of the MACs, and the worker does not verify it: verify a table, then
    send that file. A job takes no column of this name: drop = ["row_mac"] in [input] of its spec.
    """


@rowmac.command()
@click.argument("file", type=_NEW)
@answers(NewRowMacKey)
@explained
def key(file: Path, *, as_json: bool) -> None:
    """Write a new key of MACs into FILE, private to its owner. Make one for each table, away from the database.

    \b
    Example:
      cji columns rowmac key persons.mac.key
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    new_key(file)
    print_answer(NewRowMacKey(file=str(file)), f"{file}: a key of row MACs", as_json=as_json)


@rowmac.command()
@click.argument("table", type=FILE)
@_COLUMNS
@_KEY
@click.option("--id", "row_id", required=True, help="The column that names a row: text or integers.")
@click.option("--version", type=_VERSION, required=True, help="The table's version: above all before it.")
@click.option("--out", type=_NEW, required=True, help="A new table: .parquet, .arrow or .csv.")
@click.option("--signing-key", type=FILE, required=True, help="The writer's: a PEM file, or TOML of a vault or token.")
@answers(AddedRowMacs)
@explained
def add(
    table: Path,
    *,
    described: Path,
    key_file: Path,
    row_id: str,
    version: int,
    out: Path,
    signing_key: Path,
    as_json: bool,
) -> None:
    """Write TABLE with the column row_mac as --out, and beside it OUT.rowmac.json, the signed statement.

    Do it where the rows are written, with rows that the writer knows, or that were verified just before: a MAC over
    what the database returns vouches for whatever its administrator made of it.

    \b
    Example:
      cji columns rowmac add persons.parquet --columns columns.toml --key persons.mac.key --id PersonId \\
          --version 7 --out persons7.parquet --signing-key signing.key
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    if out.suffix.lower() not in _WRITTEN:
        raise SpecError(f"{out.name} is not one of {', '.join(_WRITTEN)}", remedy="Choose another --out.")
    file, key_ = load_columns(described), load_key(key_file)
    given = _table(table, described, file)
    macs = TableMacs(given.schema, file, key_, row_id=row_id, version=version)
    signer = signer_in(signing_key, prompt)
    target = Target(out, suffix=WORKBOOK)
    binary = [each.name for each in given.schema if _is_binary(each.type)]
    with target.writing() as folder:
        try:
            write_batches(folder / f"{RESULT}{target.suffix}", with_macs(given, macs), cells=(*binary, "row_mac"))
        except pa.ArrowException as error:
            remedy = "Write another kind of file."
            raise SpecError(f"{out.name} cannot be written ({type(error).__name__})", remedy=remedy) from None
        statement = macs.statement(file, version)
        (folder / "rowmac.json").write_bytes(sign_table(statement, signer).encode())
    written = out.with_name(f"{out.stem}.rowmac.json")
    answer = AddedRowMacs(
        file=str(out),
        statement=str(written),
        table=file.table,
        version=version,
        rows=statement.rows,
        columns=statement.columns,
    )
    text = f"{out}: {statement.rows} rows of {file.table}, version {version}, MACs over {', '.join(statement.columns)}"
    print_answer(answer, f"{text}\n{written}: the statement", as_json=as_json)


@rowmac.command()
@click.argument("table", type=FILE)
@_COLUMNS
@_KEY
@click.option("--statement", type=FILE, required=True, help="The statement that `add` wrote.")
@click.option("--signing-key", "public", type=FILE, required=True, help="The public half of the writer's: PEM or JWK.")
@click.option("--least-version", "least", type=_VERSION, required=True, help="The version that you know of.")
@answers(VerifiedRowMacs)
@explained
def verify(
    table: Path,
    *,
    described: Path,
    key_file: Path,
    statement: Path,
    public: Path,
    least: int,
    as_json: bool,
) -> None:
    """Compare TABLE with the statement of its version. Exit status 3: it is not as its writer signed it.

    Rows are numbered from 0. --least-version comes from the writer, not from the database: an old table with its old
    statement is whole, and only its version shows it.

    \b
    Example:
      cji columns rowmac verify persons7.parquet --columns columns.toml --key persons.mac.key \\
          --statement persons7.rowmac.json --signing-key signing.key.pub --least-version 7
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    file, key_ = load_columns(described), load_key(key_file)
    stated = load_statement(statement).require(public_in(public), table=file.table, least=least)
    given = _table(table, described, file)
    found = check_table(given, file, key_, stated)
    answer = _answer(given.schema.names.index(stated.id), stated, found)
    lines = [
        f"{stated.table}, version {stated.version} of {stated.created:%Y-%m-%d %H:%M} UTC: {found.rows} rows, "
        f"{stated.rows} signed; ids in column {answer.id_position}",
        *(f"row {each.row}: {each.fault}" for each in answer.faulty),
        *answer.findings,
    ]
    print_answer(answer, "\n".join(lines), as_json=as_json)
    if not answer.as_signed:
        raise TableRefused(f"{table.name} is not the table that was signed", remedy=f"Do not use it. {AGAIN}")


def _table(path: Path, described: Path, file: ColumnsFile) -> Batches:
    if path.suffix.lower() not in _READ:
        raise SpecError(f"{path.name} is not one of {', '.join(_READ)}", remedy="Export the table as one of them.")
    found = read_file(path, InputSpec(schema=file.schema, columns=described))()
    return replace(found, batches=_valid(found.batches, path))


def _valid(batches: Iterator[pa.RecordBatch], path: Path) -> Iterator[pa.RecordBatch]:
    """The same batches, the buffers of which were checked: a file of Arrow can have any offsets."""
    for batch in batches:
        try:
            batch.validate(full=True)
        except pa.ArrowInvalid:
            raise SpecError(f"{path.name} has values that are not of their type") from None
        yield batch


def _is_binary(kind: pa.DataType) -> bool:
    return any(
        each(kind)
        for each in (
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_fixed_size_binary,
            pa.types.is_binary_view,
        )
    )


def _answer(id_position: int, stated: TableStatement, found: TableCheck) -> VerifiedRowMacs:
    faults = {
        "mac": "another MAC: a cell or an id was changed or moved, or it is of another version or key",
        "no id": "no id",
        "repeated id": "the id of a row before it",
    }
    findings = list[str]()
    good = found.rows - len(found.faults)
    if len(found.faults) > _LISTED:
        findings.append(f"{len(found.faults)} rows are not as signed; the first {_LISTED} are listed")
    if good < stated.rows:
        findings.append(f"{stated.rows - good} of the signed rows are missing, or not as signed")
    if found.rows > stated.rows:
        findings.append(f"{found.rows - stated.rows} rows more than were signed")
    if not found.same and not found.faults and found.rows == stated.rows:
        findings.append("other rows of this version: these have right MACs and are not those that were signed")
    return VerifiedRowMacs(
        table=stated.table,
        version=stated.version,
        created=stated.created.isoformat(),
        as_signed=found.same and not found.faults,
        rows=found.rows,
        rows_signed=stated.rows,
        id_position=id_position,
        rows_faulty=len(found.faults),
        faulty=tuple(FaultyRow(row=each.row, fault=faults[each.fault]) for each in found.faults[:_LISTED]),
        findings=tuple(findings),
    )
