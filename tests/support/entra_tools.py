"""Tokens, keys and certificates for tests of the token reader, without a server."""

import time
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import RSAKey

from cji_core.format.job import EntraRule
from cji_simulator.certificates import authority, leaf, pem
from cji_simulator.entra import Entra, TokenOrder
from cji_simulator.faults import Faults
from cji_worker.keyholder.entra import TokenRefused, VerifiedToken
from cji_worker.keyholder.entra.token import verify_token

TENANT: Final = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
CLIENT: Final = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
OTHER: Final = "cccccccc-cccc-4ccc-8ccc-cccccccccccc"
AUDIENCE: Final = "33333333-3333-4333-8333-333333333333"
ISSUER: Final = "https://login.microsoftonline.com"
SAN: Final = "spiffe://cji.example/agency/metro-pd"
RULE: Final = EntraRule(tenant=TENANT, client=CLIENT, roles=("Cji.Jobs.Run",))
_CA: Final = authority("CA", ec.generate_private_key(ec.SECP256R1()))
CERTIFICATE: Final = leaf("a", ec.generate_private_key(ec.SECP256R1()), _CA, uris=[SAN]).certificate
PEM: Final = pem(CERTIFICATE)
STRANGER: Final = pem(leaf("b", ec.generate_private_key(ec.SECP256R1()), _CA, uris=[f"{SAN}2"]).certificate)
SHA256: Final = CERTIFICATE.fingerprint(hashes.SHA256())
AUTHORITY: Final = Entra(faults=Faults())
AUTHORITY.url = ISSUER
NOW: Final = int(time.time())


def mint(**changes: Any) -> str:
    """A token that is good at `NOW` and for an hour, or one with changes."""
    values: dict[str, Any] = {
        "tenant": TENANT,
        "client": CLIENT,
        "audience": AUDIENCE,
        "roles": RULE.roles,
        "certificate_sha256": SHA256.hex(),
        **changes,
    }
    values["claims"] = {"iat": NOW, "nbf": NOW, "exp": NOW + 3600, **values.get("claims", {})}
    return AUTHORITY.mint(TokenOrder(**values))


def key_of(tenant: str, kid: str) -> RSAKey:
    """The key of the authority, which signs for one tenant."""
    if tenant != TENANT:
        raise TokenRefused("keys")
    try:
        return RSAKey.import_key(AUTHORITY.signing_keys[kid].public_key())
    except KeyError:
        raise TokenRefused("kid") from None


def check(raw: str, *, now: float, rule: EntraRule = RULE) -> VerifiedToken:
    """What the worker makes of a token."""
    return verify_token(raw, rule, key_of=key_of, issuer=ISSUER, audience=AUDIENCE, certificate_sha256=SHA256, now=now)
