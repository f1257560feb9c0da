"""Detached signatures of a policy file: one compact JWS a line, in a file of its own beside the policy.

    header   {"alg":"ES384","kid":"<RFC 7638 thumbprint>","typ":"cji-policy+jws"}     exactly, in this order
    payload  {"policy_sha384":"<hex>","signed":"YYYY-MM-DDThh:mm:ssZ"}                exactly, in this order

`policy_sha384` is SHA-384 over `DOMAIN` and then the bytes of the file, so that it is not the digest of anything else;
ES384 is that of RFC 7518 §3.4. A signature chooses nothing: algorithm and type are fixed, and `kid` is only compared
with the keys that the configuration lists.

Contract and invariants
* `verify` needs enough signatures of *different* listed keys on exactly these bytes. Others are not counted: those of
  unknown keys, on other bytes (an earlier version of the file), or of the future.
* A line that is not such a JWS, or whose signature is not that of its listed key, makes the whole file invalid.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta

from cji_core.digests import Hex96
from cji_core.documents import OneForm
from cji_core.errors import CoreError
from cji_core.format.job.limits import LIMITS
from cji_core.jose import (
    UnverifiedCompact,
    es384_sign,
    es384_verify,
    join_compact,
    key_id,
    parse_p384,
    public_jwk,
    split_compact,
)

DOMAIN: Final = b"cji-worker policy file\0"
MAX_SIGNATURES: Final = 16
"""In one file."""
_MAX_LINE: Final = 1024
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    alg: Literal["ES384"]
    kid: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
    typ: Literal["cji-policy+jws"]


class _Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    policy_sha384: Hex96
    signed: Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")]


_headers: Final = OneForm(_Header, limit=_MAX_LINE)
_payloads: Final = OneForm(_Payload, limit=_MAX_LINE)


class SignaturesInvalid(CoreError):  # noqa: N818 - the domain's word, as PolicyInvalid is
    """The signatures do not suffice. `where` explains it to the operator."""

    code = "policy-signatures-invalid"
    remedy = "Have the policy signed by the keys that the configuration names."

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A well-formed line; it is not verified."""

    kid: str
    policy_sha384: str
    signed: datetime
    compact: str
    jws: UnverifiedCompact

    def is_of(self, key: ec.EllipticCurvePublicKey) -> bool:
        """Whether this key made it."""
        try:
            es384_verify(key, self.jws.signature, self.jws.signing_input)
        except InvalidSignature:
            return False
        return True


def sign(data: bytes, key: ec.EllipticCurvePrivateKey, *, now: datetime) -> str:
    """The line for the policy file `data`, without its line feed. ValueError for another curve than P-384."""
    header = _Header(alg="ES384", kid=key_id(key.public_key()), typ="cji-policy+jws")
    payload = _Payload(policy_sha384=digest(data), signed=f"{now.astimezone(UTC):{_TIME}}")
    return join_compact(_headers.encode(header), _payloads.encode(payload), lambda signed: es384_sign(key, signed))


def digest(data: bytes) -> str:
    """The digest that signatures of the file `data` name, in hexadecimal."""
    return hashlib.sha384(DOMAIN + data).hexdigest()


def read_signatures(text: bytes) -> Iterator[Signature]:
    """The lines of a signature file (at most 16). Raises SignaturesInvalid at the first that is none."""
    lines = text.splitlines()
    if len(lines) > MAX_SIGNATURES:
        raise SignaturesInvalid(f"more than {MAX_SIGNATURES} signatures")
    for number, line in enumerate(lines, 1):
        try:
            yield _signature(line)
        except ValueError as error:  # UnicodeError and StrictError are ValueErrors
            raise SignaturesInvalid(f"line {number} is not a signature of a policy") from error


def signers_of(jwks: Sequence[str]) -> Mapping[str, ec.EllipticCurvePublicKey]:
    """The keys in these canonical JWKs by thumbprint. Raises SignaturesInvalid for another text, or one key twice."""
    found: dict[str, ec.EllipticCurvePublicKey] = {}
    for i, jwk in enumerate(jwks):
        try:
            key = parse_p384(jwk)
        except ValueError as error:
            raise SignaturesInvalid(f"policy_signers[{i}] is not the JWK of a P-384 public key") from error
        if public_jwk(key) != jwk or key_id(key) in found:
            raise SignaturesInvalid(f"policy_signers[{i}] is listed twice, or not written as `cji policy signer` does")
        found[key_id(key)] = key
    return found


def verify(data: bytes, signatures: bytes, *, jwks: Sequence[str], needed: int, now: datetime) -> tuple[str, ...]:
    """The thumbprints of the listed signers of the policy file `data`, at least `needed` of them, sorted.

    `jwks` are the listed keys. Raises SignaturesInvalid.
    """
    listed, found, wanted = signers_of(jwks), set[str](), digest(data)
    for number, each in enumerate(read_signatures(signatures), 1):
        key = listed.get(each.kid)
        if key is None or each.policy_sha384 != wanted or each.signed > now + LIMITS.skew:
            continue
        if not each.is_of(key):
            raise SignaturesInvalid(f"line {number} is not a signature of the key that it names")
        found.add(each.kid)
    if len(found) < needed:
        raise SignaturesInvalid(f"{len(found)} of {needed} signatures of different signers on this policy")
    return tuple(sorted(found))


def _signature(line: bytes) -> Signature:
    compact = line.decode("ascii")
    jws = split_compact(compact, limit=_MAX_LINE)
    header, payload = _headers.decode(jws.header), _payloads.decode(jws.payload)
    signed = datetime.strptime(payload.signed, _TIME).replace(tzinfo=UTC)
    return Signature(kid=header.kid, policy_sha384=payload.policy_sha384, signed=signed, compact=compact, jws=jws)
