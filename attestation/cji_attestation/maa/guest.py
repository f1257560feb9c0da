"""The AzureGuest exchange: evidence to Azure Attestation, a token back, encrypted to our ephemeral key.

POST {provider}/attest/AzureGuest?api-version=2020-10-01, protocol 2.0. It is the only exchange whose token names a key
that this machine can decrypt with, so the only one that Key Vault can wrap a key to.
The reply holds an AES-256-GCM token (AAD "Transport Key") under an RSAES-PKCS1-v1_5 key that only the TPM opens.
Sources: Azure/azure-rest-api-specs AttestAzureGuestVm.json; the confidential-computing-cvm-guest-attestation client.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.evidence import Evidence, ak_chain, parse_hcl
from cji_attestation.evidence.tpm_structures import PCRS
from cji_attestation.fetch import exchange
from cji_attestation.strict import member, parse_object, text_member
from cji_attestation.trust import Endpoint, Trust
from cji_core.strict import b64_decode, b64url, b64url_decode

PATH: Final = "/attest/AzureGuest?api-version=2020-10-01"
MAX_REPLY_BYTES: Final = 256 * 1024
SECONDS: Final = 30.0
AAD: Final = b"Transport Key"
INNER_KEY_BYTES: Final = 32
OS_RELEASE: Final = Path("/etc/os-release")
_CHECK: Final = "maa-reply"


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _system() -> tuple[str, int, int]:
    """NAME and the two numbers of VERSION_ID of os-release(5)."""
    fields: dict[str, str] = {}
    try:
        for line in OS_RELEASE.read_text("utf-8").splitlines():
            name, _, value = line.partition("=")
            fields[name] = value.strip().strip("\"'")
    except (OSError, UnicodeDecodeError):
        pass
    major, _, minor = fields.get("VERSION_ID", "0").partition(".")
    numbers = [int(text) if text.isascii() and text.isdigit() else 0 for text in (major, minor)]
    return fields.get("NAME", "Linux"), numbers[0], numbers[1]


def guest_request(evidence: Evidence, *, nonce: str, log: bytes) -> bytes:
    """The request's body. `nonce` comes back in the token; `log` is the firmware's event log."""
    report = parse_hcl(evidence.hcl_report)
    distribution, major, minor = _system()
    if evidence.tee == "snp":
        proof = json.dumps({"SnpReport": b64url(report.hardware), "VcekCertChain": _b64(evidence.certs)}).encode(
            "ascii"
        )
        kind = "SevSnp"
    else:
        proof, kind = evidence.td_quote, "Tdx"
    info = {
        "AttestationProtocolVersion": "2.0",
        "OSType": _b64(b"Linux"),
        "OSDistro": _b64(distribution.encode()),
        "OSBuild": _b64(b"NotApplication"),
        "OSVersionMajor": major,
        "OSVersionMinor": minor,
        "TcgLogs": _b64(log),
        "ClientPayload": {"nonce": _b64(nonce.encode("ascii"))},
        "TpmInfo": {
            "AikCert": _b64(b"".join(ak_chain(evidence.ak_cert)[:1])),
            "AikPub": _b64(evidence.ak_public),
            "PcrQuote": _b64(evidence.quote),
            "PcrSignature": _b64(evidence.quote_signature),
            "EncKeyPub": _b64(evidence.ephemeral),
            "EncKeyCertifyInfo": _b64(evidence.certify),
            "EncKeyCertifyInfoSignature": _b64(evidence.certify_signature),
            "PcrSet": list(PCRS),
            "PCRs": [{"Index": pcr, "Digest": _b64(value)} for pcr, value in zip(PCRS, evidence.pcrs, strict=True)],
        },
        "IsolationInfo": {
            "Type": kind,
            "Evidence": {"Proof": _b64(proof), "RunTimeData": _b64(report.claims_bytes)},
        },
    }
    return json.dumps({"AttestationInfo": b64url(json.dumps(info).encode("ascii"))}).encode("ascii")


def send_request(body: bytes, *, provider: Endpoint, trust: Trust) -> bytes:
    """Send a request once and return the reply's body. MAA_REFUSED for 400, 401, 403; MAA_UNAVAILABLE for the rest."""
    reply = exchange(
        provider,
        method="POST",
        path=PATH,
        headers={"Content-Type": "application/json", "Accept": "application/json"},
        body=body,
        roots=trust.tls_roots,
        limit=MAX_REPLY_BYTES,
        seconds=SECONDS,
        fault=Fault.MAA_UNAVAILABLE,
        check="maa",
    )
    if reply.status == 200:
        return reply.body
    fault = Fault.MAA_REFUSED if reply.status in {400, 401, 403} else Fault.MAA_UNAVAILABLE
    raise AttestationError(fault, check=f"maa-{reply.status}", retry_after=reply.retry_after)


def open_reply(data: bytes, *, decrypt: Callable[[bytes], bytearray]) -> str:
    """The token inside a reply; `decrypt` is the TPM's RSAES with the ephemeral key. Nothing is verified here."""
    outer = parse_object(data, limit=MAX_REPLY_BYTES, fault=Fault.TOKEN_INVALID, check=_CHECK)
    try:
        envelope = parse_object(
            b64url_decode(text_member(outer, "token", fault=Fault.TOKEN_INVALID, check=_CHECK).rstrip("=")),
            limit=MAX_REPLY_BYTES,
            fault=Fault.TOKEN_INVALID,
            check=_CHECK,
        )
        parameters = member(envelope, "EncryptionParams", fault=Fault.TOKEN_INVALID, check=_CHECK)
        expected = {"Cipher": "AES", "BlockMode": "ChainingModeGCM", "KeySizeInBits": 256}
        if any(parameters.get(name) != value for name, value in expected.items()):
            raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK)
        wrapped, tag, sealed = (
            b64_decode(text_member(envelope, name, fault=Fault.TOKEN_INVALID, check=_CHECK))
            for name in ("EncryptedInnerKey", "AuthenticationData", "Jwt")
        )
        iv = b64_decode(text_member(parameters, "Iv", fault=Fault.TOKEN_INVALID, check=_CHECK))
    except ValueError as error:
        raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK) from error
    if len(wrapped) != 256 or len(tag) != 16 or len(iv) != 12:
        raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK)
    key = decrypt(wrapped)
    try:
        if len(key) != INNER_KEY_BYTES:
            raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK)
        return AESGCM(key).decrypt(iv, sealed + tag, AAD).decode("ascii")
    except (InvalidTag, ValueError) as error:
        raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK) from error
    finally:
        key[:] = bytes(len(key))
