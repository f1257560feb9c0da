"""`cji columns rowmac`: what was done to the rows of an encrypted table is found, by row."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given
from hypothesis import strategies as st

from cji_attestation import AZURE_US
from cji_client.columns.rowmac import ROW_MAC, encoded_row, load_key
from cji_client.columns.table_statement import parse_statement
from cji_client.errors import SpecError
from cji_client.sources import fit
from cji_client.spec import InputSpec
from cji_core.command import build
from cji_core.format.keys import new_signing_key, save_private_key
from cji_core.jose import public_jwk
from cji_core.pairs import SigningPair
from cji_core.strict import b64url, b64url_decode
from tests.support.cells_of_form import cell, columns_toml, unusable

COLUMNS = (("SSN", "SOC"), ("LastName", "last"))


def table(*rows: tuple[object, bytes | None, bytes | None]) -> pa.Table:
    ids, ssn, last = zip(*rows, strict=True)
    return pa.table({"Id": ids, "SSN": pa.array(ssn, pa.binary()), "LastName": pa.array(last, pa.binary())})


ROWS = table((2, cell(1), cell(2)), (1, cell(3), None), (30, None, cell(4)))


class Writer:
    """A folder with what the writer of a table has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "columns.toml").write_text(columns_toml(*COLUMNS))
        for name in ("mac.key", "other.key"):
            assert self.cji("key", folder / name).exit_code == 0
        for name in ("signing", "stranger"):
            key = new_signing_key()
            save_private_key(key, folder / f"{name}.pem", passphrase=None)
            (folder / f"{name}.pub").write_text(public_jwk(key.public_key()))

    def cji(self, *arguments: str | Path) -> Result:
        words = ["columns", "rowmac", *map(str, arguments)]
        return CliRunner().invoke(build(AZURE_US), words, catch_exceptions=False)

    def add(
        self, rows: pa.Table, out: str = "t.parquet", *, version: int = 7, table: str = "in.parquet", row_id: str = "Id"
    ) -> Result:
        if table == "in.parquet":
            pq.write_table(rows, self.folder / table)
        return self.cji(
            "add", self.folder / table, "--columns", self.folder / "columns.toml", "--key", self.folder / "mac.key",
            "--id", row_id, "--version", str(version), "--out", self.folder / out,
            "--signing-key", self.folder / "signing.pem",
        )  # fmt: skip

    def verify(
        self,
        rows: pa.Table | str,
        *,
        least: int = 7,
        key: str = "mac.key",
        statement: str = "t",
        signer: str = "signing",
    ) -> Result:
        name = rows if isinstance(rows, str) else "given.parquet"
        if not isinstance(rows, str):
            pq.write_table(rows, self.folder / name)
        return self.cji(
            "verify", self.folder / name, "--columns", self.folder / "columns.toml", "--key", self.folder / key,
            "--statement", self.folder / f"{statement}.rowmac.json", "--signing-key", self.folder / f"{signer}.pub",
            "--least-version", str(least), "--json",
        )  # fmt: skip

    def found(self, rows: pa.Table | str, **options: Any) -> dict[str, Any]:
        """What a refused table shows."""
        result = self.verify(rows, **options)
        assert result.exit_code == 3, result.output
        assert "is not the table that was signed" in result.stderr
        return dict(json.loads(result.stdout))

    def faulty(self, rows: pa.Table | str, **options: Any) -> list[int]:
        return [each["row"] for each in self.found(rows, **options)["faulty"]]


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    made = Writer(tmp_path)
    assert made.add(ROWS).exit_code == 0
    return made


def signed(writer: Writer, name: str = "t.parquet") -> pa.Table:
    return pq.read_table(writer.folder / name)


def with_cell(rows: pa.Table, column: str, row: int, value: object) -> pa.Table:
    values = rows[column].to_pylist()
    values[row] = value
    return rows.set_column(rows.schema.names.index(column), column, pa.array(values, rows.schema.field(column).type))


def test_a_table_as_signed_is_verified(writer: Writer) -> None:
    assert (writer.folder / "mac.key").stat().st_mode & 0o777 == 0o600
    result = writer.verify("t.parquet")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["as_signed"], answer["rows"], answer["rows_signed"], answer["version"]) == (True, 3, 3, 7)
    shuffled = signed(writer).take([2, 0, 1])
    assert writer.verify(shuffled).exit_code == 0


def test_files_of_all_kinds_have_the_same_macs(writer: Writer) -> None:
    assert writer.add(ROWS, "c.csv").exit_code == 0
    assert writer.verify("c.csv").exit_code == 0
    assert (writer.folder / "c.csv").read_text().splitlines()[1].count("0x") == 3
    assert writer.add(ROWS, "a.arrow", table="c.csv").exit_code == 0  # from text, with MACs of before
    arrow = pa.ipc.open_file(writer.folder / "a.arrow").read_all()
    assert arrow[ROW_MAC].to_pylist() == signed(writer)[ROW_MAC].to_pylist()
    assert arrow.schema.names.count(ROW_MAC) == 1
    assert writer.verify("a.arrow").exit_code == 0


def test_cells_that_were_exchanged_are_found(writer: Writer) -> None:
    rows = signed(writer)
    between_rows = with_cell(with_cell(rows, "SSN", 0, cell(3)), "SSN", 1, cell(1))
    assert writer.faulty(between_rows) == [0, 1]
    between_columns = with_cell(with_cell(rows, "SSN", 0, cell(2)), "LastName", 0, cell(1))
    assert writer.faulty(between_columns) == [0]
    assert writer.faulty(with_cell(rows, "SSN", 0, None)) == [0]
    names = ["Id", "LastName", "SSN", ROW_MAC]
    assert writer.faulty(rows.rename_columns(names)) == [0, 1, 2]


def test_cells_and_rows_of_an_old_version_are_found(writer: Writer) -> None:
    changed = with_cell(ROWS, "SSN", 0, cell(9))
    assert writer.add(changed, "n.parquet", version=8).exit_code == 0
    new = signed(writer, "n.parquet")
    assert writer.faulty(with_cell(new, "SSN", 0, cell(1)), statement="n", least=8) == [0]
    old = pa.concat_tables([signed(writer).slice(0, 1), new.slice(1)])
    assert writer.faulty(old, statement="n", least=8) == [0]
    found = writer.found("t.parquet", statement="n", least=8)
    assert found["rows_faulty"] == 3
    assert found["findings"] == ["3 of the signed rows are missing, or not as signed"]


def test_an_old_table_with_its_statement_is_found_by_version(writer: Writer) -> None:
    assert writer.verify("t.parquet", least=7).exit_code == 0
    result = writer.verify("t.parquet", least=8)
    assert result.exit_code == 3
    assert "the statement is of version 7, before 8" in result.stderr


def test_missing_and_added_rows_are_found(writer: Writer) -> None:
    rows = signed(writer)
    missing = writer.found(rows.slice(1))
    assert (missing["faulty"], missing["findings"]) == ([], ["1 of the signed rows are missing, or not as signed"])
    added = with_cell(rows.slice(0, 1), "Id", 0, 5)
    found = writer.found(pa.concat_tables([rows, added]))
    assert [each["row"] for each in found["faulty"]] == [3]
    assert found["findings"] == ["1 rows more than were signed"]
    twice = writer.found(pa.concat_tables([rows.slice(1), rows.slice(1, 1)]))
    assert twice["faulty"] == [{"row": 2, "fault": "the id of a row before it"}]
    assert twice["findings"] == ["1 of the signed rows are missing, or not as signed"]
    assert writer.found(rows.slice(0, 0))["as_signed"] is False


def test_rows_with_right_macs_that_were_not_signed_are_found(writer: Writer) -> None:
    assert writer.add(table((2, cell(1), cell(2)), (1, cell(3), None), (31, None, cell(4))), "s.parquet").exit_code == 0
    found = writer.found("s.parquet")
    assert found["faulty"] == []
    assert found["findings"][0].startswith("other rows of this version")


def test_a_damaged_mac_is_found(writer: Writer) -> None:
    rows = signed(writer)
    for value in (None, b"", bytes(32), b"x" * 64, rows[ROW_MAC][1].as_py()):
        assert writer.faulty(with_cell(rows, ROW_MAC, 0, value)) == [0]
    without = writer.verify(rows.drop_columns([ROW_MAC]))
    assert (without.exit_code, "the table has no column row_mac" in without.stderr) == (2, True)


def test_another_key_is_found(writer: Writer) -> None:
    assert writer.faulty("t.parquet", key="other.key") == [0, 1, 2]
    result = writer.verify("t.parquet", signer="stranger")
    assert (result.exit_code, "not signed by this key" in result.stderr) == (3, True)


def test_a_pair_signs_and_its_half_does_not_verify(writer: Writer) -> None:
    pair = SigningPair.generate()
    save_private_key(pair, writer.folder / "signing.pem.new", passphrase=None)
    (writer.folder / "signing.pem.new").replace(writer.folder / "signing.pem")
    (writer.folder / "pair.pub").write_text(public_jwk(pair.public_key()))
    (writer.folder / "half.pub").write_text(public_jwk(pair.p384.public_key()))
    assert writer.add(ROWS, "h.parquet").exit_code == 0
    assert writer.verify("h.parquet", statement="h", signer="pair").exit_code == 0
    for signer in ("half", "signing"):
        assert "not signed by this key" in writer.verify("h.parquet", statement="h", signer=signer).stderr
    assert "not signed by this key" in writer.verify("t.parquet", signer="pair").stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"rows":3', b'"rows":2'), (b'"version":7', b'"version":9'), (b"Persons", b"Orders."),
        (b'"id":"Id"', b'"id":"SSN"'), (b'["LastName","SSN"]', b'["SSN"]'), (b'sha384":"', b'sha384":"0'),
        (b'"rows":3', b'"rows":3.0'), (b'"rows":3', b'"rows": 3'), (b'"rows":3', b'"rows":3,"x":1'),
    ],
)  # fmt: skip
def test_a_changed_statement_is_refused(writer: Writer, old: bytes, new: bytes) -> None:
    file = writer.folder / "t.rowmac.json"
    found = json.loads(file.read_text())
    data = b64url_decode(found["statement"])
    assert data.count(old) == 1
    file.write_text(json.dumps({**found, "statement": b64url(data.replace(old, new))}))
    result = writer.verify("t.parquet")
    assert result.exit_code in (2, 3)
    assert "not signed by this key" in result.stderr or "has no statement of a table's version" in result.stderr


def test_another_table_is_refused(writer: Writer) -> None:
    path = writer.folder / "columns.toml"
    path.write_text(path.read_text().replace("cjis.dbo.Persons", "cjis.dbo.Others"))
    result = writer.verify("t.parquet")
    assert (result.exit_code, "is of cjis.dbo.Persons, not of cjis.dbo.Others" in result.stderr) == (3, True)
    assert writer.add(ROWS, "o.parquet").exit_code == 0  # its MACs under the statement of the first
    path.write_text(path.read_text().replace("cjis.dbo.Others", "cjis.dbo.Persons"))
    assert writer.faulty("o.parquet") == [0, 1, 2]


def test_a_column_that_was_not_signed_is_refused(writer: Writer) -> None:
    columns = (*COLUMNS, ("First", "first"))
    (writer.folder / "columns.toml").write_text(columns_toml(*columns))
    rows = signed(writer)
    result = writer.verify(rows.append_column("First", rows["SSN"]))
    assert (result.exit_code, "differ in the encrypted columns First" in result.stderr) == (3, True)
    lacking = writer.verify(rows)
    assert (lacking.exit_code, "the table has no column first" in lacking.stderr) == (2, True)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (table((1, cell(1), None), (2, cell(2), None), (1, cell(3), None)), "row 2 has the id of a row before it"),
        (table(("a", cell(1), None), (None, cell(2), None)), "row 1 has no id"),
        (table(("a", cell(1), None), ("", cell(2), None)), "row 1 has no id"),
        (table((1.5, cell(1), None)), "Id is neither text nor integers"),
        (table((1, cell(1), b"plain text")), "row 0, column LastName (last): found 10 bytes"),
        (table((1, cell(1), None)).drop_columns(["SSN"]), "the table has no column SOC"),
        (table((1, cell(1), None)).append_column("SSN", pa.array([cell(2)])), "the table has twice the column SSN"),
    ],
)
def test_tables_that_get_no_macs(writer: Writer, rows: pa.Table, says: str) -> None:
    result = writer.add(rows, "bad.parquet")
    assert (result.exit_code, says in result.stderr) == (2, True), result.stderr
    assert not list(writer.folder.glob("*bad*"))


def test_an_encrypted_column_is_no_id(writer: Writer) -> None:
    assert "SSN is encrypted" in writer.add(ROWS, "bad.parquet", row_id="SSN").stderr
    assert "the table has no column No" in writer.add(ROWS, "bad.parquet", row_id="No").stderr


def test_nothing_is_overwritten_and_other_kinds_are_refused(writer: Writer) -> None:
    assert "exists" in writer.add(ROWS).stderr
    assert "is not one of .parquet" in writer.add(ROWS, "t.xlsx").stderr
    (writer.folder / "t.json").write_text("{}")
    assert "is not one of .parquet" in writer.verify("t.json").stderr


def test_values_that_are_not_of_their_type_are_refused(writer: Writer) -> None:
    rows = signed(writer)
    offsets = pa.array(range(4), pa.int32()).buffers()[1]
    unfit = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"a\xffc")])
    batch = rows.set_column(0, "Id", unfit).combine_chunks().to_batches()[0]
    with pa.ipc.new_file(writer.folder / "unfit.arrow", batch.schema) as file:
        file.write_batch(batch)
    result = writer.verify("unfit.arrow")
    assert (result.exit_code, "unfit.arrow has values that are not of their type" in result.stderr) == (2, True)


def test_a_key_file_has_a_key_of_macs_alone(writer: Writer) -> None:
    assert len(load_key(writer.folder / "mac.key")) == 32
    assert load_key(writer.folder / "mac.key") != load_key(writer.folder / "other.key")
    for text in (b"", bytes(32), b"cji-row-mac-key/1 " + b"A" * 42 + b"\n", b"cji-row-mac-key/1 " + b"A" * 42 + b"B\n"):
        (writer.folder / "bad.key").write_bytes(text)
        (writer.folder / "bad.key").chmod(0o600)
        with unusable(SpecError, "bad.key has no key of row MACs", remedy="cji columns rowmac key"):
            load_key(writer.folder / "bad.key")
    assert "exists" in writer.cji("key", writer.folder / "mac.key").stderr


def test_a_job_drops_the_column_of_macs(writer: Writer) -> None:
    spec = InputSpec(schema="person/1", columns=writer.folder / "columns.toml", rename={"Id": "record_id"})
    with pytest.raises(SpecError, match="unknown: row_mac"):
        fit(signed(writer), spec)
    dropped = InputSpec(
        schema="person/1", columns=writer.folder / "columns.toml", rename={"Id": "record_id"}, drop=(ROW_MAC,)
    )
    assert fit(signed(writer), dropped).sealed == ("SOC", "last")


def test_every_long_list_of_faulty_rows_is_cut(writer: Writer) -> None:
    rows = table(*((at, cell(at), None) for at in range(101)))
    assert writer.add(rows, "m.parquet").exit_code == 0
    found = writer.found("m.parquet", statement="m", key="other.key")
    assert (found["rows_faulty"], len(found["faulty"])) == (101, 100)
    assert found["findings"][0] == "101 rows are not as signed; the first 100 are listed"


def test_a_statement_is_bounded() -> None:
    with pytest.raises(SpecError, match="no statement"):
        parse_statement(b" " * (1 << 19))


_ROW = st.fixed_dictionaries(
    {
        "table": st.text("ab", min_size=1, max_size=3),
        "version": st.integers(1, 3),
        "row_id": st.binary(min_size=1, max_size=3),
        "cells": st.dictionaries(st.text("ab", max_size=2), st.none() | st.binary(max_size=3), max_size=3),
    }
)


@given(_ROW, _ROW)
@example(
    {"table": "a", "version": 1, "row_id": b"1", "cells": {"a": None}},
    {"table": "a", "version": 1, "row_id": b"1", "cells": {"a": b""}},
)
@example(
    {"table": "a", "version": 1, "row_id": b"1", "cells": {"a": b"x", "b": None}},
    {"table": "a", "version": 1, "row_id": b"1", "cells": {"a": None, "b": b"x"}},
)
@example(
    {"table": "a", "version": 1, "row_id": b"1a", "cells": {"b": b"x"}},
    {"table": "a", "version": 1, "row_id": b"1", "cells": {"ab": b"x"}},
)
@example(
    {"table": "a", "version": 1, "row_id": b"1", "cells": {"a": b"x"}},
    {"table": "a", "version": 1, "row_id": b"1", "cells": {"b": b"x"}},
)
def test_no_two_rows_have_one_encoding(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (encoded_row(**one) == encoded_row(**other)) is (one == other)
