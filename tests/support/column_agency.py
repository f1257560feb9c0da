"""An agency with sealed columns in its database, and its steps up to a job, by the real commands.

`ColumnAgency.prepare` and `prepare_container` go from the export of a catalogue to columns.toml and its sealed keys;
`grant` puts the statements into the worker's policy and reloads it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cji_core.command import build
from cji_core.format.columns import SqlType
from cji_core.format.envelope import signer_thumbprint
from cji_core.format.keys import load_signing_key
from cji_core.strict import b64url
from cji_core.suites import Suite
from cji_simulator.site import Site
from tests.support.always_encrypted import Cosmos, Tedious
from tests.support.rsa_keys import rsa_key
from tests.support.sealed_documents import Container
from tests.support.sealed_tables import SealedTable, Sql, database_name

__all__ = ["MASTER_KEY", "ColumnAgency", "Result", "catalogue", "master_key_pem"]

MASTER_KEY = "https://fulton.vault.azure.net/keys/column-master/0123456789abcdef0123456789abcdef"
Result = tuple[str, str, str]
"""An output, its column, and the column of the table that it is sealed as."""


class ColumnAgency:
    """Everything that the agency has: master key, list of digests, signing key."""

    def __init__(self, site: Site, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.site, self.folder = site, folder
        self.master_key, self.digests = folder / "cmk.pem", folder / "cek-digests.txt"
        self.master_key.touch(mode=0o600)
        self.master_key.write_bytes(master_key_pem())
        self.cji("key", "new-signing", str(folder / "agency.key"))
        self._policies: list[dict[str, Any]] = []
        (folder / "worker.jwk").write_text(json.dumps(site.cmk.public_jwk))

    def cji(self, *arguments: str, status: int = 0) -> str:
        """What a command prints, which must end so."""
        found = CliRunner().invoke(build(self.site.simulation.trust), arguments, catch_exceptions=False)
        assert found.exit_code == status, found.output
        return found.stdout

    def prepare(self, table: SealedTable, *, results: Sequence[Result] = (), added: str = "") -> Path:
        """columns.toml of a table with its sealed keys beside it; `added` are more [[columns]] for results."""
        folder = self._folder(table.name)
        export = folder / "catalogue.json"
        export.write_text(json.dumps(catalogue(table, self.master_key.read_bytes())))
        columns = folder / "columns.toml"
        self.cji("columns", "describe", str(export), "--schema", table.schema, "--out", str(columns))
        records = {database_name(name): name for name in table.columns}
        columns.write_text(completed(columns.read_text(), records, table.rights) + added + stated(results))
        return self._rewrapped(columns)

    def prepare_container(self, container: Container, *, results: Sequence[Result] = (), added: str = "") -> Path:
        """columns.toml of a container, with a column for each leaf below the properties that its policy names."""
        folder = self._folder(container.name.replace("/", "-"))
        export = folder / "container.json"
        export.write_text(json.dumps({"id": container.name, "clientEncryptionPolicy": container.policy}))
        (folder / "keys.json").write_text(json.dumps({"clientEncryptionKeys": self.client_keys(container)}))
        columns = folder / "columns.toml"
        keys = ["--keys", str(folder / "keys.json"), "--table", container.name]
        self.cji("columns", "describe", str(export), *keys, "--schema", container.schema, "--out", str(columns))
        head = columns.read_text().partition("\n[[columns]]")[0]
        columns.write_text("\n".join((head, *leaves(container), "")) + added + stated(results))
        return self._rewrapped(columns)

    def cosmos(self) -> Cosmos:
        """The SDK with the agency's master key."""
        return Cosmos({MASTER_KEY: self.master_key.read_bytes()})

    def client_keys(self, container: Container) -> list[dict[str, Any]]:
        """The keys of a container as its database stores them."""
        names = {container.key_name(column): container.cek(column) for column in container.leaves}
        return [self.cosmos().key(name, cek, MASTER_KEY) for name, cek in names.items()]

    def grant(self) -> None:
        """All statements so far, in the worker's policy."""
        policy = self.site.files.policy
        text = policy.read_text().partition("\n[submitters.agencies.sealed_columns]")[0]
        lines = [each["policy"].splitlines() for each in self._policies]
        statements = ", ".join(of[2].partition("[")[2].removesuffix("]") for of in lines)
        policy.write_text("\n".join([text, *lines[0][:2], f"statements = [{statements}]", ""]))
        self.cji("reload", "--config", str(self.site.files.config))

    def _folder(self, table: str) -> Path:
        folder = self.folder / table
        folder.mkdir()
        return folder

    def _rewrapped(self, columns: Path) -> Path:
        opening = ["--master-key", str(self.master_key), "--digests", str(self.digests)]
        self.cji("columns", "digest", str(columns), *opening)
        signing = load_signing_key(Path(self.site.profile.signing_key))
        submitter = b64url(signer_thumbprint(signing.public_key(), Suite.CLASSICAL_1))
        worker = ["--kek", str(self.folder / "worker.jwk"), "--kek-id", self.site.cmk.kek_id]
        worker += ["--thumbprint", self.site.cmk.public_thumbprint, "--signing-key", str(self.folder / "agency.key")]
        use = ["--submitter", submitter, "--ori", "GA0600000", "--purpose", "C", "--purpose", "I"]
        answer = self.cji("columns", "rewrap", str(columns), *opening, *worker, *use, "--until", "2099-01-01", "--json")
        self._policies.append(json.loads(answer))
        return columns


def master_key_pem() -> bytes:
    """The column master key."""
    kind, encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key: rsa.RSAPrivateKey = rsa_key(9)
    return key.private_bytes(serialization.Encoding.PEM, kind, encryption)


def catalogue(table: SealedTable, master_key: bytes) -> dict[str, Any]:
    """What the query of `cji columns describe` gives of a database with this table; tedious made the keys."""
    database, schema, name = table.name.split(".")
    keys = {f"CEK_{table.data_class(each).replace(' ', '_')}": table.cek(each) for each in table.columns}
    values = [
        {
            "column_encryption_key": key,
            "column_master_key": "CMK",
            "encryption_algorithm_name": "RSA_OAEP",
            "encrypted_value": f"0x{Tedious().encrypted_value(cek, MASTER_KEY, master_key).hex().upper()}",
        }
        for key, cek in keys.items()
    ]
    master = {"name": "CMK", "key_store_provider_name": "AZURE_KEY_VAULT", "key_path": MASTER_KEY}
    columns = [
        {
            "schema": schema,
            "table": name,
            "column": database_name(record),
            **_sys_columns(kind),
            "encryption_type": 1 if kind.deterministic else 2,
            "encryption_algorithm_name": "AEAD_AES_256_CBC_HMAC_SHA256",
            "column_encryption_key": f"CEK_{table.data_class(record).replace(' ', '_')}",
        }
        for record, kind in table.columns.items()
    ]
    return {
        "database": database,
        "columns": columns,
        "column_encryption_key_values": values,
        "column_master_keys": [{**master, "allow_enclave_computations": False}],
    }


def _sys_columns(kind: Sql) -> dict[str, Any]:
    """A type as sys.columns has it."""
    found = SqlType.parse(kind.type)
    length = 8 if found.length is None else found.length * (2 if found.name in ("nchar", "nvarchar") else 1)
    page: dict[str, Any] = (
        {} if found.code_page is None else {"code_page": int(found.code_page.replace("utf-8", "cp65001")[2:])}
    )
    if found.code_page:
        page["collation_name"] = "Latin1_General_BIN2"
    return {
        "type": found.name,
        "max_length": -1 if "max" in kind.type else length,
        "precision": found.precision or 0,
        "scale": found.scale or 0,
        **page,
    }


def completed(text: str, records: Mapping[str, str], rights: Iterable[str]) -> str:
    """columns.toml as a person completes it: the column of the records for each column, and its rights."""
    lines, record = [], ""
    for line in text.splitlines():
        key, _, value = line.partition(" = ")
        if key == "name":
            record = records.get(json.loads(value), "")
        made = {"record": json.dumps(record), "rights": json.dumps(list(rights))}.get(key)
        lines.append(line if made is None else f"{key} = {made}")
    return "\n".join([*lines, ""])


def leaves(container: Container) -> list[str]:
    """[[columns]] for each sealed leaf of a container."""
    return [
        f'[[columns]]\nname = "{leaf.path}"\nrecord = "{column}"\ntype = "{leaf.type}"\n'
        f'encryption = "{leaf.encryption}"\nkey = "{container.key_name(column)}"\n'
        f"rights = {json.dumps(list(container.rights))}\n"
        for column, leaf in container.leaves.items()
    ]


def stated(results: Sequence[Result]) -> str:
    """[[results]]."""
    return "".join(
        f'\n[[results]]\noutput = "{output}"\ncolumn = "{column}"\nas = "{as_}"\n' for output, column, as_ in results
    )
