"""Every value of a policy file is a fact: whatever changes is granted or withdrawn by name."""

from datetime import date
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.format.job import Policy
from cji_core.format.job.policy import Change, Fact, Subject
from cji_core.format.job.policy.changes import changes
from cji_core.format.job.policy.file import (
    AgencyTable,
    Agreement,
    ConfirmationTable,
    LimitsTable,
    OtherKey,
    PurposeTable,
    RuleTable,
    SealedColumnsTable,
    SubmitterTable,
)
from cji_core.jose import key_id, public_jwk
from cji_core.pairs import SigningPair
from tests.support.policies import AGREEMENT, agency, policy_file, purpose, rule, submitter

KEYS = [ec.derive_private_key(n, ec.SECP384R1()).public_key() for n in (3, 5)]
PAIR = SigningPair.generate().public_key()
RULE = rule(["A" * 43], data_classes=["case"], limits={"rows": 5, "bytes": 6})

ENTRA = {
    "tenant": "8b0c5d0e-7a55-4c52-9df4-0c0d6f9a1b2c",
    "client": "1c2d3e4f-5a6b-4c7d-8e9f-0a1b2c3d4e5f",
    "roles": ["Jobs.Run"],
}


def loaded(rules: dict[str, Any] | None = None, changed: dict[str, Any] | None = None, **of_agency: Any) -> Policy:
    ours = agency("WI0130000", purpose("C", {**RULE, **(rules or {})}), **of_agency)
    return Policy.load(policy_file(submitter("metro-pd", KEYS[0], ours, **(changed or {}))))


BASE = loaded()
HERE = ("metro-pd", "", "", "")
AGENCY = ("metro-pd", "WI0130000", "", "")
DEIDENTIFY = ("metro-pd", "WI0130000", "C", "deidentify")


@pytest.mark.parametrize(
    ("new", "where", "subject", "old_value", "new_value"),
    [
        (
            loaded(changed={"san": "spiffe://x/y"}),
            HERE,
            Subject.SAN,
            "spiffe://cji.example/agency/metro-pd",
            "spiffe://x/y",
        ),
        (
            loaded(changed={"signing_key": public_jwk(KEYS[1])}),
            HERE,
            Subject.SIGNING_KEY,
            key_id(KEYS[0]),
            key_id(KEYS[1]),
        ),
        (loaded(jobs_per_day=7), AGENCY, Subject.JOBS_PER_DAY, "1000", "7"),
        (loaded({"limits": {"rows": 9, "bytes": 6}}), DEIDENTIFY, Subject.ROWS, "5", "9"),
        (loaded({"limits": {"rows": 5, "bytes": 9}}), DEIDENTIFY, Subject.BYTES, "6", "9"),
        (loaded({"data_classes": ["property"]}), DEIDENTIFY, Subject.DATA_CLASS, "case", "property"),
        (loaded({"recipients": ["B" * 43]}), DEIDENTIFY, Subject.RECIPIENT, "A" * 43, "B" * 43),
    ],
)
def test_a_value_that_changes_is_withdrawn_and_granted(
    new: Policy, where: tuple[str, str, str, str], subject: Subject, old_value: str, new_value: str
) -> None:
    assert set(changes(BASE, new)) == {
        Change("withdrawn", Fact(*where, subject, old_value)),
        Change("granted", Fact(*where, subject, new_value)),
    }


def test_added_is_granted_and_removed_is_withdrawn() -> None:
    more = loaded({"secondary_recipients": ["Board"]})
    fact = Fact(*DEIDENTIFY, Subject.SECONDARY_RECIPIENT, "Board")
    assert changes(BASE, more) == (Change("granted", fact),)
    assert changes(more, BASE) == (Change("withdrawn", fact),)
    suites = loaded(changed={"signing_key": public_jwk(PAIR), "suites": ["classical-1", "hybrid-1"]})
    assert Change("granted", Fact(*HERE, Subject.SUITE, "hybrid-1")) in changes(BASE, suites)
    dated = {"key": public_jwk(KEYS[1]), "from": date(2026, 12, 1), "until": date(2026, 12, 31)}
    (key,) = changes(BASE, loaded(changed={"other_key": dated}))
    assert (key.direction, key.fact.subject) == ("granted", Subject.OTHER_KEY)
    assert key.fact.value.endswith("from 2026-12-01 until 2026-12-31")
    (key,) = changes(BASE, loaded({"confirmations": [{**dated, "recipient": "A" * 43}]}))
    value = f"{key_id(KEYS[1])} for {'A' * 43} from 2026-12-01 until 2026-12-31"
    assert key == Change("granted", Fact(*DEIDENTIFY, Subject.CONFIRMATION_KEY, value))
    columns = {"signing_key": public_jwk(KEYS[0]), "statements": ["0a" * 48]}
    with_columns = loaded(sealed_columns=columns)
    assert set(changes(BASE, with_columns)) == {
        Change("granted", Fact(*AGENCY, Subject.COLUMN_SIGNING_KEY, key_id(KEYS[0]))),
        Change("granted", Fact(*AGENCY, Subject.COLUMN_STATEMENT, "0a" * 48)),
    }
    other = loaded(sealed_columns={**columns, "statements": ["0b" * 48]})
    assert set(changes(with_columns, other)) == {
        Change("withdrawn", Fact(*AGENCY, Subject.COLUMN_STATEMENT, "0a" * 48)),
        Change("granted", Fact(*AGENCY, Subject.COLUMN_STATEMENT, "0b" * 48)),
    }
    later = loaded(agreement={**AGREEMENT, "until": date(2099, 1, 1)})
    (granted, withdrawn) = sorted(changes(BASE, later))
    assert (granted.fact.subject, withdrawn.fact.subject) == (Subject.AGREEMENT, Subject.AGREEMENT)
    assert granted.fact.value.endswith("until 2099-01-01")


def test_a_submitter_and_an_agency_are_facts_by_themselves() -> None:
    second = submitter("city-pd", KEYS[1], agency("WI0140000", purpose("C", RULE)), entra=ENTRA)
    ours = submitter("metro-pd", KEYS[0], agency("WI0130000", purpose("C", RULE)))
    found = {change.fact: change.direction for change in changes(BASE, Policy.load(policy_file(ours, second)))}
    entra = f"application {ENTRA['client']} of tenant {ENTRA['tenant']} with a role of Jobs.Run"
    for fact in (
        Fact("city-pd", "", "", "", Subject.SUBMITTER, "city-pd"),
        Fact("city-pd", "", "", "", Subject.ENTRA, entra),
        Fact("city-pd", "WI0140000", "", "", Subject.AGENCY, "WI0140000"),
        Fact("city-pd", "WI0140000", "C", "deidentify", Subject.OPERATION, "deidentify"),
    ):
        assert found[fact] == "granted"


def test_no_key_of_the_file_is_left_out() -> None:
    """A key that is added to a table needs a fact, or `cji policy diff` would not show it."""
    columns = {field.encode_name for field in msgspec.structs.fields(SealedColumnsTable)}
    assert columns == {"signing_key", "statements"}
    of_rules = RuleTable, ConfirmationTable, LimitsTable
    keys = [
        {field.encode_name for field in msgspec.structs.fields(table)}
        for table in (SubmitterTable, OtherKey, AgencyTable, Agreement, PurposeTable, *of_rules)
    ]
    assert keys == [
        {"name", "san", "signing_key", "other_key", "suites", "entra", "agencies"},
        {"key", "from", "until"},
        {"ori", "agreement", "jobs_per_day", "sealed_columns", "escrow", "purposes"},
        {"id", "from", "until"},
        {"code", "rules"},
        {"operations", "data_classes", "recipients", "secondary_recipients", "escrow", "confirmations", "limits"},
        {"recipient", "key", "from", "until"},
        {"rows", "bytes"},
    ]
