"""A destination of each kind of witness, configured as an operator does it, for local services."""

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from azure.core.credentials import AccessToken, TokenCredential
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.trail.witnesses.blob import BlobWitness
from cji_core.trail.witnesses.confidential_ledger import LedgerWitness
from cji_core.trail.witnesses.configured import records_of
from cji_core.trail.witnesses.destination import Witness, WitnessDestination
from cji_core.trail.witnesses.file_copy import FileWitness
from cji_core.trail.witnesses.keys import read_keys
from cji_core.trail.witnesses.scitt import ScittWitness
from cji_core.trail.witnesses.settings import BlobTable, FileTable, LedgerTable, ScittTable, Table, tables
from tests.support.witness_services import NOW, TOKEN, Services, private_pem, public_pem
from tests.support.witness_trails import Trail, keys_folder

KINDS: Final = ("file", "blob", "confidential_ledger", "scitt")
NETWORK: Final = KINDS[1:]
ISSUER: Final = "https://pd.example"


@dataclass(kw_only=True)
class FixedCredential:
    """A token for whatever is asked for; the scopes are recorded."""

    scopes: list[str] = field(default_factory=list)

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken(TOKEN, int(time.time()) + 3600)


@dataclass(kw_only=True)
class Setting:
    """A trail, a folder for the deliverer and the services."""

    folder: Path
    trail: Trail
    services: Services
    credential: FixedCredential = field(default_factory=FixedCredential)
    clock: list[float] = field(default_factory=lambda: [0.0])

    def __post_init__(self) -> None:
        self.ca_file.write_text(self.services.authority.pem)

    @property
    def ca_file(self) -> Path:
        """The authority of the services' certificates, which is the ledger's service certificate too."""
        return self.folder / "ca.pem"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def raw(self, kind: str) -> dict[str, object]:
        """The table of `audit.toml`."""
        common: dict[str, object] = {"kind": kind, "name": kind.replace("_", "-")}
        ca = "ca.pem"
        if kind == "file":
            (self.folder / "copies").mkdir(exist_ok=True)
            return common | {"folder": "copies"}
        if kind == "blob":
            return common | {"account_url": f"{self.services.url}/blob", "container": "audit", "ca_file": ca}
        if kind == "confidential_ledger":
            return common | {"url": f"{self.services.url}/acl", "service_certificate": ca}
        if not (self.folder / "issuer.pem").exists():
            key = ec.generate_private_key(ec.SECP384R1())
            (self.folder / "issuer.pem").write_bytes(private_pem(key))
            (self.folder / "issuer.pub").write_bytes(public_pem(key))
            (self.folder / "service.pub").write_bytes(self.services.transparency.public_pem)
        keys = {"key_file": "issuer.pem", "issuer_key": "issuer.pub", "service_key": "service.pub"}
        return common | {"url": f"{self.services.url}/ts/", "issuer": ISSUER, "ca_file": ca} | keys

    def witness(self, kind: str, *, seconds: float = 5.0, wait: float = 5.0) -> Witness:
        table: Table = tables([self.raw(kind)], folder=self.folder)[0]
        identity = partial(_identity, self.credential)
        if isinstance(table, FileTable):
            return FileWitness(table, clock=lambda: NOW)
        if isinstance(table, BlobTable):
            return BlobWitness(table, identity=identity, seconds=seconds)
        if isinstance(table, LedgerTable):
            return LedgerWitness(table, identity=identity, clock=lambda: NOW, seconds=seconds, commit_seconds=wait)
        assert isinstance(table, ScittTable)
        return ScittWitness(table, clock=lambda: NOW, seconds=seconds, registration_seconds=wait)

    def destination(self, kind: str, *, seconds: float = 5.0, wait: float = 5.0) -> WitnessDestination:
        """The destination of a deliverer that has just started."""
        name = kind.replace("_", "-")
        folder = keys_folder(self.folder / "keys", [self.trail.key])
        return WitnessDestination(
            self.witness(kind, seconds=seconds, wait=wait),
            name=name,
            trail=self.trail.path,
            records=records_of(self.state, name),
            keys=partial(read_keys, folder),
            interval=60,
            monotonic=lambda: self.clock[0],
        )


def _identity(credential: FixedCredential, _client_id: str | None) -> TokenCredential:
    found: Any = credential
    return found  # type: ignore[no-any-return]
