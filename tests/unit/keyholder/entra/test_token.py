"""The token reader: one fault, one check, and nothing but the exact token passes."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_attestation import AZURE_US
from cji_core.errors import Reason
from cji_core.format.configuration.operator_files import FileRefused
from cji_core.format.configuration.policy_files import require_audience
from cji_core.format.job import LIMITS, EntraRule, Submitter
from cji_core.trail import TokenCheck
from cji_worker.ipc.messages import MAX_AUTHORIZATION, Presented
from cji_worker.keyholder.entra import (
    KeySets,
    SecondIdentity,
    TokenRefused,
    VerifiedToken,
    require_rule,
)
from tests.support.entra_tools import (
    AUDIENCE,
    CLIENT,
    NOW,
    OTHER,
    PEM,
    RULE,
    SAN,
    STRANGER,
    TENANT,
    check,
    key_of,
    mint,
)
from tests.support.paths import ROOT

GOOD = mint()


def refused(raw: str, *, now: float = NOW) -> TokenCheck:
    with pytest.raises(TokenRefused) as caught:
        check(raw, now=now)
    assert caught.value.reason is Reason.TOKEN_REFUSED
    return caught.value.check


def claims_of(raw: str) -> dict[str, Any]:
    part = raw.split(".")[1]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def test_a_good_token_names_its_application_and_its_roles() -> None:
    token = check(mint(roles=(*RULE.roles, "Other.Role")), now=NOW)
    assert (token.application.tenant, token.application.client) == (TENANT, CLIENT)
    assert token.roles == {*RULE.roles, "Other.Role"}
    assert token.application.uti


def test_nobody_else_makes_a_verified_token() -> None:
    application = check(GOOD, now=NOW).application
    with pytest.raises(TypeError):
        VerifiedToken(application=application, roles=frozenset(), constructor_key=object())


# A slow and obvious second opinion: every claim that decides, with the check that its absence fails.
DECIDES = {
    "aud": "audience",
    "azp": "client",
    "cnf": "binding",
    "exp": "form",
    "iat": "form",
    "iss": "issuer",
    "idtyp": "app-only",
    "nbf": "form",
    "roles": "role",
    "tid": "tenant",
    "ver": "version",
}


@pytest.mark.parametrize("name", sorted(claims_of(GOOD)))
def test_a_token_without_a_claim_is_refused_for_it(name: str) -> None:
    raw = mint(claims={name: None})
    if name in DECIDES:
        assert refused(raw) == DECIDES[name]
    else:
        check(raw, now=NOW)


@pytest.mark.parametrize("name", sorted(claims_of(GOOD)))
def test_a_claim_twice_is_refused_even_if_nobody_reads_it(name: str) -> None:
    assert refused(mint(twice=name)) == "form"


@pytest.mark.parametrize("name", sorted(DECIDES))
@pytest.mark.parametrize("value", [True, 0, 1.5, "x", [], {}, ["app"], {"x5t#S256": 1}, 1 << 62])
def test_a_claim_of_another_kind_is_refused(name: str, value: object) -> None:
    if [name, value] in [["iat", 0], ["exp", 1 << 62]] and value is not False:
        assert refused(mint(claims={name: value})) == "lifetime"
        return
    if [name, value] == ["nbf", 0] and value is not False:
        check(mint(claims={name: value}), now=NOW)  # these are times
        return
    assert refused(mint(claims={name: value})) in {DECIDES[name], "not-yet-valid", "expired"}


@pytest.mark.parametrize(("name", "after", "last", "first"), [("exp", 60, 119, 0), ("nbf", 120, 3600, 60)])
def test_times_have_a_minute_of_skew(name: str, after: int, last: int, first: int) -> None:
    changes, last, first = {name: NOW + after}, NOW + last, NOW + first
    raw = mint(claims=changes)
    check(raw, now=first)
    check(raw, now=last)
    assert refused(raw, now=NOW - 61) == "not-yet-valid"
    if "exp" in changes:
        assert refused(raw, now=last + 1) == "expired"
    else:
        assert refused(raw, now=first - 1) == "not-yet-valid"


def test_a_token_lives_for_little_more_than_a_day() -> None:
    times = {"iat": NOW, "nbf": NOW}
    check(mint(claims={**times, "exp": NOW + 25 * 3600}), now=NOW)
    assert refused(mint(claims={**times, "exp": NOW + 25 * 3600 + 1})) == "lifetime"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"alg": "RS512"}, "algorithm"),
        ({"alg": "PS256"}, "algorithm"),
        ({"alg": "rs256"}, "algorithm"),
        ({"alg": ["RS256"]}, "algorithm"),
        ({"kid": 7}, "kid"),
        ({"kid": ""}, "kid"),
        ({"kid": ["a"]}, "kid"),
        ({"typ": "at+jwt"}, "form"),
        ({"typ": None}, "form"),
        ({"crit": ["exp"]}, "form"),
        ({"b64": False}, "form"),
        ({"x5c": ["x"]}, "form"),
        ({"x5t": "y" * 600}, "form"),
    ],
)
def test_headers(header: dict[str, Any], expected: str) -> None:
    assert refused(mint(header=header)) == expected


@pytest.mark.parametrize("name", ["x5t", "x5t#S256"])
def test_a_header_may_have_the_thumbprint_of_its_key(name: str) -> None:
    assert check(mint(header={name: "y" * 43}), now=NOW)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [({"appid": OTHER}, "client"), ({"azp": OTHER, "appid": CLIENT}, "client"), ({"scp": "user.read"}, "app-only")],
)
def test_a_token_of_a_user_or_of_two_applications_is_refused(claims: dict[str, str], expected: str) -> None:
    assert check(mint(claims={"appid": CLIENT}), now=NOW)
    assert refused(mint(claims=claims)) == expected


def test_a_header_member_twice_is_refused() -> None:
    head, rest = GOOD.split(".", 1)
    text = urlsafe_b64decode(head + "=" * (-len(head) % 4)).decode()
    doubled = text[:-1] + ',"alg":"RS256"}'
    assert refused(f"{urlsafe_b64encode(doubled.encode()).rstrip(b'=').decode()}.{rest}") == "form"


@given(st.data())
def test_a_token_with_one_other_character_is_no_token(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOOD) - 1))
    character = data.draw(st.sampled_from("AZaz09-_.=+/ \u00e9"))
    changed = GOOD[:at] + character + GOOD[at + 1 :]
    if changed == GOOD:
        check(changed, now=NOW)
    elif not _same_bytes(changed):  # joserfc may accept other unused bits at the end, or refuse them
        refused(changed)


def _same_bytes(changed: str) -> bool:
    """Whether it differs only in the unused last bits of the signature's base64url."""
    return changed.isascii() and _parts(changed) == _parts(GOOD) and changed[:-1] == GOOD[:-1]


def _parts(text: str) -> list[bytes] | None:
    try:
        return [urlsafe_b64decode(each + "=" * (-len(each) % 4)) for each in text.split(".")]
    except ValueError:
        return None


@given(st.one_of(st.text(max_size=60), st.lists(st.text("AZaz09-_", max_size=30), max_size=4).map(".".join)))
def test_any_text_is_refused(text: str) -> None:
    assert refused(text) in {"form", "algorithm", "kid"}


@pytest.mark.parametrize("raw", [GOOD.rpartition(".")[0], f"{GOOD}.x", f"{GOOD}\u00e9", GOOD.replace(".", "..", 1)])
def test_a_token_has_three_parts_of_ascii(raw: str) -> None:
    assert refused(raw) == "form"


def test_the_bound_is_a_bound() -> None:
    assert refused("x" * (LIMITS.token_bytes + 1)) == "size"
    assert refused("x" * LIMITS.token_bytes) == "form"


def test_every_check_has_a_line_in_the_documentation() -> None:
    text = (ROOT / "docs" / "entra.md").read_text()
    for name in get_args(TokenCheck):
        assert f"`{name}`" in text, name


# ---------------------------------------------------------------- the token of a call


def submitter(entra: EntraRule | None, san: str = SAN) -> Submitter:
    """Of a policy, as far as a token is concerned."""
    return cast("Submitter", SimpleNamespace(entra=entra, san=san))


class _OneSet(KeySets):
    """The authority's keys, as they are now."""

    def key(self, tenant: str, kid: str) -> Any:
        return key_of(tenant, kid)


def authenticate(
    *values: str, certificate: bytes = PEM, rule: EntraRule | None = RULE, audience: str | None = None
) -> VerifiedToken | None:
    second = SecondIdentity(audience=audience or AUDIENCE, keys=_OneSet(AZURE_US))
    presented = Presented(certificate=certificate, authorization=values)
    return second.authenticate(presented, submitter(rule), now=datetime.fromtimestamp(NOW, UTC))


def test_the_token_of_a_call() -> None:
    assert isinstance(authenticate(f"Bearer {GOOD}"), VerifiedToken)
    assert authenticate(rule=None) is None


@pytest.mark.parametrize(
    ("expected", "values", "changes"),
    [
        ("unexpected", (f"Bearer {GOOD}",), {"rule": None}),
        ("unexpected", ("",), {"rule": None}),
        ("missing", (), {}),
        ("form", ("",), {}),
        ("form", (f"Bearer  {GOOD}",), {}),
        ("form", (f"Bearer {GOOD}\n",), {}),
        ("form", (f"Basic {GOOD}",), {}),
        ("form", (f"Bearer {GOOD}", f"Bearer {GOOD}"), {}),
        ("size", ("x" * MAX_AUTHORIZATION,), {}),
        ("certificate", (f"Bearer {GOOD}",), {"certificate": STRANGER}),
        ("certificate", (f"Bearer {GOOD}",), {"certificate": b""}),
        ("certificate", (f"Bearer {GOOD}",), {"certificate": b"-----BEGIN CERTIFICATE-----\nAA\n"}),
        ("audience", (f"Bearer {GOOD}",), {"audience": OTHER}),
    ],
)
def test_a_call_without_its_token(expected: str, values: tuple[str, ...], changes: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused) as caught:
        authenticate(*values, **changes)
    assert caught.value.check == expected


def test_without_an_audience_no_token_is_accepted() -> None:
    second = SecondIdentity(audience=None, keys=KeySets(AZURE_US))
    with pytest.raises(TokenRefused) as caught:
        second.authenticate(
            Presented(certificate=PEM, authorization=(f"Bearer {GOOD}",)), submitter(RULE), now=datetime.now(UTC)
        )
    assert (caught.value.check, caught.value.reason) == ("keys", Reason.NOT_READY)
    held = SimpleNamespace(key=key_of, authority=SimpleNamespace(base="https://login.microsoftonline.com"))
    with pytest.raises(TokenRefused) as caught:
        SecondIdentity(audience=None, keys=cast("KeySets", held)).authenticate(
            Presented(certificate=PEM, authorization=(f"Bearer {GOOD}",)), submitter(RULE), now=datetime.now(UTC)
        )
    assert caught.value.check == "keys"

    needs: Any = SimpleNamespace(tenants=frozenset({TENANT}))
    with pytest.raises(FileRefused):
        require_audience(needs, None)
    require_audience(needs, OTHER)


def test_a_policy_that_changes_asks_for_another_token() -> None:
    token = check(GOOD, now=NOW)
    require_rule(token, None)
    require_rule(token, RULE)
    for changes, expected in (
        ({"tenant": OTHER}, "tenant"),
        ({"client": OTHER}, "client"),
        ({"roles": ("Another",)}, "role"),
    ):
        with pytest.raises(TokenRefused) as caught:
            require_rule(token, msgspec.structs.replace(RULE, **changes))
        assert caught.value.check == expected
    with pytest.raises(TokenRefused) as caught:
        require_rule(None, RULE)
    assert caught.value.check == "missing"


def test_the_secret_is_in_no_repr() -> None:
    presented = Presented(certificate=PEM, authorization=(f"Bearer {GOOD}",))
    assert GOOD not in repr(presented)
    assert GOOD not in repr(check(GOOD, now=NOW))
