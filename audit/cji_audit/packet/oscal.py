"""A packet as OSCAL 1.1: catalog, component definition, system security plan and assessment results, in JSON.

Ids are UUIDs of version 5 over names of ours, and times are those of the period, so the same material has the same
bytes. Control ids are those of the policy in OSCAL's form, `AC-6(1)` is `ac-6.1`; the statement of a fragment is
`ac-6.1_smt.149`.

Source: NIST OSCAL 1.1.2 models; compliance-trestle validates all four in CI.
"""

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from cji_audit.packet.catalog import Catalog
from cji_audit.packet.checks import Result
from cji_audit.packet.material import Material
from cji_audit.packet.report import checks_of, where_and_limits
from cji_audit.packet.rows import Row, label

_OBJECTIVES: Final = ("confidentiality", "integrity", "availability")
_IMPACT: Final = "fips-199-moderate"
_STATES: Final = MappingProxyType({"met": "implemented", "partial": "partial", "not met": "partial", "gap": "planned"})
"""Of the product's statements. Nothing is stated about the implementation of the agency's and the provider's."""

OSCAL_VERSION: Final = "1.1.2"
CATALOG: Final = "catalog.json"
"""The policy, for the documents beside it."""
NAMESPACE: Final = "urn:uuid:5d2f4e0c-7a52-5c1c-9d5f-1d2f6b1f3f61"
"""Of properties that OSCAL does not define, and of all ids."""
COMPONENTS: Final = MappingProxyType(
    {"product": "cji-worker", "agency": "Agency", "provider": "Cloud provider and landing zone"}
)
"""Titles of components, by who acts on a statement."""
Json: TypeAlias = dict[str, Any]
_UUID: Final = uuid.UUID(NAMESPACE.removeprefix("urn:uuid:"))


class Frame:
    """The material, its rows, and what all documents have."""

    def __init__(self, material: Material, catalog: Catalog, rows: Sequence[Row]) -> None:
        self.material, self.catalog, self.rows = material, catalog, rows
        self.by_unit = {unit: list(of) for unit, of in by_unit(rows)}
        workers = " ".join(trail.worker for trail in material.trails)
        self.system = f"{workers} {material.period.first} {material.period.last}"
        self.start = f"{material.period.first}T00:00:00Z"
        self.end = f"{material.period.last}T23:59:59Z"

    def id(self, kind: str, name: str) -> str:
        """The UUID of something of ours, always the same."""
        return str(uuid.uuid5(_UUID, f"{kind} {name}"))

    def component(self, actor: str) -> str:
        """The component that acts."""
        return self.id("component", actor)

    def observation(self, check: str) -> str:
        """The observation that a check is in this period."""
        return self.id("observation", f"{self.system} {check}")

    def metadata(self, title: str) -> Json:
        """The metadata of a document, dated at the end of the period."""
        return {
            "title": title,
            "last-modified": self.end,
            "version": self.material.product,
            "oscal-version": OSCAL_VERSION,
            "roles": [{"id": "system-administrator", "title": "System administrator"}],
        }


def by_unit(rows: Sequence[Row]) -> Iterator[tuple[str, Iterator[Row]]]:
    """Rows by their unit, in order."""
    return groupby(rows, key=lambda row: row.unit)


def control_id(unit: str) -> str:
    """OSCAL's id of a unit: `ac-6.1` for `AC-6(1)`, `section-5.1.1` for `5.1.1`."""
    return re.sub(r"\((\d+)\)", r".\1", label(unit))


def statement_id(row: Row) -> str:
    """OSCAL's id of a fragment."""
    return f"{control_id(row.unit)}_smt.{row.row}"


def one_line(text: str) -> str:
    """A text without line feeds and repeated blanks."""
    return " ".join(text.split())


def catalog_document(frame: Frame) -> Json:
    """The units of the policy that the product can touch, as the catalog given has their texts."""
    families = groupby(frame.catalog.units, key=lambda unit: unit.family)
    groups = [
        {
            "id": label(name),
            "class": "family",
            "title": name,
            "controls": [
                {
                    "id": control_id(unit.id),
                    "title": unit.title,
                    "props": [{"name": "label", "value": unit.id}],
                    "parts": [
                        {
                            "id": f"{control_id(unit.id)}_smt",
                            "name": "statement",
                            "parts": [
                                {
                                    "id": f"{control_id(unit.id)}_smt.{each.row}",
                                    "name": "item",
                                    "prose": one_line(each.text),
                                }
                                for each in unit.fragments
                            ],
                        }
                    ],
                }
                for unit in units
            ],
        }
        for name, units in families
    ]
    return {
        "uuid": frame.id("catalog", frame.catalog.version),
        "metadata": frame.metadata(f"CJIS Security Policy {frame.catalog.version}: units that cji-worker can touch"),
        "groups": groups,
    }


def component_definition(frame: Frame) -> Json:
    """The product's statements, for any period."""
    return {
        "uuid": frame.id("component-definition", frame.catalog.version),
        "metadata": frame.metadata("cji-worker: statements about the CJIS Security Policy"),
        "components": [
            {
                "uuid": frame.component("product"),
                "type": "software",
                "title": "cji-worker",
                "description": "Processes sealed Criminal Justice Information inside attested confidential VMs.",
                "props": [{"name": "version", "value": frame.material.product}],
                "control-implementations": [
                    {
                        "uuid": frame.id("control-implementation", frame.catalog.version),
                        "source": CATALOG,
                        "description": f"CJIS Security Policy {frame.catalog.version}",
                        "implemented-requirements": [
                            _implemented(frame, unit, rows) for unit, rows in frame.by_unit.items()
                        ],
                    }
                ],
            }
        ],
    }


def _implemented(frame: Frame, unit: str, rows: Sequence[Row]) -> Json:
    first = rows[0]
    covered = sum(row.by == "product" for row in rows)
    words = [f"{covered} of {len(rows)} fragments are this product's."]
    words += where_and_limits(first)
    return {
        "uuid": frame.id("implemented", unit),
        "control-id": control_id(unit),
        "description": " ".join(words),
        "statements": [
            {
                "statement-id": statement_id(row),
                "uuid": frame.id("component-statement", row.id),
                "description": _spoken(row),
            }
            for row in rows
        ],
    }


def _spoken(row: Row) -> str:
    if row.by != "product":
        return f"Not covered by this product ({row.by}): {row.does}"
    return f"{row.does} Missing: {row.missing}" if row.missing else row.does


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
    component: Json = {
        "component-uuid": frame.component(row.by),
        "uuid": frame.id("by-component", f"{frame.system} {row.id}"),
        "description": row.does,
    }
    if row.by != "product":
        component["remarks"] = f"Left to the {row.by}: this product states nothing about its implementation."
    else:
        state = {"state": _STATES[row.status]}
        component["implementation-status"] = state if row.status == "met" else state | {"remarks": row.why}
    return {
        "statement-id": statement_id(row),
        "uuid": frame.id("ssp-statement", f"{frame.system} {row.id}"),
        "by-components": [component],
    }


def assessment_results(frame: Frame) -> Json:
    """One observation for each check, one finding for each fragment that is the product's."""
    observed = checks_of(frame.rows)
    uuids = {msgspec.json.encode(result): frame.observation(name) for name, result in observed.items()}
    findings = [row for row in frame.rows if row.by == "product"]
    plan = frame.id("plan", frame.catalog.version)
    return {
        "uuid": frame.id("assessment", frame.system),
        "metadata": frame.metadata("cji-worker: results of the checks of a packet"),
        "import-ap": {"href": f"#{plan}"},
        "results": [
            {
                "uuid": frame.id("result", frame.system),
                "title": f"Period {frame.material.period.first} to {frame.material.period.last}",
                "description": "Computed from trails, receipts and files; the packet repeats it.",
                "start": frame.start,
                "end": frame.end,
                "reviewed-controls": {
                    "control-selections": [
                        {
                            "include-controls": [
                                {"control-id": control_id(unit), "statement-ids": [*map(statement_id, of)]}
                                for unit, of in by_unit(findings)
                            ]
                        }
                    ]
                },
                "observations": [_observed(frame, name, result) for name, result in observed.items()],
                "findings": [
                    _finding(frame, row, [uuids[msgspec.json.encode(each)] for each in row.checks.values()])
                    for row in findings
                ],
            }
        ],
        "back-matter": {
            "resources": [
                {
                    "uuid": plan,
                    "title": "Checks of the packet",
                    "description": "The checks are code of the product; docs/audit-packet.md describes them.",
                }
            ]
        },
    }


def _observed(frame: Frame, name: str, result: Result) -> Json:
    found: Json = {
        "uuid": frame.observation(name),
        "title": name,
        "description": result.why,
        "methods": ["TEST" if name.startswith("test") else "EXAMINE"],
        "collected": frame.end,
    }
    if result.evidence:
        found["relevant-evidence"] = [
            {
                "description": f"{each.kind}: {one_line(each.what)}",
                "props": [{"name": "sha-256", "ns": NAMESPACE, "value": each.sha256}],
                "remarks": each.recheck,
            }
            for each in result.evidence
        ]
    return found


def _finding(frame: Frame, row: Row, observations: Iterable[str]) -> Json:
    status: Json = {"state": "satisfied" if row.status == "met" else "not-satisfied"}
    if row.status != "met":
        status |= {"reason": "fail" if row.status == "not met" else "other", "remarks": row.why}
    return {
        "uuid": frame.id("finding", f"{frame.system} {row.id}"),
        "title": f"{row.id}: {row.status}",
        "description": row.why,
        "target": {"type": "statement-id", "target-id": statement_id(row), "status": status},
        "related-observations": [{"observation-uuid": each} for each in dict.fromkeys(observations)],
    }


DOCUMENTS: Final[Mapping[str, Callable[[Frame], Json]]] = MappingProxyType(
    {
        "catalog": catalog_document,
        "component-definition": component_definition,
        "system-security-plan": system_security_plan,
        "assessment-results": assessment_results,
    }
)


def oscal(material: Material, catalog: Catalog, rows: Sequence[Row]) -> dict[str, bytes]:
    """The four documents, by their names."""
    frame = Frame(material, catalog, rows)
    encode = msgspec.json.encode
    return {name: msgspec.json.format(encode({name: make(frame)})) + b"\n" for name, make in DOCUMENTS.items()}
