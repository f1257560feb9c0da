"""One worker with its submitter: what a test of an upstream app, or of the worker itself, wants at hand."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from cji_client.asynchronous import Client
from cji_client.profile import ClientProfile, load_profile
from cji_client.result import Result, open_result
from cji_client.seal import INPUT_NAME, SealedJob, inputs_of, seal
from cji_client.sources import fit
from cji_client.spec import InputSpec, JobSpec
from cji_client.transport import SyncClient
from cji_core.format.keys import PinnedKey, load_recipient_key, load_signing_key, new_project_key
from cji_core.jose import key_id, parse_ml_kem, public_jwk
from cji_core.operations.deidentify import Deidentify, HmacToken
from cji_core.operations.parameters import Parameters
from cji_core.operations.registry import operation_of
from cji_core.pairs import DecryptionPair
from cji_core.suites import Suite
from cji_simulator import renewal
from cji_simulator.entra import TokenOrder
from cji_simulator.launch import AUDIENCE, ENTRA_AUDIENCE, Agency, Deployment, worker_config
from cji_simulator.simulation import Cmk, Simulation
from cji_simulator.worker import PROGRAM, Worker

__all__ = ["Site", "Submitter", "open_site", "people"]


_TOKENS: Final = Deidentify(
    project="p1", columns={"last": "keep", "first": "drop", "SOC": HmacToken(domain="soc", bits=128)}
)


@dataclass(frozen=True, kw_only=True)
class Submitter:
    """The one submitter of a worker, wherever that runs."""

    simulation: Simulation
    cmk: Cmk
    files: Deployment
    profile: ClientProfile

    @cached_property
    def recipient(self) -> rsa.RSAPrivateKey:
        """The submitter's recipient key of classical-1."""
        assert self.profile.recipient_key is not None
        key = load_recipient_key(Path(self.profile.recipient_key))
        assert isinstance(key, rsa.RSAPrivateKey)
        return key

    @property
    def hybrid_recipient(self) -> DecryptionPair:
        """The submitter's recipient key of hybrid-1."""
        key = load_recipient_key(self.files.hybrid_recipient)
        assert isinstance(key, DecryptionPair)
        return key

    @property
    def kek(self) -> PinnedKey:
        """The worker's key, pinned for classical-1."""
        return PinnedKey.check(self.cmk.kek_id, json.dumps(self.cmk.public_jwk), expected=self.cmk.public_thumbprint)

    @property
    def hybrid_kek(self) -> PinnedKey:
        """The worker's key and its ML-KEM half, pinned for hybrid-1."""
        return PinnedKey.check(
            self.cmk.kek_id,
            json.dumps(self.cmk.public_jwk),
            expected=self.cmk.public_thumbprint,
            ml_kem_jwk=self.files.ml_kem_jwk,
            expected_ml_kem=key_id(parse_ml_kem(self.files.ml_kem_jwk)),
        )

    def client(self) -> SyncClient:
        """A new connection."""
        return SyncClient(self.profile.target, **self._connection)

    def async_client(self) -> Client:
        """A new connection, for asyncio."""
        return Client(self.client())

    @property
    def _connection(self) -> dict[str, Any]:
        return {
            "tls": self.profile.tls(),
            "trust": self.simulation.trust,
            "reference": self.profile.reference,
            "maa_url": self.profile.maa_url,
            "token": self.profile.token(),
        }

    def renew(self) -> list[dict[str, Any]]:
        """Have the worker attest and request its keys now; returns what its log says of it. Raises RenewalError."""
        return renewal.renew(self.files.folder)

    def token_order(self, **changes: Any) -> TokenOrder:
        """A token that the worker accepts from its submitter, or one with changes."""
        rule = self.files.agency.entra
        assert rule is not None
        certificate = x509.load_pem_x509_certificate(self.profile.tls().cert_pem)
        values: dict[str, Any] = {
            "tenant": rule.tenant,
            "client": rule.client,
            "roles": rule.roles,
            "audience": ENTRA_AUDIENCE,
            "certificate_sha256": certificate.fingerprint(hashes.SHA256()).hex(),
            **changes,
        }
        return TokenOrder(**values)

    def spec(self, *operations: Parameters, **changes: Any) -> JobSpec:
        """A job of these operations, or one that keeps `last`, drops `first` and tokenises `SOC`."""
        values: dict[str, Any] = {
            "audience": AUDIENCE,
            "originating_ori": "GA0600000",
            "requesting_ori": "GA0600000",
            "operator_id": "op-1",
            "requestor": "detective 7",
            "reason": "test",
            "purpose_code": "C",
            "kek_id": self.cmk.kek_id,
            "kek_thumbprint": self.cmk.public_thumbprint,
            "recipients": (public_jwk(self.recipient.public_key()),),
            "input": InputSpec(schema="person/1"),
            "valid_hours": 1,
            "operations": operations or (_TOKENS,),
            **changes,
        }
        return JobSpec(**values)

    def hybrid_spec(self, *operations: Parameters, **changes: Any) -> JobSpec:
        """As `spec`, of the suite hybrid-1."""
        hybrid = {
            "suite": Suite.HYBRID_1,
            "ml_kem_thumbprint": self.hybrid_kek.ml_kem_thumbprint,
            "recipients": (public_jwk(self.hybrid_recipient.public_key()),),
        }
        return self.spec(*operations, **{**hybrid, **changes})

    def seal(
        self,
        spec: JobSpec | None = None,
        *,
        rows: int | None = None,
        encrypted: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> SealedJob:
        """A sealed job with a new project key; `encrypted` as in `cji_client.seal`."""
        spec = spec or self.spec()
        return seal(
            spec,
            kek=self.hybrid_kek if spec.suite is Suite.HYBRID_1 else self.kek,
            signing_key=load_signing_key(Path(self.profile.signing_key)),
            project_key=next((new_project_key(name) for each in spec.operations if (name := project_of(each))), None),
            rows=rows,
            encrypted=encrypted,
        )

    def run(
        self,
        table: pa.Table,
        spec: JobSpec | None = None,
        *,
        sides: Mapping[str, pa.Table] | None = None,
        deadline: float = 60,
    ) -> Result:
        """Seal a table, and its side tables by name, as one job and run it; the receipt has verified."""
        with self.client() as client:
            inputs = {**(sides or {}), INPUT_NAME: table}
            specs = inputs_of(spec or self.spec())
            encrypted = {name: fit(inputs[name], each).sealed for name, each in specs.items() if each.columns}
            job = self.seal(spec, rows=table.num_rows, encrypted=encrypted)
            return client.run(job, inputs, attested=client.attest(), deadline=deadline)

    def open(self, result: Result) -> dict[str, pa.Table]:
        """All outputs, as the recipient reads them."""
        hybrid = result.receipt.claims.suite is Suite.HYBRID_1
        return open_result(result, self.hybrid_recipient if hybrid else self.recipient)


@dataclass(frozen=True, kw_only=True)
class Site(Submitter):
    """Everything about one worker and its one submitter."""

    worker: Worker

    def reboot(self) -> None:
        """Reboot the worker's VM; returns when the worker serves again. Raises WorkerDied."""
        self.worker.kill()
        self.simulation.reboot()
        self.worker.start()


def project_of(parameters: Parameters) -> str:
    """The project whose key an operation needs, empty without one."""
    project = operation_of(parameters).signature(parameters).project
    return "" if project is None else project.name


def people(rows: int, *, tag: str = "") -> pa.Table:
    """Rows of person/1 with `last`, `first` and `SOC`, all distinct."""
    numbers = range(rows)
    return pa.table(
        {
            "last": [f"NAME{tag}{i:07d}" for i in numbers],
            "first": [f"FIRST{tag}{i:07d}" for i in numbers],
            "SOC": [f"{i:09d}" for i in numbers],
        }
    )


@contextmanager
def open_site(
    folder: Path,
    simulation: Simulation,
    *,
    cells: int = 2,
    cell_mib: int = 160,
    reference_mib: int = 32,
    agency: Agency | None = None,
    program: Sequence[str] = PROGRAM,
    settings: str = "",
    fronts: int | None = None,
) -> Iterator[Site]:
    """Write files for a new worker of this simulation, start it with this `program`, and drain it at the end.

    `settings` are more lines of its worker.toml. It runs on a VM of its own: in each boot of a VM one worker can start.
    """
    simulation = simulation.another_vm()
    cmk = simulation.create_cmk(f"cji-{folder.name}")
    files = worker_config(
        folder,
        simulation=simulation,
        keys=[cmk],
        agency=agency,
        cells=cells,
        cell_mib=cell_mib,
        fronts=fronts,
        reference_mib=reference_mib,
    )
    files.config.write_text(files.config.read_text() + settings)
    with Worker(files.config, trust=simulation.trust, log=folder / "worker.log", program=program) as worker:
        yield Site(simulation=simulation, cmk=cmk, files=files, worker=worker, profile=load_profile(files.profile))
