"""The responsibility matrix of the leveraged system, Azure with the landing zone: what it provides, what it leaves.

In the form of a plan, as OSCAL has it: `provided` is the provider's, a `responsibility` is the agency's or the
product's. The provider did not write it: it is how this product's statements divide the policy's fragments.
"""

from typing import Final

from cji_audit.packet.oscal.frame import PROVIDER, Frame, Json, control_id, statement_id
from cji_audit.packet.oscal.policy import PROFILE
from cji_audit.packet.rows import Row

MATRIX: Final = "responsibility-matrix.json"
_IMPACT: Final = "fips-199-moderate"
_OBJECTIVES: Final = ("confidentiality", "integrity", "availability")
_WORDS: Final = (
    "Who acts on each fragment of the policy, as this product's statements divide them. The provider did not write "
    "this: its own authorization documents decide what it provides, and the agency compares them."
)


def matrix(frame: Frame) -> Json:
    """The matrix."""
    title = frame.agency.provider if frame.agency else PROVIDER
    component = {
        "uuid": frame.id("component", "leveraged"),
        "type": "this-system",
        "title": f"{title}: cloud and landing zone",
        "description": "Runs confidential virtual machines, vaults, attestation, storage and networks.",
        "status": {"state": "operational"},
    }
    return {
        "metadata": frame.metadata(f"{title}: matrix of responsibilities"),
        "import-profile": {"href": PROFILE},
        "system-characteristics": {
            "system-ids": [system_id(frame, "leveraged")],
            "system-name": f"{title}: cloud and landing zone",
            "description": _WORDS,
            **characteristics(frame),
            "authorization-boundary": {"description": "The provider's authorization documents describe it."},
        },
        "system-implementation": {"users": [user(frame)], "components": [component]},
        "control-implementation": {
            "description": _WORDS,
            "implemented-requirements": [
                {
                    "uuid": frame.id("matrix-requirement", unit),
                    "control-id": control_id(unit),
                    "statements": [_statement(frame, row) for row in rows],
                }
                for unit, rows in frame.by_unit.items()
            ],
        },
    }


def provided(frame: Frame, row: Row) -> str:
    """The UUID of what the provider provides for a fragment."""
    return frame.id("provided", row.id)


def responsibility(frame: Frame, row: Row) -> str:
    """The UUID of what the provider leaves to the agency or the product."""
    return frame.id("responsibility", row.id)


def _statement(frame: Frame, row: Row) -> Json:
    ours = row.by == "provider"
    exported: Json = {"uuid": (provided if ours else responsibility)(frame, row), "description": row.does}
    exported |= {"responsible-roles": frame.roles(row.by)}
    return {
        "statement-id": statement_id(row),
        "uuid": frame.id("matrix-statement", row.id),
        "by-components": [
            {
                "component-uuid": frame.id("component", "leveraged"),
                "uuid": frame.id("matrix-by-component", row.id),
                "description": "The provider acts." if ours else f"Left to the {row.by}.",
                "export": {"provided" if ours else "responsibilities": [exported]},
            }
        ],
    }


def characteristics(frame: Frame) -> Json:
    """Members of the characteristics that both plans have."""
    information = {
        "uuid": frame.id("information", "CJI"),
        "title": "Criminal Justice Information",
        "description": "Sealed by the agency; in the clear only in cells of attested machines.",
        **{f"{name}-impact": {"base": _IMPACT} for name in _OBJECTIVES},
    }
    return {
        "security-sensitivity-level": "moderate",
        "system-information": {"information-types": [information]},
        "security-impact-level": {f"security-objective-{name}": _IMPACT for name in _OBJECTIVES},
        "status": {"state": "operational"},
    }


def system_id(frame: Frame, name: str) -> Json:
    """The id of a system."""
    return {"identifier-type": "http://datatracker.ietf.org/doc/html/rfc4122", "id": frame.id("system", name)}


def user(frame: Frame) -> Json:
    """The one user of both plans: neither has an account for others."""
    return {
        "uuid": frame.id("user", "operator"),
        "title": "Operator of a worker",
        "role-ids": ["system-administrator"],
        "props": [{"name": "type", "value": "internal"}],
    }
