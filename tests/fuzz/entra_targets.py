"""What reaches the keyholder about a second identity: a call's `authorization`, the token in it, and a tenant's keys.

Claims are fuzzed under a good signature too, as a compromised application or another claim of Entra's could have them.
"""

import functools
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final, cast

from cji_attestation import AZURE_US, AttestationError
from cji_core.format.job import Submitter
from cji_simulator import jws
from cji_simulator.encoding import public_jwk, unb64url
from cji_worker.ipc.messages import MAX_AUTHORIZATION, MAX_PRESENTED, Presented
from cji_worker.keyholder.entra import KeySets, SecondIdentity, TokenRefused, VerifiedToken
from cji_worker.keyholder.entra.key_sets import MAX_BYTES, MAX_KEYS, parse_key_set
from tests.fuzz.attestation_targets import target
from tests.fuzz.mutators import BYTES, JSON, JWS, TEXT
from tests.support.entra_tools import AUDIENCE, AUTHORITY, ISSUER, NOW, PEM, RULE, SAN, TENANT, check, key_of, mint

__all__ = ["ENTRA"]

_SUBMITTER: Final = cast("Submitter", SimpleNamespace(entra=RULE, san=SAN))


@functools.cache
def _good() -> str:
    return mint()


def _ours(_: bytes, token: object) -> bool:
    """Only the rule's application is ever accepted."""
    assert isinstance(token, VerifiedToken)
    application = token.application
    return (application.tenant, application.client) == (RULE.tenant, RULE.client) and set(RULE.roles) <= token.roles


def _signed(data: bytes) -> VerifiedToken:
    _good()
    kid, key = next(iter(AUTHORITY.signing_keys.items()))
    header = {"typ": "JWT", "kid": kid}
    return check(jws.sign_bytes(header, data, key), now=NOW)


def _claims_fair(data: bytes, token: object) -> bool:
    """What was accepted says so when it is read without care."""
    claims = json.loads(data)
    assert claims["iss"] == f"{ISSUER}/{TENANT}/v2.0"
    assert (claims["aud"], claims["azp"], claims["idtyp"], claims["ver"]) == (AUDIENCE, RULE.client, "app", "2.0")
    return _ours(data, token) and "scp" not in claims


class _OneSet(KeySets):
    """The keys of the authority here."""

    def key(self, tenant: str, kid: str) -> Any:
        return key_of(tenant, kid)


@functools.cache
def _second() -> SecondIdentity:
    return SecondIdentity(audience=AUDIENCE, keys=_OneSet(AZURE_US))


def _authorization(data: bytes) -> VerifiedToken | None:
    """Values that are separated by NUL, as the front passes them on."""
    values = [value[:MAX_AUTHORIZATION] for value in data.decode("latin-1").split("\0")]
    presented = Presented(certificate=PEM, authorization=tuple(values[:MAX_PRESENTED]))
    return _second().authenticate(presented, _SUBMITTER, now=datetime.fromtimestamp(NOW, UTC))


@functools.cache
def _documents() -> tuple[bytes, ...]:
    _good()
    kid, key = next(iter(AUTHORITY.signing_keys.items()))
    entry = {"use": "sig", "kid": kid, "issuer": f"{ISSUER}/{{tenantid}}/v2.0", **public_jwk(key.public_key())}
    return (json.dumps({"keys": [entry, {**entry, "kid": "other"}]}).encode(),)


def _keys_fair(data: bytes, keys: object) -> bool:
    assert isinstance(keys, dict)
    sound = all(2048 <= key.public_key.key_size <= 8192 for key in keys.values())
    return sound and 0 < len(keys) <= MAX_KEYS and len(data) <= MAX_BYTES


ENTRA: Final = (
    target(
        "entra-token",
        lambda: (_good().encode(),),
        lambda data: check(data.decode("latin-1"), now=NOW),
        refusals=(TokenRefused,),
        fair=_ours,
        mutators=JWS,
        weight=10,
    ),
    target(
        "entra-claims",
        lambda: (unb64url(_good().split(".")[1]),),
        _signed,
        refusals=(TokenRefused,),
        fair=_claims_fair,
        mutators=JSON,
        weight=4,
    ),
    target(
        "entra-authorization",
        lambda: (f"Bearer {_good()}".encode(), f"mtls_pop {_good()}".encode()),
        _authorization,
        refusals=(TokenRefused,),
        fair=_ours,
        mutators=(*BYTES, *TEXT),
        weight=5,
    ),
    target(
        "entra-keys",
        _documents,
        lambda data: parse_key_set(data, authority=ISSUER, tenant=TENANT),
        refusals=(AttestationError,),
        fair=_keys_fair,
        mutators=JSON,
        weight=5,
    ),
)
