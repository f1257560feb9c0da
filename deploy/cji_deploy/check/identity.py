"""The objects of deploy/identity: Graph's schema, what they name, and what the agency's sign-in must not lose.

Requirements of ours, after CJISSECPOL AC-2, AC-6, AC-17, AC-19, IA-2, IA-5 and SC-28: phishing-resistant methods only,
and these given to the people who have access; unknown platforms and the device code flow blocked; the emergency
accounts outside every policy; policies that begin in report-only mode; whole disks encrypted, with a recovery key that
the agency keeps; objects of Intune assigned; and a time-limited, approved activation with more than one factor for who
administers keys.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cji_deploy.check.graph_types import GraphTypes
from cji_deploy.check.json_places import Placed, read_placed
from cji_deploy.check.outcome import DeployError, Outcome, judged
from cji_deploy.check.sentinel_rule import duration
from cji_deploy.identity.files import PLACEHOLDER
from cji_deploy.identity.kinds import ELIGIBILITY, KINDS, PREFIX, RULES, TYPE

__all__ = ["check_identity"]

_CHECK: Final = "identity: objects"
_BREAK_GLASS: Final = "{{groups/cji-break-glass}}"
_RESISTANT: Final = frozenset({"windowsHelloForBusiness", "fido2", "x509CertificateMultiFactor"})
_LONGEST: Final = {  # of what PIM gives, by the rule's id
    "Expiration_EndUser_Assignment": "PT8H",
    "Expiration_Admin_Assignment": "P1D",
    "Expiration_Admin_Eligibility": "P365D",
}
_NEEDED_RULES: Final = frozenset({*_LONGEST, "Approval_EndUser_Assignment", "Enablement_EndUser_Assignment"})
_NEEDED: Final = {
    "windows10CompliancePolicy": ("bitLockerEnabled", "secureBootEnabled", "passwordRequired"),
    "macOSCompliancePolicy": ("storageRequireEncryption", "systemIntegrityProtectionEnabled", "passwordRequired"),
    "iosCompliancePolicy": ("securityBlockJailbrokenDevices", "passcodeRequired"),
    "androidWorkProfileCompliancePolicy": (
        "storageRequireEncryption",
        "securityBlockJailbrokenDevices",
        "passwordRequired",
    ),
    "androidDeviceOwnerCompliancePolicy": (
        "storageRequireEncryption",
        "securityBlockJailbrokenDevices",
        "passwordRequired",
    ),
    "iosManagedAppProtection": ("pinRequired", "dataBackupBlocked", "saveAsBlocked"),
    "androidManagedAppProtection": ("pinRequired", "dataBackupBlocked", "saveAsBlocked", "encryptAppData"),
}
_ENCRYPTED: Final = {  # settings that a policy of these platforms must have
    "windows10": (
        "device_vendor_msft_bitlocker_requiredeviceencryption_1",
        "device_vendor_msft_bitlocker_systemdrivesrecoveryoptions_osrequireactivedirectorybackup_name_1",
    ),
    "macOS": (
        "com.apple.mcx.filevault2_enable_0",
        "com.apple.mcx_dontallowfdedisable_true",
        "com.apple.security.fderecoverykeyescrow_location",
    ),
}
_PEOPLE: Final = "{{the people}}"
_KNOWN_PLATFORMS: Final = frozenset({"android", "iOS", "windows", "macOS", "linux"})
_BLOCKED: Final = ("unknown device platforms", "the device code flow", "legacy authentication")
Problem = tuple[str, str]


def check_identity(root: Path) -> Iterator[Outcome]:
    """Outcomes for the folder `identity` of the deploy folder `root`."""
    folder = root / "identity"
    try:
        types = {version: GraphTypes.load(folder / f"schema/{version}.json") for version in ("v1.0", "beta")}
    except DeployError as error:
        yield judged(_CHECK, folder.name, error.problems)
        return
    names = {f"{kind}/{path.stem}" for kind in KINDS for path in (folder / kind).glob("*.json")}
    titles: dict[tuple[str, str], str] = {}
    rules, blocked = set[str](), set[str]()
    for kind in KINDS:
        paths = sorted((folder / kind).glob("*.json"))
        if not paths:
            yield judged(_CHECK, kind, ["no objects"])
        for path in paths:
            subject = f"{kind}/{path.name}"
            try:
                placed = read_placed(subject, path.read_text("utf-8"))
            except DeployError as error:
                yield judged(_CHECK, subject, error.problems)
                continue
            found = [*_schema(kind, placed, types), *_references(placed.value, names)]
            if not found:
                found += [*_title(kind, subject, placed.value, titles), *_required(kind, placed.value)]
            if kind == RULES and isinstance(placed.value, dict):
                rules.add(str(placed.value.get("id")))
            if kind == "conditional-access" and isinstance(placed.value, dict):
                blocked |= set(_blocks(placed.value))
            yield judged(_CHECK, subject, [f"{subject}:{placed.place(at)}: {problem}" for at, problem in found])
    yield judged("identity: role settings", RULES, [f"no rule {each}" for each in sorted(_NEEDED_RULES - rules)])
    missing = [f"no policy blocks {each}" for each in _BLOCKED if each not in blocked]
    yield judged("identity: what is blocked", "conditional-access", missing)


def _schema(kind: str, placed: Placed, types: Mapping[str, GraphTypes]) -> Iterator[Problem]:
    body, known = placed.value, KINDS[kind].collections
    if not isinstance(body, dict):
        yield "", "expected an object"
        return
    stated = body.get(TYPE)
    if stated is None and len(known) > 1:
        yield "", f"{TYPE} is missing"
    elif stated is not None and str(stated).removeprefix(PREFIX) not in known:
        yield f"/{TYPE}", f"{stated!r} is not one of {', '.join(sorted(known))}"
    else:
        name = str(stated).removeprefix(PREFIX) if stated else next(iter(known))
        yield from types[known[name].split("/")[1]].problems(body, name)


def _references(value: Any, names: set[str], pointer: str = "") -> Iterator[Problem]:
    """Placeholders name a file, a parameter or the time."""
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in parts:
            yield from _references(each, names, f"{pointer}/{key}")
    elif isinstance(value, str):
        for name in PLACEHOLDER.findall(value):
            if name not in names and name not in ("now", "each keyAdministrators", "the people"):
                yield pointer, f"nothing is called {name!r}"


def _title(kind: str, subject: str, body: Mapping[str, Any], titles: dict[tuple[str, str], str]) -> Iterator[Problem]:
    if kind in (RULES, ELIGIBILITY) or KINDS[kind].given:
        return
    name = KINDS[kind].title
    title = body.get(name)
    if not isinstance(title, str) or not title.startswith("CJI: ") or "'" in title:
        yield f"/{name}", f"{name} does not begin with 'CJI: ', or has a quotation mark"
    elif (first := titles.setdefault((kind, title), subject)) != subject:
        yield f"/{name}", f"{name} is that of {first}"


def _required(kind: str, body: Mapping[str, Any]) -> Iterator[Problem]:
    """Requirements of ours, by kind."""
    match kind:
        case "authentication-strengths":
            for number, each in enumerate(body.get("allowedCombinations") or ["nothing"]):
                if each not in _RESISTANT:
                    yield f"/allowedCombinations/{number}", f"{each!r} is not phishing-resistant"
        case "conditional-access":
            yield from _policy(body)
        case "named-locations":
            if body.get("includeUnknownCountriesAndRegions") is not False:
                yield "/includeUnknownCountriesAndRegions", "an address without a country must not count as inside"
        case "groups":
            if not body.get("isAssignableToRole") or not body.get("securityEnabled"):
                yield "", "a group that anybody with rights on groups can change protects nothing: isAssignableToRole"
        case kind if kind == RULES:
            yield from _rule(body)
        case "authentication-methods":
            yield from _method(body)
        case "compliance" | "app-protection" | "encryption" | "enrollment":
            yield from _intune(kind, body)


def _method(body: Mapping[str, Any]) -> Iterator[Problem]:
    if body.get("state") != "enabled":
        yield "/state", "the method is not enabled"
    if _PEOPLE not in json.dumps(body.get("includeTargets")):
        yield "/includeTargets", f"the method is not given to {_PEOPLE}"


def _intune(kind: str, body: Mapping[str, Any]) -> Iterator[Problem]:
    """Objects of Intune: assigned, and with what they exist for."""
    for name in _NEEDED.get(str(body.get(TYPE)).removeprefix(PREFIX), ()):
        if body.get(name) is not True:
            yield f"/{name}", f"{name} must be true"
    if _PEOPLE not in json.dumps(body.get("assignments")):
        yield "/assignments", f"not assigned to {_PEOPLE}, so it is in force for nobody"
    if kind == "encryption":
        settings = json.dumps(body.get("settings"))
        for each in _ENCRYPTED.get(str(body.get("platforms")), ("a policy for windows10 or macOS",)):
            if f'"{each}"' not in settings:
                yield "/settings", f"{each} is missing"
    restriction = body.get("platformRestriction") or {}
    if kind == "enrollment" and not (
        restriction.get("platformBlocked") is True or restriction.get("personalDeviceEnrollmentBlocked") is True
    ):
        yield "/platformRestriction", "the restriction blocks nothing"


def _blocks(body: Mapping[str, Any]) -> Iterator[str]:
    """The things on the list of what has to be blocked that this policy blocks, for everybody and everything."""
    conditions, granted = body.get("conditions") or {}, body.get("grantControls") or {}
    applications = (conditions.get("applications") or {}).get("includeApplications")
    if granted.get("builtInControls") != ["block"] or applications != ["All"]:
        return
    platforms = conditions.get("platforms") or {}
    if (
        platforms.get("includePlatforms") == ["all"]
        and set(platforms.get("excludePlatforms") or ()) <= _KNOWN_PLATFORMS
    ):
        yield "unknown device platforms"
    if "deviceCodeFlow" in str((conditions.get("authenticationFlows") or {}).get("transferMethods")).split(","):
        yield "the device code flow"
    if {"exchangeActiveSync", "other"} <= set(conditions.get("clientAppTypes") or ()):
        yield "legacy authentication"


def _policy(body: Mapping[str, Any]) -> Iterator[Problem]:
    users = (body.get("conditions") or {}).get("users") or {}
    if _BREAK_GLASS not in (users.get("excludeGroups") or []):
        yield "/conditions/users", f"{_BREAK_GLASS} is not excluded, so that a mistake locks everybody out"
    if users.get("includeUsers") != ["All"]:
        yield "/conditions/users/includeUsers", "the policy is not for all users"
    if body.get("state") != "enabledForReportingButNotEnforced":
        yield "/state", "a policy begins in report-only mode; `apply --enforce` switches it on"
    if not body.get("grantControls"):
        yield "/grantControls", "grantControls is missing"


def _rule(body: Mapping[str, Any]) -> Iterator[Problem]:
    identifier = body.get("id")
    if identifier in _LONGEST:
        longest, found = duration(_LONGEST[str(identifier)]), duration(body.get("maximumDuration"))
        if not body.get("isExpirationRequired"):
            yield "/isExpirationRequired", "what is given must expire"
        if found is None or longest is None or found > longest:
            yield "/maximumDuration", f"longer than {_LONGEST[str(identifier)]}"
    elif identifier == "Approval_EndUser_Assignment":
        setting = body.get("setting") or {}
        if setting.get("isApprovalRequired") is not True:
            yield "/setting/isApprovalRequired", "an activation needs an approval"
        if not any(stage.get("primaryApprovers") for stage in setting.get("approvalStages") or []):
            yield "/setting/approvalStages", "nobody approves"
    elif identifier == "Enablement_EndUser_Assignment":
        for need in ("MultiFactorAuthentication", "Justification"):
            if need not in (body.get("enabledRules") or []):
                yield "/enabledRules", f"{need} is not required"
    else:
        yield "/id", f"unknown rule {identifier!r}"
