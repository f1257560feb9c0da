"""CoRIMs whose every part can be replaced, and signed anew."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import cbor2
from cbor2 import CBORTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

__all__ = ["AMD", "INTEL", "NOW", "comid", "corim", "intel_triple", "measurement", "oid_bytes", "sign1", "snp_triple"]

NOW = datetime(2026, 11, 26, tzinfo=UTC)
AMD = "http://amd.com/2024/snp-corim-profile"
INTEL = "2.16.840.1.113741.1.16.1"
MEASUREMENT = hashlib.sha384(b"paravisor").digest()
ID_KEY = hashlib.sha384(b"id key").digest()
MRTD = hashlib.sha384(b"domain").digest()
GENOA_TCB = int.from_bytes(bytes([10, 0, 0, 0, 0, 0, 23, 84]), "little")


def oid_bytes(text: str) -> CBORTag:
    """A tagged object identifier."""
    first, second, *rest = map(int, text.split("."))
    out = b""
    for one in (40 * first + second, *rest):
        digits = [one & 0x7F]
        while one := one >> 7:
            digits.append(0x80 | one & 0x7F)
        out += bytes(reversed(digits))
    return CBORTag(111, out)


def measurement(key: Any, **values: Any) -> dict[int, Any]:
    """One measurement of AMD's profile: `svn`, `digests` or `raw`."""
    kinds = {"svn": 1, "digests": 2, "raw": 4}
    return {0: key, 1: {kinds[kind]: value for kind, value in values.items()}}


def raw(data: Any) -> CBORTag:
    return CBORTag(560, data)


def snp_triple(changes: dict[int, Any] | None = None, *, environment: Any = None) -> list[Any]:
    """A Genoa machine; `changes` replaces measurements by their keys, None leaves one out."""
    fields = {
        1: measurement(1, svn=CBORTag(553, 65549)),
        2: measurement(2, raw=raw((0x3001F).to_bytes(8, "big"))),
        3: measurement(3, raw=raw(bytes.fromhex("012320" + "00" * 13))),
        4: measurement(4, raw=raw(b"\x02" + bytes(15))),
        641: measurement(641, digests=[[7, MEASUREMENT]]),
        643: measurement(643, raw=raw(ID_KEY)),
        647: measurement(647, svn=CBORTag(553, GENOA_TCB)),
        648: measurement(648, raw=raw(b"\x19")),
        649: measurement(649, raw=raw(b"\x11")),
        650: measurement(650, raw=raw(b"\x01")),
    }
    found = {key: value for key, value in (fields | (changes or {})).items() if value is not None}
    return [environment or {0: {0: oid_bytes("1.3.6.1.4.1.3704.3.1")}}, list(found.values())]


def intel_triple(values: dict[int, Any] | None = None, *, environment: Any = None, **measured: Any) -> list[Any]:
    """A trust domain; `values` replaces members, None leaves one out."""
    fields = {-83: [7, MRTD], -86: CBORTag(60010, [2, 17]), -88: CBORTag(60021, [6, ["UpToDate", "SWHardeningNeeded"]])}
    found = {key: value for key, value in (fields | (values or {})).items() if value is not None}
    return [environment or {0: {0: oid_bytes("2.16.840.1.113741.1.2.3.4.9")}}, [{1: found, **measured.get("more", {})}]]


def comid(*triples: Any, **changes: Any) -> CBORTag:
    """A tag with these reference triples."""
    content = {1: {0: "tag-1"}, 4: {0: list(triples)}}
    content |= {int(key[1:]): value for key, value in changes.items()}
    return CBORTag(506, cbor2.dumps(content))


def corim(*triples: Any, profile: Any = None, changes: dict[int, Any] | None = None) -> bytes:
    """An unsigned CoRIM; `changes` replaces members, None leaves one out."""
    content = {
        0: "corim-1",
        1: [comid(*(triples or (snp_triple(),)))],
        3: CBORTag(32, AMD) if profile is None else profile,
    }
    content |= changes or {}
    return cbor2.dumps(CBORTag(501, {key: value for key, value in content.items() if value is not None}))


def sign1(
    payload: Any,
    key: ec.EllipticCurvePrivateKey,
    *,
    header: dict[int, Any] | None = None,
    digest: hashes.HashAlgorithm | None = None,
    unprotected: Any = None,
) -> bytes:
    """A COSE_Sign1; `header` replaces members of the protected header, None leaves one out."""
    size = (key.key_size + 7) // 8
    meta = cbor2.dumps({0: {0: "publisher"}, 1: {1: CBORTag(1, int(NOW.timestamp()) + 86400)}})
    given: dict[int, Any] = {1: -7 if size == 32 else -35, 3: "application/rim+cbor", 8: meta}
    given |= header or {}
    protected = cbor2.dumps({name: value for name, value in given.items() if value is not None})
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    chosen = digest or (hashes.SHA256() if size == 32 else hashes.SHA384())
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(chosen)))
    signature = r.to_bytes(size, "big") + s.to_bytes(size, "big")
    return cbor2.dumps(CBORTag(18, [protected, {} if unprotected is None else unprotected, payload, signature]))
