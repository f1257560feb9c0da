"""A folder of a bundle, as an operator has it on a desk, and bundles made of it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_attestation.bundle.archive import Bundle, make
from cji_attestation.bundle.signatures import Accepted, FileSigner, sign
from cji_core.jose import thumbprint
from cji_simulator.certificates import authority, pem
from tests.support.policies import agency, policy_file, purpose, rule, submitter

__all__ = ["KEY", "LIST", "LISTING", "NOW", "accepted", "files", "folder_of", "keys_folder", "made", "public_pem"]

KEY: Final = ec.generate_private_key(ec.SECP384R1())
LIST: Final = "reference/Genoa.crl"
LISTING: Final = f', amd_crls = {{ Genoa = {{ file = "{LIST}" }} }}'
"""For `values`: AMD's revocation list in a file of this name."""
NOW: Final = datetime.now(UTC).replace(microsecond=0)
_CLIENTS: Final = pem(authority("Agency CA", ec.generate_private_key(ec.SECP256R1())).certificate)
_SUBMITTER: Final = ec.generate_private_key(ec.SECP384R1())
_TOML: Final = """cloud = "{cloud}"
policy_file = "policy.toml"
audit_file = "/var/lib/cji/audit.log"
{top}
[worker]
id = "worker-1"
audience = "pool-7"
region = "eastus"
[listen]
certificate = "/run/cji-tls/server.pem"
private_key = "/run/cji-tls/server.key"
client_roots = "tls/client-roots.pem"
{listen}
[attestation]
maa_url = "https://cji.eus.attest.azure.net"
reference_values = {{ products = ["Genoa"]{values} }}
[[keys]]
kek_id = "https://v.vault.azure.net/keys/cmk/{version}"
public_thumbprint = "{thumb}"
{key}
"""
_AUDIT: Final = """trail = "/var/lib/cji/audit.log"
state = "/var/lib/cji-audit"
[[sinks]]
name = "journal"
kind = "journald"
"""
_CONSOLE: Final = 'status_socket = "/run/cji-status/status.sock"\n'


def worker_toml(*, cloud: str = "azure-us", top: str = "", listen: str = "", key: str = "", values: str = "") -> bytes:
    """worker.toml with more lines in some of its sections, and more `values` for evidence."""
    text = _TOML.format(cloud=cloud, top=top, listen=listen, key=key, values=values, version="ab" * 16, thumb="A" * 43)
    return text.encode()


def policy() -> bytes:
    """A policy with one submitter."""
    granted = agency("GA0001000", purpose("C", rule(["A" * 43])))
    return policy_file(submitter("metro-pd", _SUBMITTER.public_key(), granted))


def files(*, changed: Mapping[str, bytes | None] | None = None, **worker: str) -> dict[str, bytes]:
    """Files that make a worker; `changed` adds, replaces, or with None removes one."""
    found: dict[str, bytes | None] = {
        "worker.toml": worker_toml(**worker),
        "policy.toml": policy(),
        "tls/client-roots.pem": _CLIENTS,
        "audit.toml": _AUDIT.encode(),
        "console.toml": _CONSOLE.encode(),
        **(changed or {}),
    }
    return {name: data for name, data in found.items() if data is not None}


def folder_of(folder: Path, given: Mapping[str, bytes]) -> Path:
    """The files in a folder."""
    for name, data in given.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def made(
    given: Mapping[str, bytes] | None = None,
    *,
    pool: str = "pool-7",
    serial: int = 7,
    created: datetime = NOW,
    days: int = 90,
    by: ec.EllipticCurvePrivateKey | None = KEY,
) -> Bundle:
    """A bundle, signed by KEY, or by nobody for None."""
    unsigned = make(
        files() if given is None else given,
        pool=pool,
        serial=serial,
        created=created,
        expires=created + timedelta(days=days),
    )
    return unsigned if by is None else sign(unsigned, FileSigner(by))


def accepted(*keys: ec.EllipticCurvePrivateKey, signatures: int = 1, least_serial: int = 1) -> Accepted:
    """The state of an image that has these keys; KEY if none is given."""
    public = [key.public_key() for key in keys or (KEY,)]
    return Accepted(keys={thumbprint(key): key for key in public}, signatures=signatures, least_serial=least_serial)


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public half as the image holds it."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def keys_folder(folder: Path, *keys: ec.EllipticCurvePrivateKey) -> Path:
    """The image's folder of accepted keys."""
    folder.mkdir(exist_ok=True)
    for number, key in enumerate(keys or (KEY,)):
        (folder / f"{number}.pem").write_bytes(public_pem(key))
    return folder
