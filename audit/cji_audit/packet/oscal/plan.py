"""The system security plan: each fragment by who acts on it.

The product's fragments have a state, satisfy what the provider leaves to it, and leave what is missing to the agency.
The agency's are responsibilities, the provider's are inherited: of neither any state is given, nothing looks at them.
"""

from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from cji_audit.packet.controls import Actor
from cji_audit.packet.oscal.frame import PROVIDER, Frame, Json, control_id, statement_id
from cji_audit.packet.oscal.policy import PROFILE
from cji_audit.packet.oscal.responsibilities import (
    MATRIX,
    characteristics,
    provided,
    responsibility,
    system_id,
    user,
)
from cji_audit.packet.rows import Row, RowStatus

PLAN: Final = "system-security-plan.json"
_STATES: Final[Mapping[RowStatus, str]] = MappingProxyType(
    {"met": "implemented", "partial": "partial", "not met": "partial"}
)
"""Of the product's fragments. Without evidence no state is given."""
_ORIGINS: Final[Mapping[Actor, str]] = MappingProxyType(
    {"product": "system-specific", "agency": "customer-provided", "provider": "inherited"}
)
_DIAGRAMS: Final = MappingProxyType(
    {"authorization-boundary": "authorization-boundary.svg", "data-flow": "data-flow.svg"}
)


def system_security_plan(frame: Frame) -> Json:
    """The plan, with the state of each statement in this period."""
    return {
        "metadata": frame.metadata("cji-worker: system security plan"),
        "import-profile": {"href": PROFILE},
        "system-characteristics": _characteristics(frame),
        "system-implementation": {
            **_leveraged(frame),
            "users": [user(frame)],
            "components": _components(frame),
        },
        "control-implementation": {
            "description": "Each fragment of the policy, by who acts on it. The packet has the evidence.",
            "implemented-requirements": [
                {
                    "uuid": frame.of_system("requirement", unit),
                    "control-id": control_id(unit),
                    "statements": [_statement(frame, row) for row in rows],
                }
                for unit, rows in frame.by_unit.items()
            ],
        },
        "back-matter": {
            "resources": [
                *(
                    _resource(frame, name, "image/svg+xml", f"Diagram: {title.replace('-', ' ')}")
                    for title, name in _DIAGRAMS.items()
                ),
                _resource(frame, MATRIX, "application/json", "Matrix of responsibilities of the leveraged system"),
            ]
        },
    }


def _resource(frame: Frame, name: str, kind: str, title: str) -> Json:
    digest = {"algorithm": "SHA-256", "value": sha256(frame.files[name]).hexdigest()}
    link = {"href": name, "media-type": kind, "hashes": [digest]}
    return {"uuid": frame.id("resource", name), "title": title, "rlinks": [link]}


def _characteristics(frame: Frame) -> Json:
    return {
        "system-ids": [system_id(frame, frame.system)],
        "system-name": ", ".join(trail.worker for trail in frame.material.trails),
        "description": "Workers that process sealed Criminal Justice Information for agencies.",
        "props": [{"name": "cloud-service-model", "value": "iaas"}],
        **characteristics(frame),
        "authorization-boundary": _diagram(
            frame,
            "authorization-boundary",
            "The confidential virtual machine of each worker, from its TLS door to its memory. "
            "The vault, the attestation provider and the network are outside.",
        ),
        "data-flow": _diagram(
            frame, "data-flow", "Records enter and leave as ciphertext, and are opened in cells alone."
        ),
    }


def _diagram(frame: Frame, name: str, words: str) -> Json:
    link = {"href": f"#{frame.id('resource', _DIAGRAMS[name])}", "rel": "diagram"}
    return {"description": words, "diagrams": [{"uuid": frame.of_system("diagram", name), "links": [link]}]}


def _leveraged(frame: Frame) -> Json:
    """The provider's authorization, if the agency stated it: nothing else in a packet knows of one."""
    stated = frame.agency and frame.agency.authorization
    if not stated:
        return {"remarks": "The agency did not state the provider's authorization (--agency): none is leveraged yet."}
    links = [{"href": f"#{frame.id('resource', MATRIX)}", "rel": "system-security-plan"}]
    links += [{"href": stated.href, "rel": "reference"}] if stated.href else []
    authorization = {
        "uuid": frame.id("leveraged-authorization", stated.title),
        "title": stated.title,
        "links": links,
        "party-uuid": frame.id("party", "provider"),
        "date-authorized": stated.granted.isoformat(),
        "remarks": "Title, date and address as the agency states them.",
    }
    return {"leveraged-authorizations": [authorization]}


def _components(frame: Frame) -> list[Json]:
    leveraged = frame.agency and frame.agency.authorization
    outside = [
        {"name": "implementation-point", "value": "external"},
        {"name": "inherited-uuid", "value": frame.id("component", "leveraged")},
    ]
    if leveraged:
        authorization = frame.id("leveraged-authorization", leveraged.title)
        outside.append({"name": "leveraged-authorization-uuid", "value": authorization})
    provider = frame.agency.provider if frame.agency else PROVIDER
    described: list[tuple[str, str, str, str, list[Json]]] = [
        ("this-system", "this-system", "This system", "The workers of this packet.", []),
        ("product", "software", "cji-worker", "Acts on the statements that are the product's.", []),
        ("agency", "process-procedure", "Agency", "People and procedures of the agency.", []),
        ("provider", "system", f"{provider}: cloud and landing zone", "The leveraged system.", outside),
    ]
    return [
        {
            "uuid": frame.id("component", name),
            "type": kind,
            "title": title,
            "description": words,
            **({"props": props} if props else {}),
            "status": {"state": "operational"},
        }
        for name, kind, title, words, props in described
    ]


def _statement(frame: Frame, row: Row) -> Json:
    component: Json = {
        "component-uuid": frame.id("component", row.by),
        "uuid": frame.of_system("by-component", row.id),
        "description": row.does,
        "props": [{"name": "control-origination", "value": _ORIGINS[row.by]}],
        **_shared(frame, row),
        "responsible-roles": frame.roles(row.by),
    }
    return {
        "statement-id": statement_id(row),
        "uuid": frame.of_system("statement", row.id),
        "by-components": [component],
    }


def _shared(frame: Frame, row: Row) -> Json:
    """The state of what is the product's, and the division of everything."""
    if row.by == "provider":
        inherited = {"uuid": frame.of_system("inherited", row.id), "provided-uuid": provided(frame, row)}
        return {"inherited": [inherited | {"description": row.does, "responsible-roles": frame.roles("provider")}]}
    if row.by == "agency":
        return {"export": {"responsibilities": [_responsibility(frame, row, row.does)]}}
    satisfied = {"uuid": frame.of_system("satisfied", row.id), "responsibility-uuid": responsibility(frame, row)}
    found: Json = {"satisfied": [satisfied | {"description": row.does, "responsible-roles": frame.roles("product")}]}
    if row.missing:
        found["export"] = {"responsibilities": [_responsibility(frame, row, row.missing)]}
    if state := _STATES.get(row.status):
        remarks = {} if row.status == "met" else {"remarks": row.why}
        found["implementation-status"] = {"state": state, **remarks}
    else:
        found["remarks"] = f"No state is given, because evidence is missing: {row.why}"
    return found


def _responsibility(frame: Frame, row: Row, words: str) -> Json:
    """A responsibility of the agency."""
    return {
        "uuid": frame.of_system("left", row.id),
        "description": words,
        "responsible-roles": frame.roles("agency"),
    }
