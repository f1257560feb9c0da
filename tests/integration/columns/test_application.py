"""An application from its table to its table: rows of a driver, a job, and cells that go back."""

import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from cji_client import connect
from cji_client.columns.back import CellRows
from cji_client.columns.cursors import rows_of
from cji_core.command import build
from cji_core.format.columns import ColumnEncryption
from cji_core.format.keys import load_signing_key
from cji_core.jose import public_jwk
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site
from tests.support.cell_writer import Cells
from tests.support.cells_of_form import TOKEN, columns_toml
from tests.support.column_keys import agency_key
from tests.support.encrypted_table import COLUMNS, EncryptedTable

NAMES = [f"PERSON{n % 5}" for n in range(40)]
JOB = """
[input]
schema = "person/1"
columns = "columns.toml"
rename = { id = "record_id" }

[[operations]]
kind = "deidentify"

[operations.columns]
record_id = "keep"
SOC = "drop"
last = "keep"
"""
RETURNED = TOKEN.replace('column = "token"', 'column = "last"')


@dataclass(frozen=True, kw_only=True)
class Agency:
    site: Site
    folder: Path
    cek: bytes
    database: sqlite3.Connection

    @property
    def cells(self) -> Cells:
        return Cells(cek=self.cek, kind="nvarchar(60)")

    def cji(self, *arguments: str) -> str:
        found = CliRunner().invoke(build(self.site.simulation.trust), arguments, catch_exceptions=False)
        assert found.exit_code == 0, found.output
        return found.output

    def rows(self) -> sqlite3.Cursor:
        """As an application gets them, with a connection of its own."""
        return sqlite3.connect(self.folder / "people.db").execute("SELECT id, SSN, LastName FROM people ORDER BY id")


@pytest.fixture(scope="module")
def agency(azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agency]:
    folder, cek = tmp_path_factory.mktemp("application"), secrets.token_bytes(32)
    with open_site(folder / "site", azure) as site, sqlite3.connect(folder / "people.db") as database:
        made = Agency(site=site, folder=folder, cek=cek, database=database)
        table = EncryptedTable(folder=folder, signing=load_signing_key(Path(site.profile.signing_key)))
        table.columns.write_text(columns_toml(("SSN", "SOC"), ("LastName", "last"), rest=RETURNED))
        keys = table.statement(
            cek=cek,
            wrapping=site.kek.wrapping,
            kek_id=site.cmk.kek_id,
            originating_ori="GA0600000",
            columns=[replace(each, encryption=ColumnEncryption.RANDOMIZED) for each in COLUMNS],
        )
        table.write(keys)
        policy = site.files.policy
        grant = f"[submitters.agencies.sealed_columns]\nsigning_key = '{public_jwk(agency_key().public_key())}'\n"
        policy.write_text(f'{policy.read_text()}\n{grant}statements = ["{keys.statement.sha384.hex()}"]\n')
        made.cji("reload", "--config", str(site.files.config))
        (folder / "job.toml").write_text(JOB)
        database.execute("CREATE TABLE people (id TEXT PRIMARY KEY, SSN BLOB, LastName BLOB, Token BLOB)")
        rows = ((f"p{n:02d}", made.cells.cell(f"{n:09d}"), made.cells.cell(name)) for n, name in enumerate(NAMES))
        database.executemany("INSERT INTO people (id, SSN, LastName) VALUES (?, ?, ?)", rows)
        database.commit()
        yield made


def texts(agency: Agency, cells: list[bytes | None]) -> list[str]:
    return [(agency.cells.plain(each) or b"").decode("utf-16-le") for each in cells]


def test_cells_go_from_the_table_into_the_table(agency: Agency) -> None:
    with (
        connect(agency.site.profile, trusts=[agency.site.simulation.trust]) as worker,
        worker.run(rows_of(agency.rows), agency.folder / "job.toml") as result,
    ):
        assert result.table().schema.field("last").type == pa.binary()
        rows = CellRows(result.batches(), agency.folder / "columns.toml", key="record_id")
        assert rows.names == ("Token",)
        agency.database.executemany("UPDATE people SET Token = ? WHERE id = ?", rows.parameters())
    found = agency.database.execute("SELECT Token, LastName FROM people ORDER BY id").fetchall()
    assert texts(agency, [token for token, _ in found]) == NAMES
    assert not {token for token, _ in found} & {name for _, name in found}  # randomized: none is the cell that it was


def test_files_have_cells_in_hexadecimal_and_bytes(agency: Agency) -> None:
    columns = ["id", "SSN", "LastName"]
    lines = [",".join(columns), *(f"{name},0x{ssn.hex()},{last.hex()}" for name, ssn, last in agency.rows())]
    (agency.folder / "people.csv").write_text("\n".join(lines))
    command = ["job", "run", str(agency.folder / "people.csv"), "--columns", str(agency.folder / "columns.toml")]
    command += ["--spec", str(agency.folder / "job.toml"), "--profile", str(agency.site.files.profile)]
    printed = agency.cji(*command, "--out", str(agency.folder / "out.csv"))
    assert "SSN: encrypted cells, sent as SOC without being opened, from hexadecimal" in printed
    written = [line.split(",") for line in (agency.folder / "out.csv").read_text().replace('"', "").split()]
    last = written[0].index("last")
    assert texts(agency, [bytes.fromhex(row[last].removeprefix("0x")) for row in written[1:]]) == NAMES
    assert all(row[last].startswith("0x01") for row in written[1:])
