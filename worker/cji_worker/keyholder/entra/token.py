"""One access token of Microsoft Entra against one rule of the policy. Pure; the signature is verified by `joserfc`.

Contract and invariants
* The algorithm is RS256, whatever a token says. Its key is the one of that `kid` in the key set of the tenant that the
  *policy* names; a key or an address in a header is a reason to refuse the token.
* No claim counts before the signature has been verified. Claims are strict JSON: a claim that is there twice refuses
  the token, wherever it is.
* `verify_token` returns a `VerifiedToken`, which nothing else can construct, or raises TokenRefused with its check.

The checks, in this order, each the only one that its fault fails:

    size           the token has at most 16 KiB
    form           three parts; header and claims are strict JSON objects; a header of a JWT with known members
    algorithm      RS256
    keys, kid      the tenant's key set is current and has the key
    signature
    version        `ver` is 2.0
    issuer tenant  `iss` is the tenant's of this cloud, `tid` the tenant
    audience       `aud` is this worker's
    client         `azp` (in version 1.0 `appid`) is the client
    app-only       `idtyp` is app, and there is no `scp`: no user is behind it
    times          not-yet-valid, expired; 60 seconds of skew
    lifetime       from `iat` to `exp` 25 hours at most: a day, as managed identities get, and what Entra adds
    binding        `cnf` has SHA-256 of the certificate as its `x5t#S256`
    role           one of the rule's roles is in `roles`

Sources: learn.microsoft.com, "Access token claims reference", "Secure applications and APIs by validating claims",
"Optional claims reference" (`idtyp`); RFC 7519 §4, RFC 7800 §3, RFC 8705 §3.1, RFC 8725.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cji_attestation import AttestationError, Fault
from cji_attestation.strict import parse_object
from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job import LIMITS, EntraRule
from cji_core.jose import CompactError, split_compact
from cji_core.strict import JsonObject, b64url
from cji_core.trail import EntraApplication, TokenCheck, token_or_none
from cji_core.verified import _CONSTRUCTOR_KEY, Verified

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

_HEADER: Final = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})
_ALGORITHM: Final = "RS256"
_MAX_HEADER: Final = 512
_SKEW: Final = LIMITS.skew.total_seconds()
_LIFETIME: Final = 25 * 3600


class TokenRefused(Refusal):
    """An access token was refused. `check` is for the audit trail; callers see the Reason alone."""

    def __init__(self, check: TokenCheck) -> None:
        super().__init__(Reason.NOT_READY if check == "keys" else Reason.TOKEN_REFUSED, stage=Stage.ADMIT)
        self.check: Final = check


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken(Verified):
    """A token that passed every check when its call came. `roles` are those that it has, not those that were asked."""

    application: EntraApplication
    roles: frozenset[str]


def require_rule(token: VerifiedToken | None, rule: EntraRule | None) -> None:
    """Raise TokenRefused if the rule needs another token than this one: the policy may have changed since."""
    if rule is None:
        return
    if token is None:
        raise TokenRefused("missing")
    _require("tenant", token.application.tenant == rule.tenant)
    _require("client", token.application.client == rule.client)
    _require("role", not token.roles.isdisjoint(rule.roles))


def verify_token(
    raw: str,
    rule: EntraRule,
    *,
    key_of: "Callable[[str, str], RSAKey]",
    issuer: str,
    audience: str,
    certificate_sha256: bytes,
    now: float,
) -> VerifiedToken:
    """Return the token if it is one of `rule` now, else raise TokenRefused.

    `key_of` returns the key of a tenant and a `kid`, or raises TokenRefused. `issuer` is the base URL of the authority,
    `now` is in seconds since 1970.
    """
    claims = _authentic(raw, rule.tenant, key_of)
    _require("version", claims.get("ver") == "2.0")
    _require("issuer", claims.get("iss") == f"{issuer}/{rule.tenant}/v2.0")
    _require("tenant", claims.get("tid") == rule.tenant)
    _require("audience", claims.get("aud") == audience)
    _require("client", claims.get("azp") == rule.client and claims.get("appid", rule.client) == rule.client)
    _require("app-only", claims.get("idtyp") == "app" and "scp" not in claims)
    _check_times(claims, now)
    _check_binding(claims.get("cnf"), certificate_sha256)
    uti = claims.get("uti")
    application = EntraApplication(
        tenant=rule.tenant, client=rule.client, uti=token_or_none(uti) if isinstance(uti, str) else None
    )
    token = VerifiedToken(application=application, roles=_texts(claims.get("roles")), constructor_key=_CONSTRUCTOR_KEY)
    require_rule(token, rule)  # its role
    return token


def _authentic(raw: str, tenant: str, key_of: "Callable[[str, str], RSAKey]") -> JsonObject:
    """The claims, signed with a current key of the tenant."""
    from joserfc import jws  # noqa: PLC0415 - as in `key_sets`
    from joserfc.errors import JoseError  # noqa: PLC0415

    _require("size", len(raw) <= LIMITS.token_bytes)
    try:
        parts = split_compact(raw, limit=LIMITS.token_bytes)
    except CompactError as error:
        raise TokenRefused("form") from error
    header = _strict(parts.header, limit=_MAX_HEADER)
    _require("form", header.keys() <= _HEADER and header.get("typ") == "JWT")
    _require("algorithm", header.get("alg") == _ALGORITHM)
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise TokenRefused("kid")
    key = key_of(tenant, kid)
    try:
        payload = jws.deserialize_compact(raw, key, algorithms=[_ALGORITHM]).payload
    except JoseError as error:
        raise TokenRefused("signature") from error
    return _strict(payload, limit=LIMITS.token_bytes)


def _strict(data: bytes, *, limit: int) -> JsonObject:
    try:
        return parse_object(data, limit=limit, fault=Fault.TOKEN_INVALID, check="form")
    except AttestationError as error:
        raise TokenRefused("form") from error


def _check_times(claims: JsonObject, now: float) -> None:
    begin, issued, end = (claims.get(name) for name in ("nbf", "iat", "exp"))
    if not (type(begin) is int and type(issued) is int and type(end) is int):
        raise TokenRefused("form")
    _require("not-yet-valid", max(begin, issued) <= now + _SKEW)
    _require("expired", now < end + _SKEW)
    _require("lifetime", end - issued <= _LIFETIME)


def _check_binding(confirmation: object, certificate_sha256: bytes) -> None:
    bound = confirmation.get("x5t#S256") if isinstance(confirmation, dict) else None
    _require("binding", bound == b64url(certificate_sha256))


def _texts(value: Any) -> frozenset[str]:
    return frozenset(each for each in value if isinstance(each, str)) if isinstance(value, list) else frozenset()


def _require(check: TokenCheck, passed: bool) -> None:
    if not passed:
        raise TokenRefused(check)
