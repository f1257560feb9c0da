"""The kinds of objects: one folder each, with the place of its objects in Microsoft Graph v1.0 and what it allows.

Sources: Microsoft Graph v1.0 reference: groups, conditionalAccess, authenticationStrengthPolicy, PIM for Groups,
deviceCompliancePolicy, managedAppProtection.
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
    return what is in `unread`.
    """

    name: str
    body: str
    read: str = ""
    unread: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One folder. `collections` maps the type of an object to its collection.

    `fixed` are properties that Graph takes at creation only, `actions` those that have an action.
    """

    collections: Mapping[str, str]
    fixed: frozenset[str] = frozenset()
    actions: Mapping[str, Action] = field(default_factory=dict)


_COMPLIANCE: Final = "/deviceManagement/deviceCompliancePolicies"
_PLATFORMS: Final = ("windows10", "macOS", "ios", "androidWorkProfile")
RULES: Final = "pim-rules"
ELIGIBILITY: Final = "pim-eligibility"
KINDS: Final[Mapping[str, Kind]] = {  # in the order in which they are applied: an object follows those that it names
    "groups": Kind(collections={"group": "/groups"}, fixed=frozenset({"isAssignableToRole", "mailNickname"})),
    "named-locations": Kind(collections={"countryNamedLocation": "/identity/conditionalAccess/namedLocations"}),
    "authentication-strengths": Kind(
        collections={"authenticationStrengthPolicy": "/policies/authenticationStrengthPolicies"},
        actions={"allowedCombinations": Action(name="updateAllowedCombinations", body="allowedCombinations")},
    ),
    "conditional-access": Kind(collections={"conditionalAccessPolicy": "/identity/conditionalAccess/policies"}),
    RULES: Kind(
        collections={
            f"unifiedRoleManagementPolicy{name}Rule": "/policies/roleManagementPolicies"
            for name in ("Approval", "Enablement", "Expiration")
        }
    ),
    ELIGIBILITY: Kind(
        collections={
            "privilegedAccessGroupEligibilityScheduleRequest": (
                "/identityGovernance/privilegedAccess/group/eligibilityScheduleRequests"
            )
        }
    ),
    "compliance": Kind(
        collections={f"{name}CompliancePolicy": _COMPLIANCE for name in _PLATFORMS},
        actions={
            "scheduledActionsForRule": Action(
                name="scheduleActionsForRules",
                body="deviceComplianceScheduledActionForRules",
                read="scheduledActionsForRule?$expand=scheduledActionConfigurations",
                unread=frozenset({"ruleName"}),
            )
        },
    ),
    "app-protection": Kind(
        collections={
            "iosManagedAppProtection": "/deviceAppManagement/iosManagedAppProtections",
            "androidManagedAppProtection": "/deviceAppManagement/androidManagedAppProtections",
        },
        actions={"apps": Action(name="targetApps", body="apps", read="apps")},
    ),
}
