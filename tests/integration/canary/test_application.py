"""The application that hands encrypted columns over: neither a value in them nor a key is ever in its memory.

A process does all that an application does: it reads rows of a driver and documents, seals jobs of both, takes a result
apart for its table, and keeps everything. Then all its memory is searched.
"""

import base64
import json
import os
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.format.columns import ColumnFormat, SqlType
from cji_core.format.keys import new_signing_key
from cji_core.jose import key_id, public_jwk
from cji_simulator.certificates import private_pem
from cji_simulator.scan import Canaries, ProcessScan, encodings, scan_process
from tests.support.cell_writer import Cells
from tests.support.cells_of_form import TOKEN, columns_toml
from tests.support.encrypted_table import COLUMNS, EncryptedTable
from tests.support.job_specs import head
from tests.support.paths import ROOT
from tests.support.private_files import put_private
from tests.support.rsa_keys import rsa_key

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="reading the memory of other processes needs root"),
]

APPLICATION = """
import json, sqlite3, sys
from pathlib import Path
import pyarrow as pa
from cji_client import load_spec
from cji_client.columns.back import CellRows
from cji_client.columns.cursors import rows_of
from cji_client.columns.documents import Documents
from cji_client.prepared import prepare
from cji_core.format.keys import PinnedKey, load_signing_key

folder, tokens, kept = Path(sys.argv[1]), json.loads(sys.argv[2]), []
for name in tokens:
    spec = load_spec(folder / name / "job.toml")
    columns = spec.input.columns
    if name == "sql":
        database = sqlite3.connect(folder / "people.db")
        source = rows_of(lambda: database.execute("SELECT id, SSN, LastName FROM people"))
    else:
        source = Documents(json.loads((folder / "people.json").read_text()), columns, plain=("/id",))
    kek = PinnedKey.check(spec.kek_id, (folder / "kek.jwk").read_text(), expected=spec.kek_thumbprint)
    job = prepare(source, spec).seal(kek, load_signing_key(folder / "signing.key"))
    cells = pa.array([bytes.fromhex(each) for each in tokens[name]], pa.binary())
    result = pa.table({"record_id": ["1", "2"], "cluster": cells}).to_batches()
    kept += [source, job, list(job.seal_part(0, source)), list(CellRows(result, columns, key="record_id"))]
    if name == "cosmos":
        kept += source.put(result, key="record_id")
print("done", flush=True)
sys.stdin.read()
"""
PATHS = {
    "sql": {"id": "record_id", "SSN": "SOC", "LastName": "last"},
    "cosmos": {"/id": "record_id", "/ssn": "SOC", "/last": "last"},
}
CLUSTER = TOKEN.replace('column = "token"', 'column = "cluster"')
KINDS = {"sql": "nvarchar(60)", "cosmos": "string"}


@dataclass(frozen=True, kw_only=True)
class Scanned:
    app: ProcessScan
    control: ProcessScan


def write_table(folder: Path, name: str, signing: ec.EllipticCurvePrivateKey, cek: bytes) -> None:
    """columns.toml, the keys and a job.toml of one table."""
    (folder / name).mkdir()
    table = EncryptedTable(folder=folder / name, signing=signing)
    cosmos = name == "cosmos"
    (identity, _), *encrypted = PATHS[name].items()
    table.columns.write_text(columns_toml(*encrypted, form="cosmos_db" if cosmos else "sql_server", rest=CLUSTER))
    stated = [replace(each, type=SqlType.parse(KINDS[name])) for each in COLUMNS]
    form = ColumnFormat.COSMOS_DB if cosmos else ColumnFormat.SQL_SERVER
    table.write(table.statement(cek=cek, format=form, columns=stated))
    jwk = public_jwk(rsa_key(bits=3072).public_key())
    (folder / "kek.jwk").write_text(jwk)
    (folder / name / "job.toml").write_text(
        head(recipient=jwk, kek_thumbprint=key_id(rsa_key(bits=3072).public_key()), valid_hours=2)
        + f'[input]\nschema = "person/1"\ncolumns = "columns.toml"\nrename = {{ "{identity}" = "record_id" }}\n'
        + '[[operations]]\nkind = "link"\n'
    )


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scanned]:
    folder, cek, signing = tmp_path_factory.mktemp("application"), secrets.token_bytes(32), new_signing_key()
    values = [f"CANARY{secrets.token_hex(8)}" for _ in range(2)]
    put_private(folder / "signing.key", private_pem(signing))
    cells = {name: [Cells(cek=cek, kind=kind).cell(value) or b"" for value in values] for name, kind in KINDS.items()}
    for name in cells:
        write_table(folder, name, signing, cek)
    with sqlite3.connect(folder / "people.db") as database:
        database.execute("CREATE TABLE people (id TEXT, SSN BLOB, LastName BLOB)")
        rows = ((str(at), cell, cell) for at, cell in enumerate(cells["sql"], 1))
        database.executemany("INSERT INTO people VALUES (?, ?, ?)", rows)
    coded = [base64.b64encode(cell).decode() for cell in cells["cosmos"]]
    documents = [{"id": str(at), "ssn": text, "last": text} for at, text in enumerate(coded, 1)]
    (folder / "people.json").write_text(json.dumps(documents))
    secret = {f"{value} {how}": data for value in values for how, data in encodings(value).items()}
    secret |= {"key": cek, "key in hexadecimal": cek.hex().encode()}
    tokens = json.dumps({name: [each.hex() for each in own] for name, own in cells.items()})
    command = [sys.executable, "-c", APPLICATION, str(folder), tokens]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as app:
        assert app.stdout is not None
        assert app.stdout.readline() == "done\n"
        present = Canaries({"cell": cells["sql"][0], "leaf": coded[0].encode()})
        yield Scanned(
            app=scan_process(app.pid, Canaries(secret), name="application"),
            control=scan_process(app.pid, present, name="application"),
        )
        app.communicate("")


def test_no_value_and_no_key_is_in_the_applications_memory(scanned: Scanned) -> None:
    assert scanned.app.bytes_read > 50 << 20
    assert scanned.app.refused == []
    assert scanned.app.hits == []


def test_the_search_finds_the_cells_themselves(scanned: Scanned) -> None:
    assert {hit.label for hit in scanned.control.hits} == {"cell", "leaf"}
