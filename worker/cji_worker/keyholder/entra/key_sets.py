"""The signing keys of the tenants that the policy names.

One thread fetches them, each set from the address of its tenant at the pinned authority; no token and no job has a part
in that. The main thread reads what was fetched last and never waits. It is a thread of its own, so that an authority
that does not answer delays neither the renewal of keys nor the evidence for callers.

Contract and invariants
* A set is fetched again after REFRESH, and after an unknown `kid`, but never twice within COOL_DOWN, however many
  unknown ones arrive and whatever failed. `Retry-After` is honoured.
* A new set replaces the old one: a key that is published no more is not accepted any more.
* A set that was fetched more than MAX_AGE ago is not used, so an outage that long refuses every token.
* A document is at most MAX_BYTES of strict JSON. Keys that are not RSA signature keys of 2048 to 8192 bits, or belong
  to another issuer, are left out; a `kid` that stands for two keys refuses the document.

Sources: learn.microsoft.com, "Access tokens in the Microsoft identity platform" (signing key rollover, issuer of a
key); RFC 7517.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm

from cji_attestation import AttestationError, Fault, Trust
from cji_attestation.fetch import exchange
from cji_attestation.strict import parse_object
from cji_attestation.trust import endpoint
from cji_core.jose import MAX_RSA_BITS, MIN_RSA_BITS
from cji_core.log import log
from cji_core.strict import JsonObject
from cji_worker.keyholder.entra.token import TokenRefused

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

MAX_BYTES: Final = 256 << 10
MAX_KEYS: Final = 64
MAX_KID: Final = 256
REFRESH: Final = 3600.0  # seconds between two fetches of a set
COOL_DOWN: Final = 60.0  # least time between two fetches, and after one that failed
MAX_AGE: Final = 86_400.0
_FETCH_SECONDS: Final = 10.0
_CHECK: Final = "entra-keys"
_E: Final = 65537
_ALGORITHM: Final = "RS256"


@dataclass(slots=True)
class _Tenant:
    """One tenant: its keys, and when they were fetched, tried, and will be fetched again. time.monotonic().

    `pause` is the least time after the last attempt, in seconds.
    """

    keys: "Mapping[str, RSAKey]" = field(default_factory=dict)
    fetched: float | None = None
    tried: float | None = None
    due: float = 0.0
    pause: float = COOL_DOWN


class KeySets:
    """The key sets of the tenants of a policy. Tests give another clock and another `fetch`."""

    def __init__(
        self,
        trust: Trust,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        fetch: Callable[[str], bytes] | None = None,
    ) -> None:
        self.authority: Final = endpoint(trust.entra, (trust.entra,), resource="", check="entra")
        self._roots, self._monotonic = trust.tls_roots, monotonic
        self._fetch = fetch or self._request
        self._tenants: dict[str, _Tenant] = {}
        self._changed = threading.Condition()

    def follow(self, tenants: frozenset[str]) -> None:
        """Fetch the keys of these tenants from now on, and forget those of others."""
        with self._changed:
            self._tenants = {each: self._tenants.get(each) or _Tenant() for each in tenants}
            self._changed.notify()

    def key(self, tenant: str, kid: str) -> "RSAKey":
        """The key of a `kid`. TokenRefused "keys" without a current set; "kid" for an unknown one, which is noted."""
        now = self._monotonic()
        with self._changed:
            found = self._tenants.get(tenant)
            if found is None or found.fetched is None or now - found.fetched > MAX_AGE:
                raise TokenRefused("keys")
            key = found.keys.get(kid)
            if key is None:
                found.due = min(found.due, (found.tried or now) + found.pause)
                self._changed.notify()
                raise TokenRefused("kid")
            return key

    def fetch(self, tenant: str) -> "Mapping[str, RSAKey]":
        """The keys that a tenant publishes now; KEYS_UNAVAILABLE. It takes up to ten seconds, and keeps nothing."""
        return parse_key_set(self._fetch(tenant), authority=self.authority.base, tenant=tenant)

    def start(self) -> None:
        """Begin to fetch, in a thread."""
        threading.Thread(target=self._run, name="entra", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._changed:
                wait = self._next()
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
            self.step()

    def _next(self) -> float | None:
        """Seconds until the next fetch; None without tenants."""
        if not self._tenants:
            return None
        return max(0.0, min(each.due for each in self._tenants.values()) - self._monotonic())

    def step(self) -> None:
        """Fetch every set that is due."""
        now = self._monotonic()
        with self._changed:
            due = [name for name, each in self._tenants.items() if each.due <= now]
        for tenant in due:
            self._update(tenant)

    def _update(self, tenant: str) -> None:
        keys: Mapping[str, RSAKey] | None = None
        pause = COOL_DOWN
        try:
            keys = self.fetch(tenant)
        except AttestationError as error:
            pause = max(pause, error.retry_after or 0.0)
            log("keys not fetched", fault=error.fault.value, check=error.check, tenant=tenant)
        except Exception as fault:  # noqa: BLE001 - a thread that ends would leave every tenant without keys in a day
            log("fault", error=type(fault).__name__)
        now = self._monotonic()
        with self._changed:
            found = self._tenants.get(tenant)
            if found is None:
                return
            found.tried, found.pause = now, pause
            if keys is None:
                found.due = now + pause
                return
            found.keys, found.fetched, found.due = keys, now, now + REFRESH
        log("keys fetched", tenant=tenant)

    def _request(self, tenant: str) -> bytes:
        reply = exchange(
            self.authority,
            method="GET",
            path=f"/{tenant}/discovery/v2.0/keys",
            headers={"Accept": "application/json"},
            body=None,
            roots=self._roots,
            limit=MAX_BYTES,
            seconds=_FETCH_SECONDS,
            fault=Fault.KEYS_UNAVAILABLE,
            check=_CHECK,
        )
        if reply.status != 200:
            raise AttestationError(Fault.KEYS_UNAVAILABLE, check=_CHECK, retry_after=reply.retry_after)
        return reply.body


def parse_key_set(data: bytes, *, authority: str, tenant: str) -> "Mapping[str, RSAKey]":
    """The usable keys of a document by their `kid`; KEYS_UNAVAILABLE for a document that has none, or is not sound.

    The issuer of a key is the tenant, or the template of a key that every tenant has.
    """
    entries = parse_object(data, limit=MAX_BYTES, fault=Fault.KEYS_UNAVAILABLE, check=_CHECK).get("keys")
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise AttestationError(Fault.KEYS_UNAVAILABLE, check=_CHECK)
    issuers = tuple(f"{authority}/{name}/v2.0" for name in (tenant, "{tenantid}"))
    keys: dict[str, RSAKey] = {}
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("issuer", issuers[0]) not in issuers:
            continue
        kid, key = entry.get("kid"), _rsa(entry)
        if key is None or not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
            continue
        if kid in keys and keys[kid].public_key.public_numbers() != key.public_key.public_numbers():
            raise AttestationError(Fault.KEYS_UNAVAILABLE, check=_CHECK)
        keys[kid] = key
    if not keys:
        raise AttestationError(Fault.KEYS_UNAVAILABLE, check=_CHECK)
    return keys


def _rsa(entry: JsonObject) -> "RSAKey | None":
    """The signature key of an entry, if it is one that Entra could sign with."""
    from joserfc.errors import JoseError  # noqa: PLC0415 - only a policy with the table entra needs it
    from joserfc.jwk import RSAKey  # noqa: PLC0415

    modulus, exponent = entry.get("n"), entry.get("e")
    if entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig" or entry.get("alg", _ALGORITHM) != _ALGORITHM:
        return None
    if "verify" not in (operations if isinstance(operations := entry.get("key_ops", ["verify"]), list) else ()):
        return None
    if not isinstance(modulus, str) or not isinstance(exponent, str) or len(modulus) > 2048 or len(exponent) > 8:
        return None
    try:
        key = RSAKey.import_key({"kty": "RSA", "n": modulus, "e": exponent})
        numbers = key.public_key.public_numbers()
    except (JoseError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if MIN_RSA_BITS <= numbers.n.bit_length() <= MAX_RSA_BITS and numbers.e == _E else None
