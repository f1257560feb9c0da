"""`verify_statement`: Key Vault's statement on a release, checked by S01 to S11; RELEASE_INVALID names the check."""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from cji_attestation.checks import Check, Skipped
from cji_attestation.errors import AttestationError, Fault, Record
from cji_attestation.fetch import system_roots
from cji_attestation.release.keyspec import KeySpec, VaultKey
from cji_attestation.strict import (
    ec_from_jwk,
    load_der,
    load_pem_chain,
    member,
    parse_object,
    rsa_from_jwk,
    split_jws,
    text_member,
    verify_rs256,
)
from cji_attestation.trust import Trust
from cji_core.chains import verify_server
from cji_core.jose import PublicKey, UnverifiedJws, jwk_thumbprint
from cji_core.strict import JsonObject, b64_decode, b64url, b64url_decode
from cji_core.verified import _CONSTRUCTOR_KEY, Verified

WRAP: Final = "RSA_AES_KEY_WRAP_256"
MAX_STATEMENT_BYTES: Final = 128 * 1024
MIN_KEY_BITS: Final = 3072


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedStatement(Verified):
    """A statement that passed S01 to S11. The ciphertext is a wrapped key, still of no use without the TPM.

    The release policy comes from the vault and is not checked yet.
    """

    public_key: PublicKey = field(repr=False)
    ciphertext: bytes = field(repr=False)
    policy: bytes = field(repr=False)  # JSON text, as the vault keeps it
    policy_immutable: bool
    sha384: bytes
    checks: tuple[Check, ...]


def _refused(check: str, *, found: str = "", expected: str = "") -> AttestationError:
    return AttestationError(Fault.RELEASE_INVALID, check=check, found=found, expected=expected)


def _object(data: bytes, check: str) -> JsonObject:
    return parse_object(data, limit=MAX_STATEMENT_BYTES, fault=Fault.RELEASE_INVALID, check=check)


def _member(parent: JsonObject, name: str, check: str) -> JsonObject:
    return member(parent, name, fault=Fault.RELEASE_INVALID, check=check)


def _decoded(parent: JsonObject, name: str, check: str) -> bytes:
    try:
        return b64url_decode(text_member(parent, name, fault=Fault.RELEASE_INVALID, check=check))
    except ValueError as error:
        raise _refused(check) from error


def _roots(trust: Trust) -> list[x509.Certificate]:
    if trust.release_roots is not None:
        pem = trust.release_roots.encode("utf-8")
        return list(load_pem_chain(pem, fault=Fault.CONFIG_INVALID, check="release-roots"))
    return system_roots()


def _subject(host: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def verify_chain_and_signature(raw: str, *, host: str, trust: Trust, now: float, record: Record) -> bytes:
    """S01 to S03: the payload of a statement that the certificate of `host` signed."""
    jws: UnverifiedJws = split_jws(
        raw, limit=MAX_STATEMENT_BYTES, fault=Fault.RELEASE_INVALID, check="S01", header_check="S01"
    )
    chain = record.take(_read_chain(jws))
    record.add(_check_chain(chain, host=host, trust=trust, now=now))
    key = chain[0].public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise _refused("S03", found="a leaf whose key is not RSA")
    payload = verify_rs256(jws, key, fault=Fault.RELEASE_INVALID, check="S03")
    record.add(Check("S03", "signed by the leaf"))
    return payload


def _read_chain(jws: UnverifiedJws) -> tuple[list[x509.Certificate], Check]:
    x5c: Any = jws.header.get("x5c")
    if not isinstance(x5c, list) or not 2 <= len(x5c) <= 6 or not all(isinstance(one, str) for one in x5c):
        raise _refused("S01")
    try:
        chain = [load_der(b64_decode(one), fault=Fault.RELEASE_INVALID, check="S01") for one in x5c]
    except ValueError as error:
        raise _refused("S01") from error
    return chain, Check("S01", f"{len(chain)} certificates")


def _check_chain(chain: list[x509.Certificate], *, host: str, trust: Trust, now: float) -> Check:
    try:
        at = datetime.fromtimestamp(now, UTC)
        verify_server(chain[0], chain[1:], roots=_roots(trust), at=at, names=[_subject(host)])
    except ValueError as error:  # CertificateRefused is a ValueError, and a name may be none
        raise _refused("S02", expected=f"a chain for {host}") from error
    return Check("S02", f"certificate of {host}")


def verify_statement(
    raw: str, *, key: KeySpec, located: VaultKey, nonce: str, trust: Trust, now: float
) -> VerifiedStatement:
    """Check a release statement for exactly this key and this request; RELEASE_INVALID with the number of the check."""
    with Record() as record:
        payload = verify_chain_and_signature(raw, host=located.vault.host, trust=trust, now=now, record=record)
        statement = _object(payload, "S01")
        request = _member(statement, "request", "S04")
        released = _member(_member(statement, "response", "S04"), "key", "S04")
        jwk = _member(released, "key", "S04")
        record.add(_check_ids(request, jwk, (key.kek_id, _with_port(located))))
        record.add(_check_nonce(request, nonce))
        record.add(_check_wrap(request))
        public = record.take(_read_public(released, jwk))
        record.add(_check_in_force(_member(released, "attributes", "S11"), now))
        record.add(_check_thumbprint(public, located.thumbprint))
        policy, immutable = record.take(_read_policy(_member(released, "release_policy", "S09"), key.policy_sha256))
        ciphertext = record.take(_read_ciphertext(jwk))
    return VerifiedStatement(
        public_key=public,
        ciphertext=ciphertext,
        policy=policy,
        policy_immutable=immutable,
        sha384=hashlib.sha384(raw.encode("ascii")).digest(),
        checks=record.checks,
        constructor_key=_CONSTRUCTOR_KEY,
    )


def _with_port(located: VaultKey) -> str:
    """How a Managed HSM writes an id, "https://{hsm}.managedhsm.azure.net:443/keys/..." (Az.KeyVault's examples)."""
    vault = located.vault
    return f"{vault.scheme}://{vault.host}:{vault.port}{vault.path}"


def _check_ids(request: JsonObject, jwk: JsonObject, spellings: tuple[str, str]) -> Check:
    found = (request.get("kid"), jwk.get("kid"))
    if not all(kid in spellings for kid in found):
        raise _refused("S04", found=f"{found[0]} and {found[1]}", expected=spellings[0])
    return Check("S04", spellings[0])


def _check_nonce(request: JsonObject, nonce: str) -> Check:
    echoed = request.get("nonce")
    if not (nonce and isinstance(echoed, str) and echoed.isascii() and hmac.compare_digest(echoed, nonce)):
        raise _refused("S05", found=f"nonce {echoed}", expected=f"nonce {nonce}")
    return Check("S05", "nonce ours")


def _check_wrap(request: JsonObject) -> Check:
    if request.get("enc") != WRAP:
        raise _refused("S06", found=str(request.get("enc")), expected=WRAP)
    return Check("S06", WRAP)


_ENCRYPTION: Final = frozenset({"encrypt", "decrypt", "wrapKey", "unwrapKey"})
_SIGNATURE: Final = frozenset({"sign", "verify"})


def _read_public(released: JsonObject, jwk: JsonObject) -> tuple[PublicKey, Check]:
    attributes = _member(released, "attributes", "S07")
    operations = jwk.get("key_ops")
    for name in ("exportable", "enabled"):
        if attributes.get(name) is not True:
            raise _refused("S07", found=f"{name} is not true")
    public: PublicKey
    match jwk.get("kty"):
        case "RSA-HSM" | "RSA":
            public = rsa_from_jwk(jwk, fault=Fault.RELEASE_INVALID, check="S07")
            if public.key_size < MIN_KEY_BITS:
                raise _refused("S07", found=f"{public.key_size} bits", expected=f"at least {MIN_KEY_BITS} bits")
            uses = _ENCRYPTION  # wrapKey alone is best, because then the vault itself opens nothing
        case "EC-HSM" | "EC":
            public = ec_from_jwk(jwk, fault=Fault.RELEASE_INVALID, check="S07")
            uses = _SIGNATURE
        case kind:
            raise _refused("S07", found=f"a key of kind {kind}")
    if not (isinstance(operations, list) and uses & {str(one) for one in operations}):
        raise _refused("S07", found=f"operations {operations}", expected=f"one of {', '.join(sorted(uses))}")
    return public, Check("S07", f"{jwk['kty']}, {public.key_size} bits")


def _check_in_force(attributes: JsonObject, now: float) -> Check:
    """S11. Key Vault releases expired keys too. No skew: the vault set these times, and days before."""
    begins, ends = attributes.get("nbf"), attributes.get("exp")
    if any(time is not None and type(time) is not int for time in (begins, ends)):  # true is not 1 here
        raise _refused("S11", found="a time that is not an integer")
    window = f"nbf {begins}, exp {ends}"
    if (begins is not None and now < begins) or (ends is not None and now >= ends):
        raise _refused("S11", found=window, expected=f"in force at {int(now)}")
    return Check("S11", window) if ends is not None else Skipped("S11", f"{window}: the key does not expire")


def _check_thumbprint(public: PublicKey, pinned: bytes) -> Check:
    found = jwk_thumbprint(public)
    if not hmac.compare_digest(found, pinned):
        raise _refused("S08", found=b64url(found), expected=b64url(pinned))
    return Check("S08", f"thumbprint {b64url(found)}")


def _read_policy(release_policy: JsonObject, pinned: str | None) -> tuple[tuple[bytes, bool], Check]:
    """The policy's bytes, and whether it is immutable: only if the vault states so."""
    policy = _decoded(release_policy, "data", "S09")
    digest = hashlib.sha256(policy).hexdigest()
    if pinned not in {None, digest}:
        raise _refused("S09", found=digest, expected=str(pinned))
    immutable = release_policy.get("immutable", False)
    if not isinstance(immutable, bool):
        raise _refused("S09", found="immutable is not a boolean")
    finding = f"policy {digest}"
    return (policy, immutable), Check("S09", finding) if pinned else Skipped("S09", f"{finding}, not pinned")


def _read_ciphertext(jwk: JsonObject) -> tuple[bytes, Check]:
    wrapped = _object(_decoded(jwk, "key_hsm", "S10"), "S10")
    header = _member(wrapped, "header", "S10")
    if header.get("enc") != WRAP or header.get("alg") != "dir":
        found = f"enc {header.get('enc')}, alg {header.get('alg')}"
        raise _refused("S10", found=found, expected=f"enc {WRAP}, alg dir")
    return _decoded(wrapped, "ciphertext", "S10"), Check("S10", WRAP)
