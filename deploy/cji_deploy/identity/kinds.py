"""The kinds of objects: one folder each, with the place of its objects in Microsoft Graph and what it allows.

Places begin with the version of Graph: beta where v1.0 has no such object (Android fully managed, the settings catalog,
restrictions of enrollment of one platform), since the portal of Intune makes these by beta too.

Sources: Microsoft Graph reference: groups, conditionalAccess, authenticationStrengthPolicy, authenticationMethod
configurations, PIM for Groups, deviceCompliancePolicy, deviceManagementConfigurationPolicy, deviceEnrollment
configurations, managedAppProtection.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

TYPE: Final = "@odata.type"
PREFIX: Final = "#microsoft.graph."


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A property that Graph changes by an action of its own, POST `object/name` with the value under `body`.

    `read` is the path under the object where it is read, empty for a property of the object itself; Graph does not
    return what is in `unread`. Without a `name`, the whole object is put (PUT), with what the tenant has `beside` the
    stated. What is `joined` is added to what the tenant has; what is `later` comes when the object is made; what `acts`
    waits for `--enforce`.
    """

    name: str
    body: str
    read: str = ""
    unread: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()
    joined: bool = False
    later: bool = False
    acts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One folder. `collections` maps the type of an object to its collection.

    `fixed` are properties that Graph takes at creation only, `actions` those that have an action, `joined` lists to
    which ours is added, `title` the property that names an object; objects that are `given` are in every tenant, under
    the id that their file states.
    """

    collections: Mapping[str, str]
    fixed: frozenset[str] = frozenset()
    actions: Mapping[str, Action] = field(default_factory=dict)
    joined: frozenset[str] = frozenset()
    title: str = "displayName"
    given: bool = False


def _assigned(body: str = "assignments", *, acts: bool) -> Action:
    """Groups to which Intune gives an object."""
    return Action(name="assign", body=body, read="assignments", joined=True, later=True, acts=acts)


_COMPLIANCE: Final = "/deviceManagement/deviceCompliancePolicies"
_PLATFORMS: Final = ("windows10", "macOS", "ios", "androidWorkProfile")
_METHODS: Final = "/v1.0/policies/authenticationMethodsPolicy/authenticationMethodConfigurations"
RULES: Final = "pim-rules"
ELIGIBILITY: Final = "pim-eligibility"
KINDS: Final[Mapping[str, Kind]] = {  # in the order in which they are applied: an object follows those that it names
    "groups": Kind(collections={"group": "/v1.0/groups"}, fixed=frozenset({"isAssignableToRole", "mailNickname"})),
    "named-locations": Kind(collections={"countryNamedLocation": "/v1.0/identity/conditionalAccess/namedLocations"}),
    "authentication-methods": Kind(
        collections={f"{name}AuthenticationMethodConfiguration": _METHODS for name in ("fido2", "x509Certificate")},
        joined=frozenset({"includeTargets"}),
        given=True,
    ),
    "authentication-strengths": Kind(
        collections={"authenticationStrengthPolicy": "/v1.0/policies/authenticationStrengthPolicies"},
        actions={"allowedCombinations": Action(name="updateAllowedCombinations", body="allowedCombinations")},
    ),
    "conditional-access": Kind(collections={"conditionalAccessPolicy": "/v1.0/identity/conditionalAccess/policies"}),
    RULES: Kind(
        collections={
            f"unifiedRoleManagementPolicy{name}Rule": "/v1.0/policies/roleManagementPolicies"
            for name in ("Approval", "Enablement", "Expiration")
        }
    ),
    ELIGIBILITY: Kind(
        collections={
            "privilegedAccessGroupEligibilityScheduleRequest": (
                "/v1.0/identityGovernance/privilegedAccess/group/eligibilityScheduleRequests"
            )
        }
    ),
    "compliance": Kind(
        collections={
            **{f"{name}CompliancePolicy": f"/v1.0{_COMPLIANCE}" for name in _PLATFORMS},
            "androidDeviceOwnerCompliancePolicy": f"/beta{_COMPLIANCE}",
        },
        actions={
            "scheduledActionsForRule": Action(
                name="scheduleActionsForRules",
                body="deviceComplianceScheduledActionForRules",
                read="scheduledActionsForRule?$expand=scheduledActionConfigurations",
                unread=frozenset({"ruleName"}),
            ),
            "assignments": _assigned(acts=False),
        },
    ),
    "encryption": Kind(
        collections={"deviceManagementConfigurationPolicy": "/beta/deviceManagement/configurationPolicies"},
        actions={
            "settings": Action(
                name="",
                body="settings",
                read="settings",
                beside=frozenset({"description", "roleScopeTagIds", "disableEntraGroupPolicyAssignment"}),
            ),
            "assignments": _assigned(acts=True),
        },
        title="name",
    ),
    "enrollment": Kind(
        collections={
            "deviceEnrollmentPlatformRestrictionConfiguration": (
                "/beta/deviceManagement/deviceEnrollmentConfigurations"
            )
        },
        fixed=frozenset({"platformType"}),
        actions={"assignments": _assigned("enrollmentConfigurationAssignments", acts=True)},
    ),
    "app-protection": Kind(
        collections={
            "iosManagedAppProtection": "/v1.0/deviceAppManagement/iosManagedAppProtections",
            "androidManagedAppProtection": "/v1.0/deviceAppManagement/androidManagedAppProtections",
        },
        actions={
            "apps": Action(name="targetApps", body="apps", read="apps"),
            "assignments": _assigned(acts=True),
        },
    ),
}
