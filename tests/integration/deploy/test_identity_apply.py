"""`deploy/identity/apply` against a local Graph: it makes what is missing, repeats nothing, deletes only its own."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from cji_deploy.identity.__main__ import main
from cji_deploy.identity.files import FOLDER, IdentityError, items
from cji_deploy.identity.graph import Graph
from cji_deploy.identity.kinds import KINDS, PREFIX, TYPE
from tests.support.graph_server import METHODS, OperatorCredential, Tenant, graph_server

PEOPLE: Final = ["33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444"]
GROUP: Final = "22222222-2222-4222-8222-222222222222"
FILES: Final = sum(len(list((FOLDER / kind).glob("*.json"))) for kind in KINDS)
RESISTANT: Final = "CJI: phishing-resistant sign-in"


class Desk:
    """An operator's folder, and a tenant."""

    def __init__(self, folder: Path, tenant: Tenant, base: str) -> None:
        self.tenant, self.state = tenant, folder / "state.json"
        self._parameters = folder / "parameters.json"
        self._parameters.write_text(json.dumps({"people": GROUP, "keyAdministrators": PEOPLE}))
        self.waits: list[float] = []
        self.credential = OperatorCredential()
        self.graph = Graph(base, self.credential, sleep=self.waits.append)

    def apply(self, *options: str) -> int:
        self.tenant.writes.clear()
        return main(["--parameters", str(self._parameters), "--state", str(self.state), *options], graph=self.graph)

    def known(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.state.read_text())
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    tenant = Tenant()
    with graph_server(tenant) as base:
        yield Desk(tmp_path, tenant, base)


def test_an_empty_tenant_gets_every_object_once(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.apply() == 0
    made = sum(len(each) for each in desk.tenant.objects.values())
    assert made == FILES - 5 - 1  # rules and methods are changed, eligibility is asked for
    assert len(desk.tenant.schedules) == len(PEOPLE)
    policy = desk.tenant.named(RESISTANT)
    group, strength = desk.tenant.named("CJI: break glass"), desk.tenant.named("CJI: phishing-resistant")
    assert policy["state"] == "enabledForReportingButNotEnforced"
    assert policy["conditions"]["users"]["excludeGroups"] == [group["id"]]
    assert policy["grantControls"]["authenticationStrength"]["id"] == strength["id"]
    keys = desk.tenant.named("CJI: key administrators")["id"]
    rules = desk.tenant.rules[keys]
    assert rules["Approval_EndUser_Assignment"]["setting"]["isApprovalRequired"] is True
    assert rules["Expiration_EndUser_Assignment"]["maximumDuration"] == "PT2H"
    assert {each["groupId"] for each in desk.tenant.schedules} == {keys}
    capsys.readouterr()
    assert desk.apply() == 0
    assert desk.tenant.writes == []
    assert re.search(r"apply: 0 steps in \d+ objects", capsys.readouterr().out)
    assert set(desk.credential.scopes) == {f"{desk.graph._base}/.default"}


def test_a_dry_run_writes_nothing_and_prints_the_difference(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.apply("--dry-run") == 2
    assert desk.tenant.writes == []
    assert not desk.state.exists()
    assert "create   conditional-access/phishing-resistant" in capsys.readouterr().out
    assert desk.apply() == 0
    desk.tenant.named("CJI: Windows")["bitLockerEnabled"] = False
    desk.tenant.named("CJI: phishing-resistant")["allowedCombinations"].append("sms")
    desk.tenant.named("CJI: key approvers")["isAssignableToRole"] = False
    capsys.readouterr()
    assert desk.apply("--dry-run") == 2
    printed = capsys.readouterr().out
    assert "compliance/windows\n         - bitLockerEnabled = false\n         + bitLockerEnabled = true\n" in printed
    assert 'allowedCombinations = ["windowsHelloForBusiness", "fido2", "x509CertificateMultiFactor", "sms"]' in printed
    assert "differs  groups/cji-key-approvers" in printed
    assert desk.tenant.writes == []


def test_a_change_is_put_back_and_what_is_not_stated_stays(desk: Desk) -> None:
    assert desk.apply() == 0
    windows, strength = desk.tenant.named("CJI: Windows"), desk.tenant.named("CJI: phishing-resistant")
    windows |= {"bitLockerEnabled": False, "osMaximumVersion": "10.0.99999"}
    windows["scheduledActionsForRule"] = []
    strength["allowedCombinations"].append("sms")
    desk.tenant.named("CJI: apps on Android")["apps"].pop()
    desk.tenant.named("CJI: BitLocker")["settings"].pop(0)
    desk.tenant.rules[desk.tenant.named("CJI: key administrators")["id"]]["Expiration_EndUser_Assignment"][
        "maximumDuration"
    ] = "P1D"
    assert desk.apply() == 0
    assert sorted(method for method, _ in desk.tenant.writes) == ["PATCH", "PATCH", "POST", "POST", "POST", "PUT"]
    assert "requiredeviceencryption_1" in json.dumps(desk.tenant.named("CJI: BitLocker")["settings"])
    assert (windows["bitLockerEnabled"], windows["osMaximumVersion"]) == (True, "10.0.99999")
    assert "sms" not in strength["allowedCombinations"]
    assert desk.apply("--dry-run") == 0


def test_policies_are_enforced_only_by_the_switch(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.apply() == 0
    group = desk.tenant.named("CJI: break glass")["id"]
    desk.tenant.members[group] = ["one"]
    assert desk.apply("--enforce") == 1
    assert "has 1 members: add two emergency accounts" in capsys.readouterr().err
    assert desk.tenant.named(RESISTANT)["state"] == "enabledForReportingButNotEnforced"
    desk.tenant.members[group] = ["one", "two"]
    assert desk.apply("--enforce") == 0
    assert desk.tenant.named(RESISTANT)["state"] == "enabled"
    assert desk.apply() == 0  # and it stays so
    assert (desk.tenant.named(RESISTANT)["state"], desk.tenant.writes) == ("enabled", [])
    assert desk.apply("--report-only") == 0
    assert desk.tenant.named(RESISTANT)["state"] == "enabledForReportingButNotEnforced"


def groups(found: dict[str, Any]) -> list[str]:
    return [each["target"]["groupId"] for each in found.get("assignments", [])]


def test_what_acts_on_devices_waits_for_the_switch(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.apply() == 0
    assert "assignments wait for --enforce" in capsys.readouterr().out
    reporting = ("CJI: Windows", "CJI: macOS", "CJI: Android fully managed")
    acting = ("CJI: BitLocker", "CJI: FileVault", "CJI: apps on Android", "CJI: no personal Macs")
    assert [groups(desk.tenant.named(title)) for title in reporting] == [[GROUP]] * 3
    assert [groups(desk.tenant.named(title)) for title in acting] == [[]] * 4
    assert desk.apply("--dry-run") == 0  # what waits is no difference
    desk.tenant.members[desk.tenant.named("CJI: break glass")["id"]] = ["one", "two"]
    assert desk.apply("--dry-run", "--enforce") == 2
    assert desk.tenant.writes == []
    assert desk.apply("--enforce") == 0
    assert [groups(desk.tenant.named(title)) for title in acting] == [[GROUP]] * 4
    assert desk.apply("--dry-run", "--enforce") == 0


def test_groups_of_others_keep_what_they_have(desk: Desk) -> None:
    assert desk.apply() == 0
    fido = desk.tenant.objects[METHODS]["Fido2"]
    assert [each["id"] for each in fido["includeTargets"]] == ["a-group-of-others", GROUP]
    assert (fido["state"], fido["isAttestationEnforced"]) == ("enabled", True)
    windows = desk.tenant.named("CJI: Windows")
    theirs = {TYPE: f"{PREFIX}groupAssignmentTarget", "groupId": "another", "extra": None}
    windows["assignments"] = [{"id": "x", "target": theirs}]
    fido["includeTargets"].pop()
    assert desk.apply() == 0
    assert groups(windows) == ["another", GROUP]
    assert [each["id"] for each in fido["includeTargets"]] == ["a-group-of-others", GROUP]
    assert desk.apply("--dry-run") == 0


def test_what_others_give_stays_whole(desk: Desk) -> None:
    fido = desk.tenant.objects[METHODS]["Fido2"]
    theirs = [dict(each) for each in fido["includeTargets"]]
    assert theirs[0]["isRegistrationRequired"] is False
    assert desk.apply() == 0
    assert fido["includeTargets"][:1] == theirs
    disk = desk.tenant.named("CJI: BitLocker")
    disk |= {"roleScopeTagIds": ["7"], "description": "ours"}
    disk["settings"].pop(0)
    assert desk.apply() == 0
    assert disk["roleScopeTagIds"] == ["7"]
    assert desk.apply("--dry-run") == 0


def test_a_group_that_is_excluded_is_a_difference(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.apply() == 0
    windows = desk.tenant.named("CJI: Windows")
    windows["assignments"][0]["target"][TYPE] = f"{PREFIX}exclusionGroupAssignmentTarget"
    capsys.readouterr()
    assert desk.apply("--dry-run") == 2
    assert "exclusionGroupAssignmentTarget" in capsys.readouterr().out


def test_a_tenant_without_a_method_is_an_error(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    del desk.tenant.objects[METHODS]["Fido2"]
    assert desk.apply() == 1
    assert "the tenant has no 'Fido2'" in capsys.readouterr().err


def test_what_others_made_is_adopted_and_never_deleted(desk: Desk) -> None:
    theirs = "/v1.0/identity/conditionalAccess/policies"
    adopted = desk.tenant.add(theirs, {"displayName": RESISTANT, "state": "enabled"})
    foreign = desk.tenant.add(theirs, {"displayName": "Our own", "state": "enabled"})
    assert desk.apply() == 0
    assert desk.tenant.objects[theirs][adopted]["state"] == "enabled"
    assert "conditional-access/phishing-resistant" not in desk.known()
    known = desk.known()
    gone = desk.tenant.add(theirs, {"displayName": "CJI: old", "state": "disabled"})
    desk.state.write_text(json.dumps({**known, "conditional-access/old": gone}))
    assert desk.apply() == 0
    assert gone in desk.tenant.objects[theirs]
    assert desk.apply("--prune", "--skip", "compliance") == 0
    assert desk.tenant.writes == [("DELETE", f"{theirs}/{gone}")]
    assert {adopted, foreign} <= desk.tenant.objects[theirs].keys()
    assert desk.known() == known


def test_two_objects_of_one_name_are_refused(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        desk.tenant.add("/v1.0/groups", {"displayName": "CJI: break glass"})
    assert desk.apply() == 1
    assert "groups/cji-break-glass: the tenant has 2 objects named" in capsys.readouterr().err
    assert desk.tenant.writes == []


def test_an_interrupted_run_goes_on_where_it_was(desk: Desk) -> None:
    desk.tenant.objects["/v1.0/groups"] = {}
    rules = desk.tenant.rules
    desk.tenant.rules = type("Late", (dict,), {"__contains__": lambda *_: False})()
    assert desk.apply() == 1  # PIM has no role settings yet
    first = desk.known()
    assert {"groups/cji-break-glass", "conditional-access/phishing-resistant"} <= first.keys()
    rules |= dict(desk.tenant.rules)
    desk.tenant.rules = rules
    assert desk.apply() == 0
    assert first.items() <= desk.known().items()
    assert not [path for method, path in desk.tenant.writes if method == "POST" and path == "/v1.0/groups"]


def test_a_throttled_request_waits_as_long_as_graph_asks(desk: Desk) -> None:
    desk.tenant.throttle = 2
    assert desk.apply("--dry-run") == 2
    assert desk.waits == [7, 7]
    desk.tenant.throttle = 100
    assert desk.apply("--dry-run") == 1


def test_a_page_of_another_service_is_not_read(desk: Desk) -> None:
    for number in range(3):
        desk.tenant.add("/v1.0/groups", {"displayName": str(number)})
    assert len(list(desk.graph.all("/v1.0/groups"))) == 3
    desk.tenant.next_base = "https://graph.microsoft.com.example"
    with pytest.raises(IdentityError, match="another service"):
        list(desk.graph.all("/v1.0/groups"))


@pytest.mark.parametrize("given", [{}, {"keyAdministrators": "a"}, {"keyAdministrators": ["jdoe@agency.gov"]}])
def test_parameters_that_are_no_object_ids_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(IdentityError, match="keyAdministrators is not a list of object ids"):
        items(FOLDER, {"people": GROUP, **given})


@pytest.mark.parametrize("given", [{}, {"people": "CJI users"}, {"people": [GROUP]}])
def test_a_group_that_is_no_object_id_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(IdentityError, match="people is not an object id"):
        items(FOLDER, {"keyAdministrators": PEOPLE, **given})
