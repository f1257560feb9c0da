import contextlib
import hashlib
import json
import re
from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_core.data_classes import DataClass
from cji_core.errors import Denied, DeniedBy, Reason, Refusal, Stage
from cji_core.format.envelope import sign_header, signer_thumbprint, verify_submitter
from cji_core.format.job import (
    LIMITS,
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
    Submitter,
    access_request,
)
from cji_core.format.job import SizeClass as Size
from cji_core.format.job.identity import MAX_TENANTS
from cji_core.format.records import data_classes
from cji_core.jose import key_id, public_jwk
from cji_core.pairs import SigningPair
from cji_core.suites import Suite
from cji_core.trail.confirmations import confirmation_keys
from tests.support import policies
from tests.support.paths import ROOT
from tests.support.policies import AGREEMENT, agency, pem, policy_file, purpose, rule
from tests.support.receipts import CLAIMS
from tests.support.refusals import refused

KEY_A = ec.generate_private_key(ec.SECP384R1()).public_key()
KEY_B = ec.generate_private_key(ec.SECP384R1()).public_key()
KEY_C = ec.generate_private_key(ec.SECP384R1()).public_key()
P256 = ec.generate_private_key(ec.SECP256R1()).public_key()
NEW_KEY = ec.generate_private_key(ec.SECP384R1())
RECIPIENT_A, RECIPIENT_B = "A" * 43, "B" * 43
DAY = datetime.now(UTC).date()
PERSON = frozenset({DataClass.BIOGRAPHIC, DataClass.CONTROL_NUMBER})


def submitter(name: str = "metro-pd", key: Any = KEY_A, **changes: Any) -> dict[str, Any]:
    ours = agency(
        "WI0130000",
        purpose(
            "C",
            rule([RECIPIENT_A], "deidentify", data_classes=["biographic", "control number"]),
            rule([RECIPIENT_A, RECIPIENT_B], "validate", secondary_recipients=["Board"]),
        ),
    )
    theirs = agency("WI0140000", purpose("J", rule([RECIPIENT_A, RECIPIENT_B])))
    return policies.submitter(name, key, ours, theirs, **changes)


TENANT = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
ENTRA = {"tenant": TENANT, "client": "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb", "roles": ["Cji.Jobs.Run"]}
ENTRA_RULE: dict[str, Any] = {**ENTRA, "roles": ("Cji.Jobs.Run",)}
POLICY = Policy.load(policy_file(submitter(), submitter("county-so", KEY_B)))


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
        submitter=b"t" * 32,
        send_key=None,
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


def authorised(job: Header, who: Submitter = METRO, *, policy: Policy = POLICY, day: date = DAY) -> Grant:
    return policy.authorise(access_request(job, data_classes(part.schema for part in job.inputs)), who, day=day)


def denied_by(job: Header, who: Submitter = METRO, *, policy: Policy = POLICY, day: date = DAY) -> DeniedBy:
    with pytest.raises(Denied) as caught:
        authorised(job, who, policy=policy, day=day)
    assert (caught.value.reason, caught.value.stage) == (Reason.POLICY_DENIED, Stage.ADMIT)
    assert str(caught.value) == str(Refusal(Reason.POLICY_DENIED, stage=Stage.ADMIT))  # the rule is not in the text
    return caught.value.by


def test_what_is_named_is_granted() -> None:
    grant = authorised(header())
    assert grant.submitter == "metro-pd"
    assert (grant.originating_ori, grant.requesting_ori, grant.purpose_code) == ("WI0130000", "WI0130000", "C")
    assert (grant.operations, grant.recipients) == (("deidentify",), (RECIPIENT_A,))
    assert (grant.rule.data_classes, grant.rule.rows, grant.jobs_per_day) == (PERSON, 1_000_000, 1000)
    assert grant.policy_sha384 == POLICY.sha384


def test_a_servicing_agency_may_originate_for_another_agency() -> None:
    both = (Recipient(key_id=RECIPIENT_A, jwk="{}"), Recipient(key_id=RECIPIENT_B, jwk="{}"))
    grant = authorised(header(requesting_ori="WI0140000", purpose_code="J", recipients=both))
    assert grant.recipients == (RECIPIENT_A, RECIPIENT_B)


BOTH = tuple(Recipient(key_id=each, jwk="{}") for each in (RECIPIENT_A, RECIPIENT_B))
HOTFILE = (InputPart(name="p", schema="hotfile/1"),)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"requesting_ori": "WI0150000"}, DeniedBy.REQUESTING_AGENCY),
        ({"originating_ori": "WI0150000"}, DeniedBy.ORIGINATING_AGENCY),
        ({"purpose_code": "J"}, DeniedBy.PURPOSE),
        ({"purpose_code": "ZZ"}, DeniedBy.PURPOSE),
        ({"requesting_ori": "WI0140000"}, DeniedBy.PURPOSE),
        ({"operation_names": ("deidentify", "link")}, DeniedBy.OPERATION),
        ({"operation_names": ("link",)}, DeniedBy.OPERATION),
        ({"operation_names": ()}, DeniedBy.OPERATION),
        ({"inputs": HOTFILE}, DeniedBy.DATA_CLASS),
        ({"inputs": (*HOTFILE, InputPart(name="q", schema="person/1"))}, DeniedBy.DATA_CLASS),
        ({"inputs": ()}, DeniedBy.DATA_CLASS),
        ({"recipients": BOTH[1:]}, DeniedBy.RECIPIENT),
        ({"recipients": BOTH}, DeniedBy.RECIPIENT),
        ({"recipients": ()}, DeniedBy.RECIPIENT),
        ({"operation_names": ("validate", "deidentify"), "recipients": BOTH}, DeniedBy.RECIPIENT),
        ({"inputs": (InputPart(name="p", schema="person/1", rows_declared=1_000_001),)}, DeniedBy.ROWS),
    ],
)
def test_what_is_not_named_is_denied_by_its_rule(change: dict[str, Any], rule: DeniedBy) -> None:
    assert denied_by(header(**change)) is rule


def test_the_first_rule_that_fails_denies() -> None:
    """A job that is wrong in everything, put right one thing after the other."""
    wrong: dict[str, Any] = {
        "requesting_ori": "WI0150000",
        "originating_ori": "WI0150000",
        "purpose_code": "J",
        "operation_names": ("link",),
        "inputs": (InputPart(name="p", schema="hotfile/1", rows_declared=2_000_000),),
        "recipients": BOTH,
    }
    day, found = date(1999, 1, 1), list[DeniedBy]()
    for fixed in ("", "requesting_ori", "originating_ori", "day", "purpose_code", "operation_names", "", "recipients"):
        wrong.pop(fixed, None)
        day = DAY if fixed == "day" else day
        if fixed == "" and "operation_names" not in wrong:
            wrong["inputs"] = (InputPart(name="p", schema="person/1", rows_declared=2_000_000),)
        found.append(denied_by(header(**wrong), day=day))
    assert found == [
        DeniedBy.REQUESTING_AGENCY,
        DeniedBy.ORIGINATING_AGENCY,
        DeniedBy.AGREEMENT,
        DeniedBy.PURPOSE,
        DeniedBy.OPERATION,
        DeniedBy.DATA_CLASS,
        DeniedBy.RECIPIENT,
        DeniedBy.ROWS,
    ]


def test_a_job_gets_what_all_its_operations_allow() -> None:
    alone, both = (
        authorised(header(operation_names=("validate",))),
        authorised(header(operation_names=("validate", "deidentify"))),
    )
    assert alone.rule.secondary_recipients == {"Board"}
    alone.require_secondary_recipient("Board")
    for grant, name in ((both, "Board"), (alone, "board"), (alone, "Board ")):
        with pytest.raises(Denied) as caught:
            grant.require_secondary_recipient(name)
        assert caught.value.by is DeniedBy.SECONDARY_RECIPIENT
    both.require_secondary_recipient("")  # none
    assert both.rule.data_classes == PERSON
    assert both.rule.recipients == {RECIPIENT_A}
    small, large = {"rows": 5, "bytes": 70}, {"rows": 6, "bytes": 60}
    for limits in ((small, large), (large, small)):
        rules = [
            rule([RECIPIENT_A], name, limits=each) for name, each in zip(("link", "validate"), limits, strict=True)
        ]
        policy = Policy.load(policy_file(_with_purpose(rules=rules)))
        asked = header(operation_names=("link", "validate"))
        given = authorised(asked, policy.submitter(METRO.san), policy=policy).rule
        assert (given.rows, given.bytes) == (5, 60)


def test_outside_its_dates_an_agreement_grants_nothing() -> None:
    first, last = DAY - timedelta(days=3), DAY + timedelta(days=3)
    agencies = submitter()["agencies"]
    agencies[1]["agreement"] = {"id": "MOU-2", "from": first, "until": last}
    policy = Policy.load(policy_file(submitter(agencies=agencies)))
    metro, job = policy.submitter(METRO.san), header(originating_ori="WI0140000")  # the other one counts as well
    for day in (first, DAY, last):
        assert authorised(job, metro, policy=policy, day=day)
    requested = header(requesting_ori="WI0140000", purpose_code="J")
    for day in (first - timedelta(days=1), last + timedelta(days=1)):
        assert denied_by(job, metro, policy=policy, day=day) is DeniedBy.AGREEMENT
        assert denied_by(requested, metro, policy=policy, day=day) is DeniedBy.AGREEMENT
    assert policy.agreed_until == datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)


def test_a_submitter_is_removed_with_its_san_or_its_name() -> None:
    for second, removed in (
        ([submitter("county-so", KEY_B)], set()),
        ([], {"county-so"}),
        ([submitter("county-so", KEY_B, san="spiffe://cji.example/moved")], {"county-so"}),
        ([submitter("sheriff", KEY_B, san="spiffe://cji.example/agency/county-so")], {"county-so"}),
    ):
        assert POLICY.removed_in(Policy.load(policy_file(submitter(), *second))) == removed


def test_the_jobs_of_a_day_are_counted_down() -> None:
    grant = authorised(header())
    grant.require_job_left(999)
    with pytest.raises(Denied) as caught:
        grant.require_job_left(1000)
    assert caught.value.by is DeniedBy.JOBS_PER_DAY


@pytest.mark.parametrize(
    ("rows", "size", "rule"),
    [(1_000_000, 1 << 40, None), (1_000_001, 0, DeniedBy.ROWS), (0, 1 + (1 << 40), DeniedBy.BYTES)],
)
def test_more_input_than_granted_gets_no_receipt(rows: int, size: int, rule: DeniedBy | None) -> None:
    grant = authorised(header())
    if rule is None:
        grant.require_input(rows=rows, ciphertext_bytes=size)
        return
    with pytest.raises(Denied) as caught:
        grant.require_input(rows=rows, ciphertext_bytes=size)
    assert (caught.value.by, caught.value.stage) == (rule, Stage.COMMIT)


def test_only_its_own_submitter_gets_a_grant() -> None:
    stranger = Policy.load(policy_file(submitter())).submitter(METRO.san)
    assert denied_by(header(), stranger) is DeniedBy.SUBMITTER
    county = POLICY.submitter("spiffe://cji.example/agency/county-so")
    assert authorised(header(), county).submitter == "county-so"
    for san in ("", "metro-pd", METRO.san + "/", METRO.san.upper(), METRO.san[:-1]):
        with pytest.raises(Denied) as caught:
            POLICY.submitter(san)
        assert caught.value.by is DeniedBy.SUBMITTER


def test_a_grant_cannot_be_made_without_the_policy() -> None:
    grant = authorised(header())
    with pytest.raises(TypeError):
        replace(grant, submitter="x", constructor_key=object())


def test_the_digest_is_that_of_the_file() -> None:
    data = policy_file(submitter())
    assert Policy.load(data).sha384 == hashlib.sha384(data).digest()


def test_pem_and_jwk_name_the_same_key() -> None:
    numbers = KEY_A.public_numbers()
    x, y = (urlsafe_b64encode(v.to_bytes(48, "big")).rstrip(b"=").decode() for v in (numbers.x, numbers.y))
    jwk = json.dumps({"kty": "EC", "crv": "P-384", "x": x, "y": y})
    loaded = Policy.load(policy_file(submitter(signing_key=jwk))).submitter(METRO.san)
    assert loaded.signing_key == METRO.signing_key
    with pytest.raises(PolicyInvalid, match="signing_key used twice"):
        Policy.load(policy_file(submitter(), submitter("other", signing_key=jwk)))


def test_two_keys_for_the_days_of_a_change() -> None:
    """So a submitter can change its key while the workers of a pool reload one after another."""
    first, last = DAY, DAY + timedelta(days=91)
    other = {"key": public_jwk(NEW_KEY.public_key()), "from": first, "until": last}
    who = Policy.load(policy_file(submitter(other_key=other))).submitter(METRO.san)
    old, new = who.signing_keys(DAY)
    assert (key_id(old), key_id(new)) == (key_id(METRO.signing_key), key_id(NEW_KEY.public_key()))
    assert who.signing_keys(last) == (old, new)
    assert who.signing_keys(first - timedelta(days=1)) == who.signing_keys(last + timedelta(days=1)) == (old,)
    alone = Policy.load(policy_file(submitter())).submitter(METRO.san)
    assert alone.signing_keys(DAY) == (alone.signing_key,)
    job = header(submitter=signer_thumbprint(new, Suite.CLASSICAL_1))
    by_new = sign_header(NEW_KEY, job.data)
    assert verify_submitter((old, new), job, by_new) == new
    with refused(Reason.HEADER_SIGNATURE_INVALID):
        verify_submitter((old,), job, by_new)
    with refused(Reason.SUBMITTER_MISMATCH):
        verify_submitter((old, new), header(submitter=signer_thumbprint(old, Suite.CLASSICAL_1)), by_new)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"until": DAY + timedelta(days=92)}, "other_key"),
        ({"until": DAY - timedelta(days=1)}, "other_key"),
        ({"key": "x"}, "other_key.key"),
        ({"key": None}, "used twice"),
    ],
)
def test_a_second_key_is_another_and_for_a_time(changes: dict[str, Any], says: str) -> None:
    table = submitter()
    other = {"key": public_jwk(NEW_KEY.public_key()), "from": DAY, "until": DAY} | changes
    if other["key"] is None:
        other["key"] = table["signing_key"]
    with pytest.raises(PolicyInvalid, match=says):
        Policy.load(policy_file(table | {"other_key": other}))


def _with_agency(**changes: Any) -> dict[str, Any]:
    return submitter(agencies=[{**submitter()["agencies"][0], **changes}])


def _with_purpose(**changes: Any) -> dict[str, Any]:
    return _with_agency(purposes=[{**purpose("C", rule([RECIPIENT_A])), **changes}])


def _with_rule(**changes: Any) -> dict[str, Any]:
    return _with_purpose(rules=[rule([RECIPIENT_A], **changes)])


def _without(name: str, table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key != name}


def _agreed(**changes: Any) -> dict[str, Any]:
    return _with_agency(agreement={**AGREEMENT, **changes})


def _limits(**changes: Any) -> dict[str, Any]:
    return _with_rule(limits={"rows": 1, "bytes": 1, **changes})


def _confirmed(**changes: Any) -> dict[str, Any]:
    return _with_rule(confirmations=[{**CONFIRMATION, **changes}])


CONFIRMATION = {"recipient": RECIPIENT_A, "key": pem(KEY_C), "from": date(2026, 1, 1), "until": date(2026, 12, 31)}
_RULE = rule([RECIPIENT_A])
INVALID: list[tuple[str, bytes]] = [
    ("no submitter", policy_file()),
    ("version 1", policy_file(submitter(), version=1)),
    ("version 3", policy_file(submitter(), version=3)),
    ("no version", b"submitters = []"),
    ("unknown key", policy_file(submitter(), allow_all=True)),
    ("unknown key in a submitter", policy_file(submitter(admin=True))),
    ("unknown key in an agency", policy_file(_with_agency(note="x"))),
    ("unknown key in a purpose", policy_file(_with_purpose(note="x"))),
    ("unknown key in a rule", policy_file(_with_rule(note="x"))),
    ("unknown key in an agreement", policy_file(_agreed(note="x"))),
    ("unknown key in limits", policy_file(_limits(cells=1))),
    ("unknown table", policy_file(submitter(), tables={"x": ["y"]})),
    ("no agency", policy_file(submitter(agencies=[]))),
    ("no purpose", policy_file(_with_agency(purposes=[]))),
    ("no rule", policy_file(_with_purpose(rules=[]))),
    *(
        (f"no {name}", policy_file(_with_rule(**{name: []})))
        for name in (*_RULE, "secondary_recipients", "escrow", "confirmations")
        if name != "limits"
    ),
    *((f"without {name}", policy_file(_with_purpose(rules=[_without(name, _RULE)]))) for name in _RULE),
    *(
        (f"without {name}", policy_file(submitter(agencies=[_without(name, submitter()["agencies"][0])])))
        for name in ("agreement", "jobs_per_day", "ori", "purposes")
    ),
    *(
        (f"agreement without {name}", policy_file(_with_agency(agreement=_without(name, AGREEMENT))))
        for name in AGREEMENT
    ),
    ("limits without rows", policy_file(_with_rule(limits={"bytes": 1}))),
    ("limits without bytes", policy_file(_with_rule(limits={"rows": 1}))),
    ("0 rows", policy_file(_limits(rows=0))),
    ("0 bytes", policy_file(_limits(bytes=0))),
    ("more bytes than any job", policy_file(_limits(bytes=LIMITS.job_bytes + 1))),
    ("0 jobs", policy_file(_with_agency(jobs_per_day=0))),
    ("jobs as text", policy_file(_with_agency(jobs_per_day="5"))),
    ("an agreement that ends before it begins", policy_file(_agreed(until=date(2000, 1, 1)))),
    (
        "an agreement with a time",
        policy_file(_with_agency(agreement=AGREEMENT)).replace(b"from = 2", b"from = 07:32:00 # 2"),
    ),
    ("an agreement without a name", policy_file(_agreed(id=""))),
    ("an agreement's name with a line end", policy_file(_agreed(id="MOU\n17"))),
    ("empty purpose table", policy_file(submitter(), tables={"purpose_codes": []})),
    ("purpose table with a code twice", policy_file(submitter(), tables={"purpose_codes": ["C", "J", "C"]})),
    ("prefix table with a prefix twice", policy_file(submitter(), tables={"ori_prefixes": ["WI", "WI"]})),
    ("empty prefix table", policy_file(submitter(), tables={"ori_prefixes": []})),
    ("unknown purpose", policy_file(_with_purpose(code="Q"))),
    ("purpose wildcard", policy_file(_with_purpose(code="*"))),
    ("unknown operation", policy_file(_with_rule(operations=["everything"]))),
    ("operation wildcard", policy_file(_with_rule(operations=["*"]))),
    ("operation twice", policy_file(_with_rule(operations=["deidentify", "deidentify"]))),
    ("operation in two rules", policy_file(_with_purpose(rules=[_RULE, _RULE]))),
    ("unknown class", policy_file(_with_rule(data_classes=["secrets"]))),
    ("class none", policy_file(_with_rule(data_classes=["none"]))),
    ("class wildcard", policy_file(_with_rule(data_classes=["*"]))),
    ("class twice", policy_file(_with_rule(data_classes=["case", "case"]))),
    ("recipient wildcard", policy_file(_with_rule(recipients=["*"]))),
    ("recipient twice", policy_file(_with_rule(recipients=[RECIPIENT_A, RECIPIENT_A]))),
    ("secondary recipient twice", policy_file(_with_rule(secondary_recipients=["Board", "Board"]))),
    ("secondary recipient with a blank", policy_file(_with_rule(secondary_recipients=["Board "]))),
    ("secondary recipient wildcard", policy_file(_with_rule(secondary_recipients=["*"]))),
    ("secondary recipient empty", policy_file(_with_rule(secondary_recipients=[""]))),
    ("unknown key in a confirmation", policy_file(_confirmed(note="x"))),
    *(
        (f"confirmation without {name}", policy_file(_with_rule(confirmations=[_without(name, CONFIRMATION)])))
        for name in CONFIRMATION
    ),
    ("confirmation for another recipient", policy_file(_confirmed(recipient=RECIPIENT_B))),
    ("confirmation for no thumbprint", policy_file(_confirmed(recipient="x"))),
    ("confirmation key with no day", policy_file(_confirmed(until=date(2025, 12, 31)))),
    ("confirmation key of another curve", policy_file(_confirmed(key=pem(P256)))),
    ("confirmation key twice", policy_file(_with_rule(confirmations=[CONFIRMATION, CONFIRMATION]))),
    ("confirmation key that signs headers", policy_file(_confirmed(key=pem(KEY_A)))),
    ("confirmation key of another submitter", policy_file(_confirmed(key=pem(KEY_B)), submitter("b", KEY_B))),
    ("ORI wildcard", policy_file(_with_agency(ori="WI*"))),
    ("ORI of nowhere", policy_file(_with_agency(ori="ZZ0130000"))),
    ("ORI twice", policy_file(submitter(agencies=[submitter()["agencies"][0]] * 2))),
    ("purpose twice", policy_file(_with_agency(purposes=[purpose("C", _RULE)] * 2))),
    ("SAN wildcard", policy_file(submitter(san="spiffe://cji.example/agency/*"))),
    ("SAN empty", policy_file(submitter(san=""))),
    ("SAN without scheme", policy_file(submitter(san="metro-pd"))),
    ("SAN with a line end", policy_file(submitter(san="spiffe://cji.example/agency/x\n"))),
    ("SAN twice", policy_file(submitter(), submitter("b", KEY_B, san=METRO.san))),
    ("name twice", policy_file(submitter(), submitter(key=KEY_B, san="spiffe://cji.example/b"))),
    ("key twice", policy_file(submitter(), submitter("b"))),
    ("key empty", policy_file(submitter(signing_key=""))),
    ("two keys", policy_file(submitter(signing_key=submitter()["signing_key"] * 2))),
    ("key of another curve", policy_file(submitter(key=ec.generate_private_key(ec.SECP256R1()).public_key()))),
    ("key of another kind", policy_file(submitter(key=rsa.generate_private_key(65537, 2048).public_key()))),
    ("no suite", policy_file(submitter(suites=[]))),
    ("unknown suite", policy_file(submitter(suites=["classical-2"]))),
    ("suite twice", policy_file(submitter(suites=["classical-1", "classical-1"]))),
    ("hybrid-1 with one key", policy_file(submitter(suites=["hybrid-1"]))),
    ("not TOML", b"version = "),
    ("entra without a role", policy_file(submitter(entra={**ENTRA, "roles": []}))),
    ("entra without a client", policy_file(submitter(entra={"tenant": TENANT, "roles": ["R"]}))),
    ("entra with another member", policy_file(submitter(entra={**ENTRA, "audience": "x"}))),
    ("a tenant by name", policy_file(submitter(entra={**ENTRA, "tenant": "contoso.onmicrosoft.com"}))),
    ("a tenant in capitals", policy_file(submitter(entra={**ENTRA, "tenant": TENANT.upper()}))),
    ("a tenant with a path", policy_file(submitter(entra={**ENTRA, "tenant": f"{TENANT}/../x"}))),
    ("a role with a blank", policy_file(submitter(entra={**ENTRA, "roles": ["Run jobs"]}))),
    ("an application twice", policy_file(submitter(entra=ENTRA), submitter("county-so", KEY_B, entra=ENTRA))),
    ("not UTF-8", b"\xff\xfe"),
    ("empty", b""),
    ("too large", policy_file(submitter()) + b"#" * (1 << 20)),
]


@pytest.mark.parametrize(("what", "data"), INVALID, ids=[what for what, _ in INVALID])
def test_a_policy_is_loaded_whole_or_not_at_all(what: str, data: bytes) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        Policy.load(data)
    assert caught.value.reason is Reason.NOT_READY
    assert caught.value.where


def test_a_key_confirms_for_a_recipient_what_all_rules_name() -> None:
    """And decides about no job."""
    other = {**CONFIRMATION, "recipient": RECIPIENT_B}
    rules = [
        rule([RECIPIENT_A, RECIPIENT_B], "link", confirmations=[CONFIRMATION, other]),
        rule([RECIPIENT_A], "deidentify", confirmations=[CONFIRMATION]),
        rule([RECIPIENT_A], "aggregate"),
    ]
    policy = Policy.load(policy_file(_with_purpose(rules=rules)))

    def named(*operations: str, submitter: str = "metro-pd", ori: str = "WI0130000", purpose: str = "C") -> set[Any]:
        asked = {"submitter": submitter, "requesting_ori": ori, "purpose_code": purpose, "operations": operations}
        found = confirmation_keys(policy, msgspec.structs.replace(CLAIMS, **asked))
        assert {(each.starts, each.until) for each in found} <= {(date(2026, 1, 1), date(2026, 12, 31))}
        return {(each.recipient, each.key_id) for each in found}

    key = key_id(KEY_C)
    assert named("link") == {(RECIPIENT_A, key), (RECIPIENT_B, key)}
    assert named("link", "deidentify") == {(RECIPIENT_A, key)}
    assert named("aggregate") == named("link", "aggregate") == named("clear") == set()
    assert named("link", submitter="x") == named("link", ori="WI0140000") == named("link", purpose="J") == set()


def test_the_half_of_a_signing_pair_confirms_nothing() -> None:
    pair = SigningPair.generate().public_key()
    changes = {"signing_key": public_jwk(pair), "suites": ["classical-1", "hybrid-1"]}
    rules = _with_rule(confirmations=[{**CONFIRMATION, "key": pem(pair.p384)}])
    with pytest.raises(PolicyInvalid, match="confirmation key that signs headers"):
        Policy.load(policy_file({**rules, **changes}))


def test_states_extend_purposes_and_prefixes_in_their_policy() -> None:
    tables = {"purpose_codes": ["C", "Q"], "ori_prefixes": ["ZZ"]}
    extended = agency("ZZ0000000", purpose("Q", rule([RECIPIENT_A])))
    policy = Policy.load(policy_file(submitter(agencies=[extended]), tables=tables))
    assert policy.ori_prefixes == {"ZZ"}
    job = header(originating_ori="ZZ0000000", requesting_ori="ZZ0000000", purpose_code="Q")
    assert authorised(job, policy.submitter(METRO.san), policy=policy).purpose_code == "Q"


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
        loaded = Policy.load(policy_file(submitter(signing_key=pair, suites=suites))).submitter(METRO.san)
        for suite in Suite:
            with contextlib.nullcontext() if suite in suites else refused(Reason.SUITE_NOT_ACCEPTED, stage=Stage.ADMIT):
                loaded.accept(suite)
    with refused(Reason.SUITE_NOT_ACCEPTED):
        METRO.accept(Suite.HYBRID_1)
    with refused(Reason.SUITE_NOT_ACCEPTED):  # a pair alone changes nothing
        Policy.load(policy_file(submitter(signing_key=pair))).submitter(METRO.san).accept(Suite.HYBRID_1)


def test_the_repr_of_a_submitter_is_its_name() -> None:
    assert repr(METRO) == "Submitter(name='metro-pd')"


def test_the_application_of_a_submitter() -> None:
    other = {**ENTRA, "client": "cccccccc-cccc-4ccc-8ccc-cccccccccccc"}
    policy = Policy.load(policy_file(submitter(entra=ENTRA), submitter("county-so", KEY_B, entra=other)))
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

    assert len(Policy.load(policy_file(*submitters(MAX_TENANTS))).tenants) == MAX_TENANTS
    with pytest.raises(PolicyInvalid) as caught:
        Policy.load(policy_file(*submitters(MAX_TENANTS + 1)))
    assert "tenants" in caught.value.where
