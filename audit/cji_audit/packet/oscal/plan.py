"""The system security plan, with the state of each statement in the period."""

from types import MappingProxyType
from typing import Final

from cji_audit.packet.oscal.frame import CATALOG, COMPONENTS, Frame, Json, control_id, statement_id
from cji_audit.packet.rows import Row

_OBJECTIVES: Final = ("confidentiality", "integrity", "availability")
_IMPACT: Final = "fips-199-moderate"
_STATES: Final = MappingProxyType({"met": "implemented", "not met": "partial", "gap": "planned", "outside": "planned"})


def system_security_plan(frame: Frame) -> Json:
    """The plan, with the state of each statement in this period."""
    return {
        "uuid": frame.id("ssp", frame.system),
        "metadata": frame.metadata("cji-worker: system security plan"),
        "import-profile": {"href": CATALOG},
        "system-characteristics": _characteristics(frame),
        "system-implementation": {"users": [_operator(frame)], "components": _components(frame)},
        "control-implementation": {
            "description": "Each fragment of the policy, by who acts on it. The packet has the evidence.",
            "implemented-requirements": [
                {
                    "uuid": frame.id("ssp-requirement", f"{frame.system} {unit}"),
                    "control-id": control_id(unit),
                    "statements": [_statement(frame, row) for row in rows],
                }
                for unit, rows in frame.by_unit.items()
            ],
        },
    }


def _characteristics(frame: Frame) -> Json:
    information = {
        "uuid": frame.id("information", "CJI"),
        "title": "Criminal Justice Information",
        "description": "Sealed by the agency; in the clear only in cells of attested machines.",
        **{f"{name}-impact": {"base": _IMPACT} for name in _OBJECTIVES},
    }
    return {
        "system-ids": [{"identifier-type": "https://ietf.org/rfc/rfc4122", "id": frame.id("system", frame.system)}],
        "system-name": ", ".join(trail.worker for trail in frame.material.trails),
        "description": "Workers that process sealed Criminal Justice Information for agencies.",
        "security-sensitivity-level": "moderate",
        "system-information": {"information-types": [information]},
        "security-impact-level": {f"security-objective-{name}": _IMPACT for name in _OBJECTIVES},
        "status": {"state": "operational"},
        "authorization-boundary": {
            "description": "The confidential virtual machine of each worker, from its TLS door to its memory. "
            "The vault, the attestation provider and the network are outside."
        },
    }


def _operator(frame: Frame) -> Json:
    return {
        "uuid": frame.id("user", "operator"),
        "title": "Operator of a worker",
        "role-ids": ["system-administrator"],
        "props": [{"name": "type", "value": "internal"}],
    }


def _components(frame: Frame) -> list[Json]:
    return [
        {
            "uuid": frame.component(actor),
            "type": "software" if actor == "product" else "service",
            "title": title,
            "description": f"Acts on the statements that are the {actor}'s.",
            "status": {"state": "operational"},
        }
        for actor, title in COMPONENTS.items()
    ]


def _statement(frame: Frame, row: Row) -> Json:
    state: Json = {"state": _STATES[row.status]}
    if row.status == "outside":
        state["remarks"] = f"Left to the {row.by}: this product states nothing about its implementation."
    elif row.status != "met":
        state["remarks"] = row.why
    component = {
        "component-uuid": frame.component(row.by),
        "uuid": frame.id("by-component", f"{frame.system} {row.id}"),
        "description": row.does,
        "implementation-status": state,
    }
    return {
        "statement-id": statement_id(row),
        "uuid": frame.id("ssp-statement", f"{frame.system} {row.id}"),
        "by-components": [component],
    }
