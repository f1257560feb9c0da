"""What other collectors write on the session's machine: files of tpm2-tools, and JSON of trustee and dcap-qvl."""

import json
import struct
from typing import Any

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation.evidence.imported import Quote
from cji_attestation.evidence.tpm_structures import pcr_digest
from cji_core.strict import b64url
from tests.support.forge import QUALIFYING, attest_structure, machine, sign, sized
from tests.support.tdx_forge import intel

__all__ = [
    "ALL",
    "VALUES",
    "collateral",
    "issuers",
    "oldest",
    "pem_of_vcek",
    "quote",
    "serialized",
    "thim",
    "versioned",
]

ALL = bytes.fromhex("00000001 000b 03 ffffff")
VALUES = tuple(bytes([pcr]) * 32 for pcr in range(1, 25))


def quote(selection: bytes = ALL, values: tuple[bytes, ...] = VALUES, **kw: Any) -> Quote:
    message = attest_structure(selection + sized(pcr_digest(values)), kind=0x8018, extra=QUALIFYING)
    return Quote(message=message, signature=sign(machine().ak, message), pcrs=kw.get("pcrs", values))


def serialized(values: tuple[bytes, ...], *, per_list: int = 8) -> bytes:
    """PCR values as tpm2_quote writes them by default."""
    lists = [values[at : at + per_list] for at in range(0, len(values), per_list)]
    out = bytes(132) + struct.pack("<I", len(lists))
    for one in lists:
        places = [struct.pack("<H", len(value)) + value.ljust(64, b"\0") for value in one]
        out += struct.pack("<I", len(one)) + b"".join(places).ljust(8 * 66, b"\0")
    return out


def versioned(**changes: Any) -> bytes:
    made = quote()
    content = {
        "version": 1,
        "tpm_quote": {
            "signature": made.signature.hex(),
            "message": made.message.hex(),
            "pcrs": [value.hex() for value in VALUES],
        },
        "hcl_report": b64url(machine().evidence().hcl_report),
        "vcek": b64url(der()),
    }
    content |= changes
    return json.dumps({name: value for name, value in content.items() if value is not None}).encode()


def der() -> bytes:
    return machine().chip.vcek.certificate.public_bytes(Encoding.DER)


def oldest(**changes: Any) -> bytes:
    made = quote()
    content = {
        "quote": {
            "signature": list(made.signature),
            "message": list(made.message),
            "pcrs": [list(value) for value in VALUES],
        },
        "report": list(machine().evidence().hcl_report),
        "vcek": pem_of_vcek().decode(),
    }
    content |= changes
    return json.dumps({name: value for name, value in content.items() if value is not None}).encode()


def pem_of_vcek() -> bytes:
    return machine().certs[: machine().certs.index(b"-----END") + 26]


def issuers() -> bytes:
    return machine().certs[len(pem_of_vcek()) :]


def collateral(of: object = None, **changes: Any) -> bytes:
    """Intel's collateral in the JSON of dcap-qvl: that of new evidence, or `of`."""
    found = msgspec.structs.asdict(of or intel().evidence(machine()).collateral)  # type: ignore[arg-type]
    found.pop("early")  # dcap-qvl has one channel
    content = {name: value.hex() if isinstance(value, bytes) else value for name, value in found.items()} | changes
    return json.dumps({name: value for name, value in content.items() if value is not None}).encode()


def thim(**changes: Any) -> bytes:
    """The metadata service's answer."""
    answer = {"vcekCert": pem_of_vcek().decode(), "certificateChain": issuers().decode(), "tcbm": "00" * 8} | changes
    return json.dumps(answer).encode()
