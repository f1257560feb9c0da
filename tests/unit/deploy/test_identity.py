"""The check of deploy/identity: each planted mistake is found, with file, line and column."""

import json
import shutil
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_deploy.check import Status
from cji_deploy.check.identity import check_identity
from cji_deploy.check.json_places import read_placed
from cji_deploy.check.outcome import DeployError
from cji_deploy.identity.kinds import KINDS
from tests.support.paths import ROOT

SHIPPED: Final = ROOT / "deploy/identity"
POLICY, STRENGTH = "conditional-access/phishing-resistant", "authentication-strengths/phishing-resistant"
WINDOWS, APPROVAL = "compliance/windows", "pim-rules/activation-approval"
FIDO, BITLOCKER = "authentication-methods/fido2", "encryption/windows"
RULE: Final = "pim-rules/activation-requirements"
# file, what stands there, what is planted, what must be reported
MISTAKES: Final = (
    (
        POLICY,
        '"operator": "OR"',
        '"operater": "OR"',
        "unknown property 'operater' of ConditionalAccessGrantControls; did",
    ),
    (
        POLICY,
        '"timeBased"',
        '"timedBase"',
        "'timedBase' is not a word of SignInFrequencyInterval; did you mean 'timeBased'?",
    ),
    (POLICY, '"value": 12', '"value": "12"', "expected number"),
    (POLICY, '"isEnabled": true', '"isEnabled": 1', "expected boolean"),
    (
        POLICY,
        '"enabledForReportingButNotEnforced"',
        '"unknownFutureValue"',
        "is not a word of ConditionalAccessPolicyState",
    ),
    (POLICY, '"enabledForReportingButNotEnforced"', '"enabled"', "a policy begins in report-only mode"),
    (POLICY, '"{{groups/cji-break-glass}}"', "", "is not excluded, so that a mistake locks everybody out"),
    (
        POLICY,
        "{{groups/cji-break-glass}}",
        "{{groups/cji-broken-glass}}",
        "nothing is called 'groups/cji-broken-glass'",
    ),
    (
        POLICY,
        '"includeUsers": [\n        "All"\n      ]',
        '"includeUsers": ["None"]',
        "the policy is not for all users",
    ),
    (POLICY, '"CJI: phishing-resistant sign-in"', '"CJI: only from compliant computers"', "displayName is that of"),
    (STRENGTH, '"fido2"', '"sms"', "'sms' is not phishing-resistant"),
    (STRENGTH, '"fido2"', '"fido3"', "'fido3' is not a word of AuthenticationMethodModes; did you mean 'fido2'?"),
    (STRENGTH, '"CJI: ', '"', "displayName does not begin with 'CJI: '"),
    (
        "named-locations/united-states",
        'Regions": false',
        'Regions": true',
        "an address without a country must not count",
    ),
    ("groups/cji-break-glass", '"isAssignableToRole": true', '"isAssignableToRole": false', "protects nothing"),
    (APPROVAL, '"isApprovalRequired": true', '"isApprovalRequired": false', "an activation needs an approval"),
    (APPROVAL, "graph.groupMembers", "graph.iosCompliancePolicy", "is not a kind of SubjectSet"),
    (APPROVAL, '"groupId"', '"userId"', "unknown property 'userId' of GroupMembers"),
    (RULE, '"MultiFactorAuthentication",', "", "MultiFactorAuthentication is not required"),
    (
        RULE,
        '"Enablement_EndUser_Assignment"',
        '"Enablement_Admin_Assignment"',
        "unknown rule 'Enablement_Admin_Assignment'",
    ),
    ("pim-rules/activation-duration", '"PT2H"', '"PT12H"', "longer than PT8H"),
    ("pim-rules/activation-duration", '"isExpirationRequired": true', '"isExpirationRequired": false', "must expire"),
    (
        "pim-eligibility/key-administrator",
        '"adminAssign"',
        '"assign"',
        "'assign' is not a word of ScheduleRequestActions",
    ),
    (WINDOWS, '"bitLockerEnabled": true', '"bitLockerEnabled": false', "bitLockerEnabled must be true"),
    (
        WINDOWS,
        "windows10CompliancePolicy",
        "windows11CompliancePolicy",
        "is not one of androidDeviceOwnerCompliancePolicy",
    ),
    (WINDOWS, '"actionType": "block"', '"actionType": "blocked"', "is not a word of DeviceComplianceActionType"),
    (WINDOWS, '"bitLockerEnabled": true', '"bitLockerEnabled": true, "bitLockerEnabled": true', "comes twice"),
    ("app-protection/ios", '"dataBackupBlocked": true', '"dataBackupBlocked": false', "dataBackupBlocked must be true"),
    ("app-protection/android", "packageId", "bundleId", "unknown property 'bundleId' of AndroidMobileAppIdentifier"),
    ("compliance/ios", "}\n", "", "not JSON"),
    (WINDOWS, "{{the people}}", "{{groups/cji-break-glass}}", "so it is in force for nobody"),
    ("compliance/android-managed", '"numericComplex"', '"pin"', "is not a word of AndroidDeviceOwnerRequiredPassword"),
    ("compliance/android-managed", '"osMinimumVersion"', '"osMinimalVersion"', "unknown property 'osMinimalVersion'"),
    (FIDO, '"enabled"', '"disabled"', "the method is not enabled"),
    (FIDO, "{{the people}}", "{{groups/cji-key-approvers}}", "the method is not given to {{the people}}"),
    (FIDO, "{{the people}}", "{{the person}}", "nothing is called 'the person'"),
    (BITLOCKER, "requiredeviceencryption_1", "requiredeviceencryption_0", "requiredeviceencryption_1 is missing"),
    (BITLOCKER, '"windows10"', '"windows11"', "is not a word of DeviceManagementConfigurationPlatforms"),
    ("encryption/macos", "escrow_location", "escrow_place", "fderecoverykeyescrow_location is missing"),
    ("encryption/macos", "mdm,appleRemoteManagement", "mdm,apple", "'apple' is not a word of"),
    ("enrollment/macos", 'Blocked": true', 'Blocked": false', "the restriction blocks nothing"),
    ("enrollment/macos", '"CJI: ', '"', "displayName does not begin with 'CJI: '"),
    (
        "conditional-access/no-device-code",
        "deviceCodeFlow,",
        "deviceCode,",
        "is not a word of ConditionalAccessTransfer",
    ),
)
# reported at the value in which something is missing, or at the other file of two
AROUND: Final = (
    *("protects nothing", "locks everybody out", "is not required", "not JSON", "displayName is that of"),
    *("in force for nobody", "is not given to", "is missing", "blocks nothing"),
)


def reasons(root: Path) -> list[str]:
    failed = [outcome for outcome in check_identity(root) if outcome.status is Status.FAILED]
    return [reason for outcome in failed for reason in outcome.reasons]


def copy(tmp_path: Path) -> Path:
    shutil.copytree(SHIPPED, tmp_path / "identity", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return tmp_path


def test_the_shipped_objects_pass() -> None:
    outcomes = list(check_identity(ROOT / "deploy"))
    assert {outcome.status for outcome in outcomes} == {Status.OK}
    assert len(outcomes) == sum(len(list((SHIPPED / kind).glob("*.json"))) for kind in KINDS) + 2


@pytest.mark.parametrize(("file", "old", "new", "problem"), MISTAKES)
def test_a_planted_mistake_is_found_at_its_line(tmp_path: Path, file: str, old: str, new: str, problem: str) -> None:
    path = copy(tmp_path) / "identity" / f"{file}.json"
    text = path.read_text()
    assert old in text
    at = text.index(old) if old != "}\n" else len(text) - 1
    path.write_text(text[:at] + new + text[at + len(old) :] if old != "}\n" else text[: text.rindex("}")])
    found = [reason for reason in reasons(tmp_path) if problem in reason]
    assert len(found) == 1, reasons(tmp_path)
    name, line, column = found[0].split(": ")[0].split(":")
    assert name == f"{file}.json" or "displayName is that of" in found[0]
    assert int(column) >= 1
    if not any(each in problem for each in AROUND):
        assert int(line) == text[:at].count("\n") + 1


def test_every_folder_is_described() -> None:
    page = (ROOT / "docs/identity.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []


def test_a_missing_rule_or_folder_is_found(tmp_path: Path) -> None:
    (copy(tmp_path) / "identity/pim-rules/activation-approval.json").unlink()
    shutil.rmtree(tmp_path / "identity/compliance")
    assert {"no rule Approval_EndUser_Assignment", "no objects"} <= set(reasons(tmp_path))


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (
            "no-unknown-platform",
            '"all"\n      ],\n      "ex',
            '"android"\n      ],\n      "ex',
            "unknown device platforms",
        ),
        ("no-unknown-platform", '"linux"', '"linux", "windowsPhone"', "unknown device platforms"),
        ("no-device-code", "deviceCodeFlow,", "", "the device code flow"),
        ("no-device-code", '"block"', '"mfa"', "the device code flow"),
        ("no-legacy-authentication", '"other"', '"browser"', "legacy authentication"),
    ],
)
def test_what_is_not_blocked_any_more_is_found(tmp_path: Path, file: str, old: str, new: str, problem: str) -> None:
    path = copy(tmp_path) / f"identity/conditional-access/{file}.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert reasons(tmp_path) == [f"no policy blocks {problem}"]


def test_a_schema_that_cannot_be_read_fails(tmp_path: Path) -> None:
    (copy(tmp_path) / "identity/schema/v1.0.json").write_text("{}")
    assert reasons(tmp_path) == ["v1.0.json cannot be read (KeyError)"]


VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40)
@given(VALUES, st.sampled_from([None, 2]))
def test_placed_json_is_what_json_is(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    assert read_placed("x.json", text).value == value


@given(st.text(alphabet='{}[]",:0123456789truefalsn \n\\', max_size=30))
def test_what_is_not_json_is_refused_with_its_place(text: str) -> None:
    try:
        expected = json.loads(text, object_pairs_hook=pairs)
    except ValueError:
        with pytest.raises(DeployError, match=r"x\.json:\d+:\d+: not JSON"):
            read_placed("x.json", text)
    else:
        assert read_placed("x.json", text).value == expected


def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
    if len({name for name, _ in found}) != len(found):
        raise ValueError
    return dict(found)


def test_places_are_where_the_values_begin() -> None:
    placed = read_placed("x.json", '{\n  "a": [1,\n   {"b": true}]\n}')
    assert {pointer: placed.place(pointer) for pointer in ("", "/a", "/a/1/b", "/a/1/c")} == {
        "": "1:1",
        "/a": "2:8",
        "/a/1/b": "3:10",
        "/a/1/c": "3:4",
    }
