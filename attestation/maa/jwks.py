"""The signing keys of one pinned issuer, from its own `/certs`; never from a token, never by a token's `jku` or `iss`.

Providers share signing keys and roll them without notice (two-month notice is given for the enclaves behind them),
so an unknown kid means one more fetch, at most every COOL_DOWN seconds however many unknown kids arrive.
Old providers publish only `kid`, `kty` and `x5c`: the key is then the first certificate's.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa

from attestation.certs import load_der
from attestation.errors import AttestationError, Fault
from attestation.fetch import exchange
from attestation.jose import rsa_from_jwk, std_b64decode
from attestation.strict_json import parse_object
from attestation.trust import Endpoint, Trust

__all__ = ["MAX_JWKS_BYTES", "SigningKeys", "parse_jwks"]

MAX_JWKS_BYTES: Final = 512 * 1024  # real documents have 96 KiB: their certificates embed the enclave's evidence
MAX_KEYS: Final = 64
MAX_KID: Final = 256
COOL_DOWN: Final = 60.0  # seconds between fetches for unknown kids
LIFETIME: Final = 3600.0  # seconds until a withdrawn key is forgotten
FETCH_SECONDS: Final = 10.0
_CHECK: Final = "T03"


def _key(entry: Any) -> tuple[str, rsa.RSAPublicKey] | None:
    """(kid, key) of one entry, or None where it is not an RSA signature key that this reader understands."""
    if not isinstance(entry, dict) or entry.get("kty") != "RSA":
        return None
    kid, x5c = entry.get("kid"), entry.get("x5c")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
        return None
    found: list[rsa.RSAPublicKey] = []
    try:
        if "n" in entry:
            found.append(rsa_from_jwk(entry, fault=Fault.TOKEN_INVALID, check=_CHECK))
        if isinstance(x5c, list) and x5c and isinstance(x5c[0], str):
            public = load_der(std_b64decode(x5c[0]), fault=Fault.TOKEN_INVALID, check=_CHECK).public_key()
            if not isinstance(public, rsa.RSAPublicKey) or public.key_size < 2048:
                return None
            found.append(public)
    except (AttestationError, ValueError):
        return None
    numbers = {key.public_numbers() for key in found}
    return (kid, found[0]) if len(numbers) == 1 else None


def parse_jwks(data: bytes) -> Mapping[str, rsa.RSAPublicKey]:
    """Every usable key by its kid; unusable entries are left out, a kid that stands for two keys is an error."""
    document = parse_object(data, limit=MAX_JWKS_BYTES, fault=Fault.TOKEN_INVALID, check=_CHECK)
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK)
    keys: dict[str, rsa.RSAPublicKey] = {}
    for found in map(_key, entries):
        if found is None:
            continue
        kid, key = found
        if kid in keys and keys[kid].public_numbers() != key.public_numbers():
            raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK)
        keys[kid] = key
    return keys


class SigningKeys:
    """A cache of one issuer's keys. `ask` replaces the fetch where the document comes from elsewhere, as offline."""

    def __init__(
        self,
        *,
        issuer: Endpoint,
        trust: Trust,
        monotonic: Callable[[], float] = time.monotonic,
        ask: Callable[[], bytes] | None = None,
    ) -> None:
        self.issuer = issuer.base
        self._endpoint = issuer
        self._roots = trust.tls_roots
        self._monotonic = monotonic
        self._ask = self._fetch if ask is None else ask
        self._lock = threading.Lock()
        self._keys: Mapping[str, rsa.RSAPublicKey] = {}
        self._fetched: float | None = None

    def get(self, kid: str) -> rsa.RSAPublicKey:
        """The key of a kid; TOKEN_INVALID "T03" where the issuer does not publish it, MAA_UNAVAILABLE "jwks"."""
        with self._lock:
            now = self._monotonic()
            age = None if self._fetched is None else now - self._fetched
            if age is None or age > LIFETIME or (kid not in self._keys and age > COOL_DOWN):
                self._keys = parse_jwks(self._ask())
                self._fetched = now
            try:
                return self._keys[kid]
            except KeyError as error:
                raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK) from error

    def _fetch(self) -> bytes:
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
