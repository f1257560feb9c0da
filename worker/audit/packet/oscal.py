"""A packet as OSCAL 1.1: catalog, component definition, system security plan and assessment results, in JSON.

Ids are UUIDs of version 5 over names of ours, and times are those of the period, so the same material has the same
bytes. Control ids are those of the policy in OSCAL's form, `AC-6(1)` is `ac-6.1`; the statement of a fragment is
`ac-6.1_smt.149`.

Source: NIST OSCAL 1.1.2 models; compliance-trestle validates all four in CI.
"""

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final

import msgspec

from worker.audit.packet.catalog import Catalog
from worker.audit.packet.checks import Result
from worker.audit.packet.material import Material
from worker.audit.packet.report import checks_of
from worker.audit.packet.rows import Row

OSCAL_VERSION: Final = "1.1.2"
FILES: Final = ("catalog", "component-definition", "system-security-plan", "assessment-results")
_NAMESPACE: Final = uuid.UUID("5d2f4e0c-7a52-5c1c-9d5f-1d2f6b1f3f61")
_STATES: Final = MappingProxyType(
    {"met": "implemented", "not met": "partial", "gap": "planned", "outside": "not-applicable"}
)
_ACTORS: Final = ("product", "agency", "provider")
_TITLES: Final = MappingProxyType(
    {"product": "cji-worker", "agency": "Agency", "provider": "Cloud provider and landing zone"}
)
_Json = dict[str, Any]


def oscal(material: Material, catalog: Catalog, rows: Sequence[Row]) -> dict[str, bytes]:
    """The four documents by their names in FILES."""
    writer = _Writer(material, catalog, rows)
    documents = {
        "catalog": writer.catalog(),
        "component-definition": writer.component_definition(),
        "system-security-plan": writer.system_security_plan(),
        "assessment-results": writer.assessment_results(),
    }
    return {name: _encoded({name: document}) for name, document in documents.items()}


def control_id(unit: str) -> str:
    """OSCAL's id of a unit."""
    return re.sub(r"\((\d+)\)", r".\1", unit).lower()


def statement_id(row: Row) -> str:
    """OSCAL's id of a fragment."""
    return f"{control_id(row.unit)}_smt.{row.row}"


class _Writer:
    def __init__(self, material: Material, catalog: Catalog, rows: Sequence[Row]) -> None:
        self._material, self._catalog, self._rows = material, catalog, rows
        self._by_unit = {unit: list(of) for unit, of in groupby(rows, key=lambda row: row.unit)}
        workers = " ".join(trail.worker for trail in material.trails)
        self._system = f"{workers} {material.period.first} {material.period.last}"
        self._start = f"{material.period.first}T00:00:00Z"
        self._end = f"{material.period.last}T23:59:59Z"

    def catalog(self) -> _Json:
        """The units of the policy that the product can touch, as the catalog given has their texts."""
        families = groupby(self._catalog.units, key=lambda unit: unit.family)
        groups = [
            {
                "id": name.partition(":")[0].lower(),
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
                                        "prose": _line(each.text),
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
            "uuid": self._id("catalog", self._catalog.version),
            "metadata": self._metadata(
                f"CJIS Security Policy {self._catalog.version}: units that cji-worker can touch"
            ),
            "groups": groups,
        }

    def component_definition(self) -> _Json:
        """What the product does, whatever the period."""
        return {
            "uuid": self._id("component-definition", self._catalog.version),
            "metadata": self._metadata("cji-worker: statements about the CJIS Security Policy"),
            "components": [
                {
                    "uuid": self._component("product"),
                    "type": "software",
                    "title": "cji-worker",
                    "description": "Processes sealed Criminal Justice Information inside attested confidential VMs.",
                    "props": [{"name": "version", "value": self._material.product}],
                    "control-implementations": [
                        {
                            "uuid": self._id("control-implementation", self._catalog.version),
                            "source": "catalog.json",
                            "description": f"CJIS Security Policy {self._catalog.version}",
                            "implemented-requirements": [
                                self._implemented(unit, rows) for unit, rows in self._by_unit.items()
                            ],
                        }
                    ],
                }
            ],
        }

    def _implemented(self, unit: str, rows: Sequence[Row]) -> _Json:
        first = rows[0]
        covered = sum(row.by == "product" for row in rows)
        words = [f"{covered} of {len(rows)} fragments are this product's."]
        words += [f"Where: {first.how}."] * bool(first.how) + [f"Not covered: {first.limits}"] * bool(first.limits)
        return {
            "uuid": self._id("implemented", unit),
            "control-id": control_id(unit),
            "description": " ".join(words),
            "statements": [
                {
                    "statement-id": statement_id(row),
                    "uuid": self._id("component-statement", row.id),
                    "description": _spoken(row),
                }
                for row in rows
            ],
        }

    def system_security_plan(self) -> _Json:
        """The plan, with the state of each statement in this period."""
        impacts = {
            f"{name}-impact": {"base": "fips-199-moderate"} for name in ("confidentiality", "integrity", "availability")
        }
        return {
            "uuid": self._id("ssp", self._system),
            "metadata": self._metadata("cji-worker: system security plan"),
            "import-profile": {"href": "catalog.json"},
            "system-characteristics": {
                "system-ids": [
                    {"identifier-type": "https://ietf.org/rfc/rfc4122", "id": self._id("system", self._system)}
                ],
                "system-name": ", ".join(trail.worker for trail in self._material.trails),
                "description": "Workers that process sealed Criminal Justice Information for agencies.",
                "security-sensitivity-level": "moderate",
                "system-information": {
                    "information-types": [
                        {
                            "uuid": self._id("information", "CJI"),
                            "title": "Criminal Justice Information",
                            "description": "Sealed by the agency; in the clear only in cells of attested machines.",
                            **impacts,
                        }
                    ]
                },
                "security-impact-level": {
                    f"security-objective-{name}": "fips-199-moderate"
                    for name in ("confidentiality", "integrity", "availability")
                },
                "status": {"state": "operational"},
                "authorization-boundary": {
                    "description": "The confidential virtual machine of each worker, from its TLS door to its memory. "
                    "The vault, the attestation provider and the network are outside."
                },
            },
            "system-implementation": {
                "users": [
                    {
                        "uuid": self._id("user", "operator"),
                        "title": "Operator of a worker",
                        "role-ids": ["system-administrator"],
                        "props": [{"name": "type", "value": "internal"}],
                    }
                ],
                "components": [
                    {
                        "uuid": self._component(actor),
                        "type": "software" if actor == "product" else "service",
                        "title": _TITLES[actor],
                        "description": f"Acts on the statements that are the {actor}'s.",
                        "status": {"state": "operational"},
                    }
                    for actor in _ACTORS
                ],
            },
            "control-implementation": {
                "description": "Each fragment of the policy, by who acts on it. The packet has the evidence.",
                "implemented-requirements": [
                    {
                        "uuid": self._id("ssp-requirement", f"{self._system} {unit}"),
                        "control-id": control_id(unit),
                        "statements": [self._statement(row) for row in rows],
                    }
                    for unit, rows in self._by_unit.items()
                ],
            },
        }

    def _statement(self, row: Row) -> _Json:
        state: _Json = {"state": _STATES[row.status]}
        if row.status == "outside":
            state = {"state": "implemented" if row.by == "product" else "planned", "remarks": f"Left to: {row.by}."}
        elif row.status != "met":
            state["remarks"] = row.why
        return {
            "statement-id": statement_id(row),
            "uuid": self._id("ssp-statement", f"{self._system} {row.id}"),
            "by-components": [
                {
                    "component-uuid": self._component(row.by),
                    "uuid": self._id("by-component", f"{self._system} {row.id}"),
                    "description": row.does,
                    "implementation-status": state,
                }
            ],
        }

    def assessment_results(self) -> _Json:
        """One observation for each check, one finding for each fragment that is the product's."""
        observed = checks_of(self._rows)
        uuids = {msgspec.json.encode(result): self._observation(name) for name, result in observed.items()}
        findings = [row for row in self._rows if row.status != "outside"]
        plan = self._id("plan", self._catalog.version)
        return {
            "uuid": self._id("assessment", self._system),
            "metadata": self._metadata("cji-worker: results of the checks of a packet"),
            "import-ap": {"href": f"#{plan}"},
            "results": [
                {
                    "uuid": self._id("result", self._system),
                    "title": f"Period {self._material.period.first} to {self._material.period.last}",
                    "description": "Computed from trails, receipts and files; the packet repeats it.",
                    "start": self._start,
                    "end": self._end,
                    "reviewed-controls": {
                        "control-selections": [
                            {
                                "include-controls": [
                                    {"control-id": control_id(unit), "statement-ids": [*map(statement_id, of)]}
                                    for unit, of in _units(findings)
                                ]
                            }
                        ]
                    },
                    "observations": [self._observed(name, result) for name, result in observed.items()],
                    "findings": [
                        self._finding(row, [uuids[msgspec.json.encode(each)] for each in row.checks.values()])
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

    def _observed(self, name: str, result: Result) -> _Json:
        found: _Json = {
            "uuid": self._observation(name),
            "title": name,
            "description": result.why,
            "methods": ["TEST" if name.startswith("test") else "EXAMINE"],
            "collected": self._end,
        }
        if result.evidence:
            found["relevant-evidence"] = [
                {
                    "description": f"{each.kind}: {_line(each.what)}",
                    "props": [{"name": "sha-256", "ns": _NS, "value": each.sha256}],
                    "remarks": each.recheck,
                }
                for each in result.evidence
            ]
        return found

    def _finding(self, row: Row, observations: Iterable[str]) -> _Json:
        status: _Json = {"state": "satisfied" if row.status == "met" else "not-satisfied"}
        if row.status != "met":
            status |= {"reason": "fail" if row.status == "not met" else "other", "remarks": row.why}
        return {
            "uuid": self._id("finding", f"{self._system} {row.id}"),
            "title": f"{row.id}: {row.status}",
            "description": row.why,
            "target": {"type": "statement-id", "target-id": statement_id(row), "status": status},
            "related-observations": [{"observation-uuid": each} for each in dict.fromkeys(observations)],
        }

    def _metadata(self, title: str) -> _Json:
        return {
            "title": title,
            "last-modified": self._end,
            "version": self._material.product,
            "oscal-version": OSCAL_VERSION,
            "roles": [{"id": "system-administrator", "title": "System administrator"}],
        }

    def _component(self, actor: str) -> str:
        return self._id("component", actor)

    def _observation(self, name: str) -> str:
        return self._id("observation", f"{self._system} {name}")

    def _id(self, kind: str, name: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, f"{kind} {name}"))


_NS: Final = "urn:uuid:5d2f4e0c-7a52-5c1c-9d5f-1d2f6b1f3f61"


def _units(rows: Sequence[Row]) -> Iterable[tuple[str, Iterable[Row]]]:
    return groupby(rows, key=lambda row: row.unit)


def _spoken(row: Row) -> str:
    return row.does if row.by == "product" else f"Not covered by this product ({row.by}): {row.does}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _encoded(document: Mapping[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document)) + b"\n"
