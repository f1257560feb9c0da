"""The signing keys of one pinned issuer, from its own `/certs`; never from a token, never by a token's `jku` or `iss`.

Providers share signing keys and roll them without notice (two-month notice is given for the enclaves behind them).
A key is trusted for LIFETIME after the last document that had it, so tokens of a rolled key stay valid for that long.
The document is fetched again when it is REFRESH old and for an unknown kid, at most once every COOL_DOWN however many
unknown kids arrive; a fetch that failed is not repeated before RETRY. Callers wait for the fetch of another.
Old providers publish only `kid`, `kty` and `x5c`: the key is then the first certificate's.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.fetch import exchange
from cji_attestation.strict import load_der, parse_object, rsa_from_jwk
from cji_attestation.trust import Endpoint, Trust
from cji_core.jose import canonical_jwk
from cji_core.strict import JsonObject, b64_decode

MAX_JWKS_BYTES: Final = 512 * 1024  # real documents have 96 KiB: their certificates embed the enclave's evidence
MAX_KEYS: Final = 64
MAX_KID: Final = 256
LIFETIME: Final = 3600.0  # seconds until a key that is published no more is forgotten
REFRESH: Final = 1800.0  # seconds; half of it, so that an outage as long as that costs no key
COOL_DOWN: Final = 60.0  # seconds between fetches for unknown kids
RETRY: Final = 5.0  # seconds after a fetch that failed
FETCH_SECONDS: Final = 10.0
_CHECK: Final = "T03"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A published key, and the first certificate of its entry, of which only the key is trusted."""

    key: rsa.RSAPublicKey
    certificate: x509.Certificate | None


def _entry(entry: Any) -> tuple[str, SigningKey] | None:
    """(kid, key) of one entry, or None where it is not an RSA signature key that this reader understands."""
    if not isinstance(entry, dict) or entry.get("kty") != "RSA":
        return None
    kid, x5c = entry.get("kid"), entry.get("x5c")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256" or not _verifies(entry):
        return None
    found: list[rsa.RSAPublicKey] = []
    certificate: x509.Certificate | None = None
    try:
        if "n" in entry:
            found.append(rsa_from_jwk(entry, fault=Fault.TOKEN_INVALID, check=_CHECK))
        if "x5c" in entry:
            first = x5c[0] if isinstance(x5c, list) and x5c and isinstance(x5c[0], str) else ""
            certificate = load_der(b64_decode(first), fault=Fault.TOKEN_INVALID, check=_CHECK)
            found.append(_sound(certificate))
    except (AttestationError, ValueError):
        return None
    if len({key.public_numbers() for key in found}) != 1:
        return None
    return kid, SigningKey(key=found[0], certificate=certificate)


def _numbers(public: rsa.RSAPublicKey) -> JsonObject:
    text = canonical_jwk(public).encode()
    return parse_object(text, limit=len(text), fault=Fault.TOKEN_INVALID, check=_CHECK)


def _verifies(entry: JsonObject) -> bool:
    """RFC 7517 §4.3: where a key lists its operations, one that verifies signatures is among them, each listed once."""
    operations = entry.get("key_ops", ["verify"])
    return isinstance(operations, list) and operations.count("verify") == 1


def _sound(certificate: x509.Certificate) -> rsa.RSAPublicKey:
    """The certificate's key, held to the same rules as one that is written as numbers."""
    public = certificate.public_key()
    if not isinstance(public, rsa.RSAPublicKey):
        raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK)
    return rsa_from_jwk(_numbers(public), fault=Fault.TOKEN_INVALID, check=_CHECK)


def parse_jwks(data: bytes) -> Mapping[str, SigningKey]:
    """Every usable key by its kid; unusable entries are left out.

    TOKEN_INVALID "T03" for a document with a kid that stands for two keys, and for one without any usable key.
    """
    document = parse_object(data, limit=MAX_JWKS_BYTES, fault=Fault.TOKEN_INVALID, check=_CHECK)
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK)
    keys: dict[str, SigningKey] = {}
    for found in map(_entry, entries):
        if found is None:
            continue
        kid, key = found
        if kid in keys and keys[kid].key.public_numbers() != key.key.public_numbers():
            raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK)
        keys[kid] = key
    if not keys:
        raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK)
    return keys


@dataclass(frozen=True, slots=True, kw_only=True)
class _Published:
    key: SigningKey
    seen: float  # monotonic seconds


class SigningKeys:
    """A cache of one issuer's keys. `fetch` replaces the request if the document comes from elsewhere, as offline."""

    def __init__(
        self,
        *,
        issuer: Endpoint,
        trust: Trust,
        monotonic: Callable[[], float] = time.monotonic,
        fetch: Callable[[], bytes] | None = None,
    ) -> None:
        self.issuer = issuer.base
        self._endpoint = issuer
        self._roots = trust.tls_roots
        self.amd_roots = trust.amd_roots  # for the evidence that certificates carry
        self._monotonic = monotonic
        self._fetch = self._request if fetch is None else fetch
        self.from_issuer = fetch is None
        """Whether the document comes over TLS from the issuer itself; otherwise nothing shows whose keys it has."""
        self._lock = threading.Lock()
        self._keys: dict[str, _Published] = {}
        self._fetched: float | None = None
        self._failure: tuple[float, AttestationError] | None = None
        self.document = b""
        """The last document that had usable keys, as it was served: with it, a token can be verified again offline."""

    def get(self, kid: str) -> SigningKey:
        """The key of a kid; TOKEN_INVALID "T03" where the issuer does not publish it, MAA_UNAVAILABLE "jwks"."""
        with self._lock:
            now = self._monotonic()
            age = math.inf if self._fetched is None else now - self._fetched
            known = self._known(kid, now)
            if age > REFRESH or (known is None and age > COOL_DOWN):
                try:
                    self._update(now)
                except AttestationError:
                    if known is None:
                        raise
                known = self._known(kid, now)
            if known is None:
                raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK)
            return known

    def _known(self, kid: str, now: float) -> SigningKey | None:
        found = self._keys.get(kid)
        return None if found is None or now - found.seen > LIFETIME else found.key

    def _update(self, now: float) -> None:
        """Merge a new document; what it no longer has keeps the time when it was seen last."""
        if self._failure is not None and now - self._failure[0] <= RETRY:
            failure = self._failure[1]
            raise AttestationError(failure.fault, check=failure.check, retry_after=failure.retry_after)
        try:
            document = self._fetch()
            published = parse_jwks(document)
        except AttestationError as error:
            self._failure = now, error
            raise
        self._fetched, self.document = now, document
        kept = {kid: old for kid, old in self._keys.items() if now - old.seen <= LIFETIME}
        self._keys = kept | {kid: _Published(key=key, seen=now) for kid, key in published.items()}

    def _request(self) -> bytes:
        reply = exchange(
            self._endpoint,
            method="GET",
            path="/certs",
            headers={"Accept": "application/jwk+json, application/json"},
            body=None,
            roots=self._roots,
            limit=MAX_JWKS_BYTES,
            seconds=FETCH_SECONDS,
            fault=Fault.MAA_UNAVAILABLE,
            check="jwks",
        )
        if reply.status != 200:
            raise AttestationError(Fault.MAA_UNAVAILABLE, check="jwks", retry_after=reply.retry_after)
        return reply.body
