"""`verify_statement`: what Key Vault says it released, or RELEASE_INVALID with the number of the check (S01 to S10)."""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from attestation.certs import load_der, load_pem_chain
from attestation.errors import AttestationError, Fault
from attestation.jose import (
    PublicKey,
    UnverifiedJws,
    b64url_decode,
    ec_from_jwk,
    jwk_thumbprint,
    rsa_from_jwk,
    split_jws,
    std_b64decode,
    verify_rs256,
)
from attestation.release.keyspec import KeySpec, VaultKey
from attestation.strict_json import JsonObject, member, parse_object, text_member
from attestation.system_roots import system_roots
from attestation.trust import Trust
from attestation.verified import _CONSTRUCTOR_KEY, Verified

__all__ = ["WRAP", "VerifiedStatement", "verify_chain_and_signature", "verify_statement"]

WRAP: Final = "RSA_AES_KEY_WRAP_256"
MAX_STATEMENT_BYTES: Final = 128 * 1024
MIN_KEY_BITS: Final = 3072


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedStatement(Verified):
    """A statement that passed S01 to S10. The ciphertext is a wrapped key, still of no use without the TPM.

    The release policy is what the vault says, not yet checked.
    """

    public_key: PublicKey = field(repr=False)
    ciphertext: bytes = field(repr=False)
    policy: bytes = field(repr=False)  # JSON text, as the vault keeps it
    policy_immutable: bool
    sha384: bytes


def _refuse(check: str, error: Exception | None = None) -> AttestationError:
    refusal = AttestationError(Fault.RELEASE_INVALID, check=check)
    refusal.__cause__ = error
    return refusal


def _require(condition: bool, check: str) -> None:
    if not condition:
        raise _refuse(check)


def _object(data: bytes, check: str) -> JsonObject:
    return parse_object(data, limit=MAX_STATEMENT_BYTES, fault=Fault.RELEASE_INVALID, check=check)


def _member(parent: JsonObject, name: str, check: str) -> JsonObject:
    return member(parent, name, fault=Fault.RELEASE_INVALID, check=check)


def _decoded(parent: JsonObject, name: str, check: str) -> bytes:
    try:
        return b64url_decode(text_member(parent, name, fault=Fault.RELEASE_INVALID, check=check))
    except ValueError as error:
        raise _refuse(check, error) from error


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


def verify_chain_and_signature(raw: str, *, host: str, trust: Trust, now: float) -> bytes:
    """S01 to S03: the payload of a statement that the certificate of `host` signed."""
    jws: UnverifiedJws = split_jws(
        raw, limit=MAX_STATEMENT_BYTES, fault=Fault.RELEASE_INVALID, check="S01", header_check="S01"
    )
    x5c: Any = jws.header.get("x5c")
    if not isinstance(x5c, list) or not 2 <= len(x5c) <= 6 or not all(isinstance(one, str) for one in x5c):
        raise _refuse("S01")
    try:
        chain = [load_der(std_b64decode(one), fault=Fault.RELEASE_INVALID, check="S01") for one in x5c]
    except ValueError as error:
        raise _refuse("S01", error) from error
    try:
        verifier = (
            PolicyBuilder()
            .store(Store(_roots(trust)))
            .time(datetime.fromtimestamp(now, UTC))
            .build_server_verifier(_subject(host))
        )
        verifier.verify(chain[0], chain[1:])
    except (VerificationError, ValueError) as error:
        raise _refuse("S02", error) from error
    key = chain[0].public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise _refuse("S03")
    return verify_rs256(jws, key, fault=Fault.RELEASE_INVALID, check="S03")


def verify_statement(
    raw: str, *, key: KeySpec, located: VaultKey, nonce: str, trust: Trust, now: float
) -> VerifiedStatement:
    """Check a release statement for exactly this key and this request."""
    statement = _object(verify_chain_and_signature(raw, host=located.vault.host, trust=trust, now=now), "S01")
    request = _member(statement, "request", "S04")
    released = _member(_member(statement, "response", "S04"), "key", "S04")
    jwk = _member(released, "key", "S04")
    spellings = (key.kek_id, _with_port(located))
    _require(request.get("kid") in spellings and jwk.get("kid") in spellings, "S04")
    echoed = request.get("nonce")
    _require(bool(nonce) and isinstance(echoed, str) and echoed.isascii(), "S05")
    _require(hmac.compare_digest(str(echoed), nonce), "S05")
    _require(request.get("enc") == WRAP, "S06")
    public = _public(released, jwk)
    _require(hmac.compare_digest(jwk_thumbprint(public), located.thumbprint), "S08")
    policy, immutable = _policy(_member(released, "release_policy", "S09"), key.policy_sha256)
    return VerifiedStatement(
        public_key=public,
        ciphertext=_ciphertext(jwk),
        policy=policy,
        policy_immutable=immutable,
        sha384=hashlib.sha384(raw.encode("ascii")).digest(),
        constructor_key=_CONSTRUCTOR_KEY,
    )


def _with_port(located: VaultKey) -> str:
    """How a Managed HSM writes an id, "https://{hsm}.managedhsm.azure.net:443/keys/..." (Az.KeyVault's examples)."""
    vault = located.vault
    return f"{vault.scheme}://{vault.host}:{vault.port}{vault.path}"


_ENCRYPTION: Final = frozenset({"encrypt", "decrypt", "wrapKey", "unwrapKey"})
_SIGNATURE: Final = frozenset({"sign", "verify"})


def _public(released: JsonObject, jwk: JsonObject) -> PublicKey:
    """S07."""
    attributes = _member(released, "attributes", "S07")
    operations = jwk.get("key_ops")
    _require(attributes.get("exportable") is True and attributes.get("enabled") is True, "S07")
    public: PublicKey
    match jwk.get("kty"):
        case "RSA-HSM" | "RSA":
            public = rsa_from_jwk(jwk, fault=Fault.RELEASE_INVALID, check="S07")
            _require(public.key_size >= MIN_KEY_BITS, "S07")
            uses = _ENCRYPTION  # wrapKey alone is best, because then the vault itself opens nothing
        case "EC-HSM" | "EC":
            public = ec_from_jwk(jwk, fault=Fault.RELEASE_INVALID, check="S07")
            uses = _SIGNATURE
        case _:
            raise _refuse("S07")
    _require(isinstance(operations, list) and bool(uses & {str(one) for one in operations}), "S07")
    return public


def _policy(release_policy: JsonObject, pinned: str | None) -> tuple[bytes, bool]:
    """S09. A policy that is not said to be immutable is not."""
    policy = _decoded(release_policy, "data", "S09")
    immutable = release_policy.get("immutable", False)
    _require(pinned is None or hashlib.sha256(policy).hexdigest() == pinned, "S09")
    _require(isinstance(immutable, bool), "S09")
    return policy, immutable


def _ciphertext(jwk: JsonObject) -> bytes:
    """S10."""
    wrapped = _object(_decoded(jwk, "key_hsm", "S10"), "S10")
    header = _member(wrapped, "header", "S10")
    _require(header.get("enc") == WRAP and header.get("alg") == "dir", "S10")
    return _decoded(wrapped, "ciphertext", "S10")
