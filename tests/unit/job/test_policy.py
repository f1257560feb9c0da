import contextlib
import hashlib
import json
import re
from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.support.paths import ROOT
from tests.support.refusals import refused
from worker.errors import Reason, Stage
from worker.job import (
    OPERATIONS,
    PURPOSE_CODES,
    EntraRule,
    Grant,
    Header,
    InputPart,
    JobId,
    Policy,
    PolicyInvalid,
    Recipient,
)
from worker.job import SizeClass as Size
from worker.job.identity import MAX_TENANTS
from worker.jose import public_jwk
from worker.pairs import SigningPair
from worker.suites import Suite


def pem(key: Any) -> str:
    text: bytes = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


KEY_A = ec.generate_private_key(ec.SECP384R1()).public_key()
KEY_B = ec.generate_private_key(ec.SECP384R1()).public_key()
RECIPIENT_A, RECIPIENT_B = "A" * 43, "B" * 43


def submitter(name: str = "metro-pd", key: Any = KEY_A, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "san": f"spiffe://cji.example/agency/{name}",
        "signing_key": pem(key),
        "agencies": [
            {
                "ori": "WI0130000",
                "recipients": [RECIPIENT_A],
                "purposes": [{"code": "C", "operations": ["deidentify"]}],
            },
            {
                "ori": "WI0140000",
                "recipients": [RECIPIENT_A, RECIPIENT_B],
                "purposes": [{"code": "J", "operations": ["deidentify"]}],
            },
        ],
        **changes,
    }


def toml(value: Any) -> str:
    """TOML inline values; enough for policies."""
    match value:
        case dict():
            return "{" + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(toml(each) for each in value) + "]"
        case _:
            return json.dumps(value)


def file(*submitters: dict[str, Any], **top: Any) -> bytes:
    members = {"version": 1, "submitters": list(submitters), **top}
    return "".join(f"{key} = {toml(value)}\n" for key, value in members.items()).encode()


TENANT = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
ENTRA = {"tenant": TENANT, "client": "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb", "roles": ["Cji.Jobs.Run"]}
ENTRA_RULE: dict[str, Any] = {**ENTRA, "roles": ("Cji.Jobs.Run",)}
POLICY = Policy.load(file(submitter(), submitter("county-so", KEY_B)))


def header(**changes: Any) -> Header:
    """A header as `parse` gives it; its own rules are tested elsewhere."""
    base = Header(
        data=b"x",
        sha384=b"s" * 48,
        job_id=JobId(b"j" * 16),
        audience="pool-1",
        originating_ori="WI0130000",
        requesting_ori="WI0130000",
        sealed_attribution=b"",
        suite=Suite.CLASSICAL_1,
        purpose_code="C",
        inputs=(InputPart(name="p", schema="person/1"),),
        operations=(),
        operation_names=("deidentify",),
        kek_id="https://v.vault.azure.net/keys/cmk/" + "ab" * 16,
        wrapped_dek=b"w" * 384,
        recipients=(Recipient(key_id=RECIPIENT_A, jwk="{}"),),
        created=datetime(2026, 1, 1),
        not_after=datetime(2026, 1, 2),
        size_class=Size.EXACT,
    )
    return replace(base, **changes)


METRO = POLICY.submitter("spiffe://cji.example/agency/metro-pd")


def _denied(job: Header, who: Any = METRO, policy: Policy = POLICY) -> None:
    with refused(Reason.POLICY_DENIED, stage=Stage.ADMIT):
        policy.authorise(job, who)


def test_what_is_named_is_granted() -> None:
    grant = POLICY.authorise(header(), METRO)
    assert grant.submitter == "metro-pd"
    assert (grant.originating_ori, grant.requesting_ori, grant.purpose_code) == ("WI0130000", "WI0130000", "C")
    assert (grant.operations, grant.recipients) == (("deidentify",), (RECIPIENT_A,))
    assert grant.policy_sha384 == POLICY.sha384


def test_a_servicing_agency_may_originate_for_another_agency() -> None:
    both = (Recipient(key_id=RECIPIENT_A, jwk="{}"), Recipient(key_id=RECIPIENT_B, jwk="{}"))
    grant = POLICY.authorise(header(requesting_ori="WI0140000", purpose_code="J", recipients=both), METRO)
    assert grant.recipients == (RECIPIENT_A, RECIPIENT_B)


@pytest.mark.parametrize(
    "change",
    [
        {"requesting_ori": "WI0150000"},
        {"originating_ori": "WI0150000"},
        {"purpose_code": "J"},
        {"purpose_code": "ZZ"},
        {"requesting_ori": "WI0140000"},
        {"operation_names": ("deidentify", "link")},
        {"operation_names": ("link",)},
        {"operation_names": ()},
        {"recipients": (Recipient(key_id=RECIPIENT_B, jwk="{}"),)},
        {"recipients": (Recipient(key_id=RECIPIENT_A, jwk="{}"), Recipient(key_id=RECIPIENT_B, jwk="{}"))},
        {"recipients": ()},
    ],
)
def test_what_is_not_named_is_denied(change: dict[str, Any]) -> None:
    _denied(header(**change))


@pytest.mark.parametrize(
    "san",
    [
        "",
        "spiffe://cji.example/agency/metro-pd/",
        "spiffe://cji.example/agency/Metro-pd",
        "spiffe://cji.example/agency/metro-p",
        "spiffe://cji.example/agency/*",
        "metro-pd",
    ],
)
def test_only_the_exact_san_is_a_submitter(san: str) -> None:
    with refused(Reason.POLICY_DENIED):
        POLICY.submitter(san)


def test_a_submitter_of_another_policy_is_denied() -> None:
    _denied(header(), Policy.load(file(submitter())).submitter(METRO.san))


def test_only_authorise_makes_a_grant() -> None:
    with pytest.raises(TypeError):
        Grant(
            submitter="x",
            originating_ori="WI0130000",
            requesting_ori="WI0130000",
            purpose_code="C",
            operations=("deidentify",),
            recipients=(RECIPIENT_A,),
            policy_sha384=b"",
            constructor_key=object(),
        )


def test_the_digest_is_that_of_the_file() -> None:
    data = file(submitter())
    assert Policy.load(data).sha384 == hashlib.sha384(data).digest()


def test_pem_and_jwk_name_the_same_key() -> None:
    numbers = KEY_A.public_numbers()
    x, y = (urlsafe_b64encode(v.to_bytes(48, "big")).rstrip(b"=").decode() for v in (numbers.x, numbers.y))
    jwk = json.dumps({"kty": "EC", "crv": "P-384", "x": x, "y": y})
    loaded = Policy.load(file(submitter(signing_key=jwk))).submitter(METRO.san)
    assert loaded.signing_key == METRO.signing_key
    with pytest.raises(PolicyInvalid, match="signing_key used twice"):
        Policy.load(file(submitter(), submitter("other", signing_key=jwk)))


def _with_agency(**changes: Any) -> dict[str, Any]:
    agency = {**submitter()["agencies"][0], **changes}
    return submitter(agencies=[agency])


def _with_purpose(**changes: Any) -> dict[str, Any]:
    return _with_agency(purposes=[{"code": "C", "operations": ["deidentify"], **changes}])


INVALID: list[tuple[str, bytes]] = [
    ("no submitter", file()),
    ("version", file(submitter(), version=2)),
    ("no version", b"submitters = []"),
    ("unknown key", file(submitter(), allow_all=True)),
    ("unknown key in a submitter", file(submitter(admin=True))),
    ("unknown key in an agency", file(_with_agency(note="x"))),
    ("unknown key in a purpose", file(_with_purpose(note="x"))),
    ("unknown table", file(submitter(), tables={"x": ["y"]})),
    ("no agency", file(submitter(agencies=[]))),
    ("no recipient", file(_with_agency(recipients=[]))),
    ("no purpose", file(_with_agency(purposes=[]))),
    ("no operation", file(_with_purpose(operations=[]))),
    ("empty purpose table", file(submitter(), tables={"purpose_codes": []})),
    ("empty prefix table", file(submitter(), tables={"ori_prefixes": []})),
    ("unknown purpose", file(_with_purpose(code="Q"))),
    ("purpose wildcard", file(_with_purpose(code="*"))),
    ("unknown operation", file(_with_purpose(operations=["everything"]))),
    ("operation wildcard", file(_with_purpose(operations=["*"]))),
    ("operation twice", file(_with_purpose(operations=["deidentify", "deidentify"]))),
    ("recipient wildcard", file(_with_agency(recipients=["*"]))),
    ("recipient twice", file(_with_agency(recipients=[RECIPIENT_A, RECIPIENT_A]))),
    ("ORI wildcard", file(_with_agency(ori="WI*"))),
    ("ORI of nowhere", file(_with_agency(ori="ZZ0130000"))),
    ("ORI twice", file(submitter(agencies=[submitter()["agencies"][0]] * 2))),
    ("purpose twice", file(_with_agency(purposes=[{"code": "C", "operations": ["deidentify"]}] * 2))),
    ("SAN wildcard", file(submitter(san="spiffe://cji.example/agency/*"))),
    ("SAN empty", file(submitter(san=""))),
    ("SAN without scheme", file(submitter(san="metro-pd"))),
    ("SAN with a line end", file(submitter(san="spiffe://cji.example/agency/x\n"))),
    ("SAN twice", file(submitter(), submitter("b", KEY_B, san=METRO.san))),
    ("name twice", file(submitter(), submitter(key=KEY_B, san="spiffe://cji.example/b"))),
    ("key twice", file(submitter(), submitter("b"))),
    ("key empty", file(submitter(signing_key=""))),
    ("key of another curve", file(submitter(key=ec.generate_private_key(ec.SECP256R1()).public_key()))),
    ("key of another kind", file(submitter(key=rsa.generate_private_key(65537, 2048).public_key()))),
    ("no suite", file(submitter(suites=[]))),
    ("unknown suite", file(submitter(suites=["classical-2"]))),
    ("suite twice", file(submitter(suites=["classical-1", "classical-1"]))),
    ("hybrid-1 with one key", file(submitter(suites=["hybrid-1"]))),
    ("not TOML", b"version = "),
    ("entra without a role", file(submitter(entra={**ENTRA, "roles": []}))),
    ("entra without a client", file(submitter(entra={"tenant": TENANT, "roles": ["R"]}))),
    ("entra with another member", file(submitter(entra={**ENTRA, "audience": "x"}))),
    ("a tenant by name", file(submitter(entra={**ENTRA, "tenant": "contoso.onmicrosoft.com"}))),
    ("a tenant in capitals", file(submitter(entra={**ENTRA, "tenant": TENANT.upper()}))),
    ("a tenant with a path", file(submitter(entra={**ENTRA, "tenant": f"{TENANT}/../x"}))),
    ("a role with a blank", file(submitter(entra={**ENTRA, "roles": ["Run jobs"]}))),
    ("an application twice", file(submitter(entra=ENTRA), submitter("county-so", KEY_B, entra=ENTRA))),
    ("not UTF-8", b"\xff\xfe"),
    ("empty", b""),
    ("too large", file(submitter()) + b"#" * (1 << 20)),
]


@pytest.mark.parametrize(("what", "data"), INVALID, ids=[what for what, _ in INVALID])
def test_a_policy_is_loaded_whole_or_not_at_all(what: str, data: bytes) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        Policy.load(data)
    assert caught.value.reason is Reason.NOT_READY
    assert caught.value.where


def test_states_extend_purposes_and_prefixes_in_their_policy() -> None:
    tables = {"purpose_codes": ["C", "Q"], "ori_prefixes": ["ZZ"]}
    agency = {
        "ori": "ZZ0000000",
        "recipients": [RECIPIENT_A],
        "purposes": [{"code": "Q", "operations": ["deidentify"]}],
    }
    policy = Policy.load(file(submitter(agencies=[agency]), tables=tables))
    assert policy.ori_prefixes == {"ZZ"}
    job = header(originating_ori="ZZ0000000", requesting_ori="ZZ0000000", purpose_code="Q")
    assert policy.authorise(job, policy.submitter(METRO.san)).purpose_code == "Q"


def test_the_shipped_tables_are_those_of_the_standard() -> None:
    assert "".join(PURPOSE_CODES) == "ACDFHIJRSVX"
    assert "deidentify" in OPERATIONS


def test_the_example_of_the_documentation_loads() -> None:
    text = (ROOT / "docs" / "policy.md").read_text()
    example = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert example is not None
    policy = Policy.load(example[1].encode())
    assert policy.submitter("spiffe://cji.example/agency/metro-pd").name == "metro-pd"


def test_a_submitter_sends_the_suites_that_it_lists() -> None:
    pair = public_jwk(SigningPair.generate().public_key())
    for suites in (["classical-1"], ["hybrid-1"], ["classical-1", "hybrid-1"]):
        loaded = Policy.load(file(submitter(signing_key=pair, suites=suites))).submitter(METRO.san)
        for suite in Suite:
            with contextlib.nullcontext() if suite in suites else refused(Reason.SUITE_NOT_ACCEPTED, stage=Stage.ADMIT):
                loaded.accept(suite)
    with refused(Reason.SUITE_NOT_ACCEPTED):
        METRO.accept(Suite.HYBRID_1)
    with refused(Reason.SUITE_NOT_ACCEPTED):  # a pair alone changes nothing
        Policy.load(file(submitter(signing_key=pair))).submitter(METRO.san).accept(Suite.HYBRID_1)


def test_the_repr_of_a_submitter_is_its_name() -> None:
    assert repr(METRO) == "Submitter(name='metro-pd')"


def test_the_application_of_a_submitter() -> None:
    other = {**ENTRA, "client": "cccccccc-cccc-4ccc-8ccc-cccccccccccc"}
    policy = Policy.load(file(submitter(entra=ENTRA), submitter("county-so", KEY_B, entra=other)))
    assert policy.submitter(METRO.san).entra == EntraRule(**ENTRA_RULE)
    assert policy.tenants == {TENANT}
    assert METRO.entra is None
    assert POLICY.tenants == frozenset()


def test_a_policy_has_64_tenants_at_most() -> None:
    def submitters(count: int) -> list[dict[str, Any]]:
        return [
            submitter(
                f"agency-{n}",
                ec.generate_private_key(ec.SECP384R1()).public_key(),
                entra={**ENTRA, "tenant": f"{n:08x}{TENANT[8:]}"},
            )
            for n in range(count)
        ]

    assert len(Policy.load(file(*submitters(MAX_TENANTS))).tenants) == MAX_TENANTS
    with pytest.raises(PolicyInvalid) as caught:
        Policy.load(file(*submitters(MAX_TENANTS + 1)))
    assert "tenants" in caught.value.where
