"""The files of a worker and one submitter: configuration, policy, certificates, keys and a client profile.

The folder looks as an operator's and an agency's would; everything in it is new. What it cannot hold is the trust:
`cloud = "simulation"` names no compiled-in pins, so the caller that starts the worker passes `Simulation.trust` to it.

| file | whose |
|---|---|
| worker.toml policy.toml server.pem server.key client-roots.pem state/audit.jsonl | the worker's |
| operator/signer.key, and copied beside worker.toml and client.toml advisories.jws acceptance.jws | the operator's |
| client/client.toml ca.pem client.pem client.key signing.key recipient.key recipient-hybrid.key | the agency's |

Worker and agency have the keys of both suites, and the policy accepts both.
"""

import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_attestation.appraisal import ReferenceValues
from cji_core.data_classes import DataClass
from cji_core.format.job import LIMITS, EntraRule
from cji_core.format.keys import new_ml_kem_seed
from cji_core.jose import key_id, parse_ml_kem, parse_rsa, public_jwk
from cji_core.operations.registry import OPERATIONS
from cji_core.pairs import DecryptionPair, SigningPair, VerifyingPair
from cji_core.suites import Suite
from cji_simulator import jws
from cji_simulator.certificates import Credential, authority, leaf, pem, private_pem, write_private
from cji_simulator.operator import Operator
from cji_simulator.ports import free_port
from cji_simulator.reference import toml
from cji_simulator.roots import HOST
from cji_simulator.simulation import Cmk, Simulation

__all__ = [
    "AUDIENCE",
    "CLOUD",
    "ENTRA_AUDIENCE",
    "Agency",
    "AgencyKeys",
    "Deployment",
    "key_table",
    "renew_certificate",
    "worker_config",
]

AUDIENCE: Final = "cji-pool-simulation"
ENTRA_AUDIENCE: Final = "33333333-3333-4333-8333-333333333333"
CLOUD: Final = "simulation"
FRONTS: Final = "CJI_FRONTS"
"""The variable with the number of fronts where `worker_config` gets none: the same tests run with several."""
_PRODUCTS: Final = ("Genoa",)
_SOCKET: Final = "control.sock"
_AGREED: Final = timedelta(days=365)
"""Before and after today: the time of the agreements."""
_STATUS: Final = "status.sock"
_SERVER_CA: Final = Path("operator") / "server-ca"
_PATH_BYTES: Final = 107
"""Of a Unix socket (unix(7))."""
_NV_OWNER: Final = 0x01800000
"""First NV index for owners; workers of one simulation share its vTPM, so each gets a counter of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agency:
    """A submitter and what the policy lets it do."""

    name: str = "fulton-pd"
    oris: tuple[str, ...] = ("GA0600000",)
    purposes: tuple[str, ...] = ("C", "I")
    operations: tuple[str, ...] = tuple(sorted(OPERATIONS))
    entra: EntraRule | None = None
    """Its application, if the worker requires tokens of it."""
    data_classes: tuple[str, ...] = tuple(each.value for each in DataClass if each is not DataClass.NONE)
    secondary_recipients: tuple[str, ...] = ("Board of Private Security", "State University")
    rows: int = 1_000_000_000
    job_bytes: int = LIMITS.job_bytes
    jobs_per_day: int = 1_000_000

    @property
    def san(self) -> str:
        """The URI in its certificate."""
        return f"spiffe://cji.example/agency/{self.name}"


def _recipient() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 3072)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyKeys:
    """New keys of a submitter, for both suites. They take a part of a second, and need no simulation."""

    signing: SigningPair = field(default_factory=SigningPair.generate)
    recipient: rsa.RSAPrivateKey = field(default_factory=_recipient)
    hybrid: DecryptionPair = field(default_factory=DecryptionPair.generate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Paths of the files, and facts about them for tests."""

    folder: Path
    agency: Agency
    config: Path
    policy: Path
    audit: Path
    profile: Path
    target: str
    recipient_key_id: str
    hybrid_recipient: Path
    ml_kem_jwk: str


def _text(value: str) -> str:
    """Return a TOML basic string; JSON's escapes are among TOML's."""
    return json.dumps(value, ensure_ascii=False)


def _texts(values: Sequence[str]) -> str:
    return "[" + ", ".join(_text(value) for value in values) + "]"


def _table(name: str, /, **values: str | int) -> str:
    lines = [f"{key} = {value if isinstance(value, int) else _text(value)}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _inline(rule: EntraRule) -> str:
    return f"{{ tenant = {_text(rule.tenant)}, client = {_text(rule.client)}, roles = {_texts(rule.roles)} }}"


def _policy(agency: Agency, signing: VerifyingPair, recipients: Sequence[str]) -> str:
    submitter = _table("[submitters]", name=agency.name, san=agency.san, signing_key=public_jwk(signing))
    today = datetime.now(UTC).date()
    limits = f"limits = {{ rows = {agency.rows}, bytes = {agency.job_bytes} }}\n"
    rule = (
        f"[[submitters.agencies.purposes.rules]]\noperations = {_texts(agency.operations)}\n"
        f"data_classes = {_texts(agency.data_classes)}\nrecipients = {_texts(recipients)}\n"
        f"secondary_recipients = {_texts(agency.secondary_recipients)}\n{limits}"
    )
    entra = "" if agency.entra is None else f"entra = {_inline(agency.entra)}\n"
    parts = ["version = 2\n", f"{submitter}suites = {_texts([str(suite) for suite in Suite])}\n{entra}"]
    for ori in agency.oris:
        parts.append(
            f"[[submitters.agencies]]\nori = {_text(ori)}\njobs_per_day = {agency.jobs_per_day}\n"
            f'agreement = {{ id = "simulated", from = {today - _AGREED}, until = {today + _AGREED} }}\n'
        )
        for code in agency.purposes:
            parts.append(f"[[submitters.agencies.purposes]]\ncode = {_text(code)}\n{rule}")
    return "\n".join(parts)


def key_table(key: Cmk, seed_file: str = "", thumbprint: str = "") -> str:
    """A `[[keys]]` table of worker.toml; with the file of its ML-KEM half's seed and the half's thumbprint, if any."""
    values = {
        "kek_id": key.kek_id,
        "public_thumbprint": key.public_thumbprint,
        "policy_sha256": key.policy_sha256,
    }
    half = {"ml_kem_seed_file": seed_file, "ml_kem_thumbprint": thumbprint} if seed_file else {}
    return _table("[keys]", **values, **half)


def _config(
    simulation: Simulation,
    keys: Sequence[Cmk],
    *,
    reference: str,
    seeds: Mapping[str, tuple[str, str]],
    port: int,
    cells: int,
    cell_mib: int,
    fronts: int,
    reference_mib: int,
    key_lifetime_s: int,
    pcr_check_s: int,
    control: bool,
    entra: bool,
) -> str:
    parts = [
        f"control_socket = {_text(_SOCKET)}\nstatus_socket = {_text(_STATUS)}\n" * control,
        f"cloud = {_text(CLOUD)}\npolicy_file = {_text('policy.toml')}\naudit_file = {_text('state/audit.jsonl')}\n"
        f"audit_counter = {_NV_OWNER + 2 * secrets.randbelow(1 << 20)}\n",
        _table(
            "worker",
            id="worker-1",
            audience=AUDIENCE,
            region=simulation.region,
            cells=cells,
            cell_memory_mib=cell_mib,
            fronts=fronts,
        ),
        _table(
            "listen",
            host=HOST,
            port=port,
            socket=f"{tempfile.gettempdir()}/cji-{secrets.token_hex(8)}/front.sock",
            certificate="server.pem",
            private_key="server.key",
            client_roots="client-roots.pem",
        ),
        _table(
            "attestation",
            maa_url=simulation.maa_url,
            ak_issuers="ak-issuers.pem",
            key_lifetime_s=key_lifetime_s,
            pcr_check_s=pcr_check_s,
        ),
        f"[attestation.reference_values]\n{reference}",
    ]
    if entra:
        parts.append(_table("entra", audience=ENTRA_AUDIENCE))
    if reference_mib:
        parts.append(_table("references", max_references=1, memory_mib=reference_mib))
    parts += [key_table(key, *seeds.get(key.kek_id, ())) for key in keys]
    return "\n".join(parts)


def _reference(machine: ReferenceValues, folders: Sequence[Path], signer: Path) -> str:
    """Reference values of an operator who trusts this machine and accepts what is open.

    Writes what the operator signs into each folder, and its key.
    """
    deciding = Operator()
    signer.parent.mkdir(mode=0o700, exist_ok=True)
    write_private(signer, private_pem(deciding.key))
    for folder in folders:
        (folder / "advisories.jws").write_bytes(deciding.table())
        (folder / "acceptance.jws").write_bytes(deciding.acceptance())
    return (
        f"products = {_texts(_PRODUCTS)}\nadvisory_signers = {_texts([deciding.signer])}\n"
        'advisories = { file = "advisories.jws" }\nacceptances = [{ file = "acceptance.jws" }]\n'
        f"{toml(machine)}"
    )


def _profile(simulation: Simulation, target: str, *, reference: str, key: Cmk, agency: Agency, recipient: str) -> str:
    head = {
        "target": target,
        "cloud": CLOUD,
        "maa_url": simulation.maa_url,
        "ca": "ca.pem",
        "certificate": "client.pem",
        "private_key": "client.key",
        "signing_key": "signing.key",
        "recipient_key": "recipient.key",
    }
    if agency.entra is not None:
        head["token_file"] = "token.jwt"
    lines = [f"{name} = {_text(value)}" for name, value in head.items()]
    ori = agency.oris[0]
    job = _table(
        "job",
        audience=AUDIENCE,
        originating_ori=ori,
        requesting_ori=ori,
        operator_id="tester",
        requestor="Test desk",
        reason="test",
        purpose_code=agency.purposes[0],
        kek_id=key.kek_id,
        kek_thumbprint=key.public_thumbprint,
    )
    return "\n".join([*lines, "", f"{job}recipients = {_texts([recipient])}", "", f"[reference]\n{reference}"])


def _ml_kem_half(key: Cmk) -> tuple[str, str]:
    """The wrapped seed and the public JWK of a new ML-KEM half; empty for a key that is not RSA, which opens no job."""
    if key.public_jwk["kty"] != "RSA":
        return "", ""
    seed, public = new_ml_kem_seed(parse_rsa(json.dumps(key.public_jwk)), key.kek_id)
    return seed, public_jwk(public)


def _seed_files(folder: Path, halves: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Write the wrapped seeds; by kek_id the name of each file, and the thumbprint."""
    (folder / "seeds").mkdir(mode=0o700, exist_ok=True)
    for number, (kek_id, (seed, jwk)) in enumerate(halves.items()):
        if seed:
            name = f"seeds/key-{number}.seed"
            write_private(folder / name, f"{seed}\n".encode())
            yield kek_id, (name, key_id(parse_ml_kem(jwk)))


def _chain(folder: Path, stem: str, credential: Credential) -> None:
    """Write the chain without its root, and the key."""
    (folder / f"{stem}.pem").write_bytes(b"".join(pem(one) for one in credential.chain[:-1]))
    write_private(folder / f"{stem}.key", private_pem(credential.key))


def _server(folder: Path, ca: Credential) -> None:
    """A new key of the door, and its certificate."""
    _chain(folder, "server", leaf("worker-1", ec.generate_private_key(ec.SECP256R1()), ca, hosts=["localhost", HOST]))


def renew_certificate(files: Deployment) -> None:
    """Give the door a new key and certificate of the same authority; it reads them when it starts or reloads."""
    _server(files.folder, Credential.load(files.folder / _SERVER_CA))


def worker_config(
    folder: Path,
    *,
    simulation: Simulation,
    keys: Sequence[Cmk],
    agency: Agency | None = None,
    agency_keys: AgencyKeys | None = None,
    port: int | None = None,
    cells: int = 2,
    cell_mib: int = 160,
    fronts: int | None = None,
    reference_mib: int = 32,
    key_lifetime_s: int = 3600,
    pcr_check_s: int = 30,
) -> Deployment:
    """Write all files for one worker that releases `keys`; `port=None` takes one that nobody has.

    One reference of `reference_mib` stays resident for its submitter, none if that is 0.
    There is a control socket, unless the folder's path is too long for one.
    It has `fronts`, or as many as the environment's CJI_FRONTS says, or one.
    `key_lifetime_s` and `pcr_check_s` are those of the worker's configuration: short for tests of what time does.
    """
    agency, port = agency or Agency(), port or free_port()
    client = folder / "client"
    client.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    (folder / "state").mkdir(mode=0o700, exist_ok=True)
    server_ca = authority("Simulated Worker CA", ec.generate_private_key(ec.SECP256R1()))
    (folder / "operator").mkdir(mode=0o700, exist_ok=True)
    server_ca.save(folder / _SERVER_CA)
    client_ca = authority("Simulated Agency CA", ec.generate_private_key(ec.SECP256R1()))
    client_key = ec.generate_private_key(ec.SECP256R1())
    _server(folder, server_ca)
    _chain(client, "client", leaf(agency.name, client_key, client_ca, uris=[agency.san]))
    (folder / "client-roots.pem").write_bytes(pem(client_ca.certificate))
    (folder / "ak-issuers.pem").write_bytes(simulation.ak_issuers)
    (client / "ca.pem").write_bytes(pem(server_ca.certificate))
    own = agency_keys or AgencyKeys()
    signing, recipient, hybrid = own.signing, own.recipient, own.hybrid
    write_private(client / "signing.key", private_pem(signing.ml_dsa) + private_pem(signing.p384))
    write_private(client / "recipient.key", private_pem(recipient))
    write_private(client / "recipient-hybrid.key", private_pem(hybrid.ml_kem) + private_pem(hybrid.p384))
    halves = {key.kek_id: _ml_kem_half(key) for key in keys}
    recipient_id, target = jws.thumbprint(recipient.public_key()), f"{HOST}:{port}"
    files = Deployment(
        folder=folder,
        agency=agency,
        config=folder / "worker.toml",
        policy=folder / "policy.toml",
        audit=folder / "state" / "audit.jsonl",
        profile=client / "client.toml",
        target=target,
        recipient_key_id=recipient_id,
        hybrid_recipient=client / "recipient-hybrid.key",
        ml_kem_jwk=halves[keys[0].kek_id][1],
    )
    recipients = [recipient_id, key_id(hybrid.public_key())]
    files.policy.write_text(_policy(agency, signing.public_key(), recipients))
    reference = _reference(simulation.reference, (folder, client), folder / "operator" / "signer.key")
    files.config.write_text(
        _config(
            simulation,
            keys,
            reference=reference,
            seeds=dict(_seed_files(folder, halves)),
            port=port,
            cells=cells,
            cell_mib=cell_mib,
            fronts=fronts or int(os.environ.get(FRONTS, "1")),
            reference_mib=reference_mib,
            key_lifetime_s=key_lifetime_s,
            pcr_check_s=pcr_check_s,
            entra=agency.entra is not None,
            control=len(os.fsencode(folder.resolve() / _SOCKET)) <= _PATH_BYTES,
        )
    )
    files.profile.write_text(
        _profile(
            simulation,
            target,
            reference=reference,
            key=keys[0],
            agency=agency,
            recipient=public_jwk(recipient.public_key()),
        )
    )
    return files
