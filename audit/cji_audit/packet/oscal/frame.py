"""The common members of all documents: ids, parties, roles, metadata, and the forms of names."""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from cji_audit.packet.catalog import Catalog
from cji_audit.packet.checks import Result
from cji_audit.packet.controls import Actor
from cji_audit.packet.material import Material
from cji_audit.packet.report import checks_of
from cji_audit.packet.rows import Row, label

OSCAL_VERSION: Final = "1.2.1"
NAMESPACE: Final = "https://cji-worker.example/ns/oscal"
"""Of properties that OSCAL does not define, and of all ids; an agency can set its own. A name: nothing is there."""
PROVIDER: Final = "Cloud provider"
ROLES: Final[Mapping[Actor, str]] = MappingProxyType(
    {
        "product": "System: cji-worker",
        "agency": "Agency",
        "provider": "Provider of the cloud or of the landing zone",
    }
)
"""Titles of the roles, by the actor of a statement."""
Json: TypeAlias = dict[str, Any]


class Frame:
    """The material, its rows, and the files that were made so far: at first the pictures."""

    def __init__(
        self, material: Material, catalog: Catalog, rows: Sequence[Row], pictures: Mapping[str, bytes]
    ) -> None:
        self.material, self.catalog, self.rows, self.files = material, catalog, rows, dict(pictures)
        self.agency = material.agency
        self.namespace = (self.agency and self.agency.namespace) or NAMESPACE
        self._ids = uuid.uuid5(uuid.NAMESPACE_URL, self.namespace)
        self.by_unit = {unit: list(of) for unit, of in by_unit(rows)}
        workers = " ".join(trail.worker for trail in material.trails)
        self.system = f"{workers} {material.period.first} {material.period.last}"
        self.start = f"{material.period.first}T00:00:00Z"
        self.end = f"{material.period.last}T23:59:59Z"
        self.checks = checks_of(rows)
        self._observations = {msgspec.json.encode(each): name for name, each in self.checks.items()}

    def id(self, kind: str, name: str) -> str:
        """The UUID of something of ours, always the same."""
        return str(uuid.uuid5(self._ids, f"{kind} {name}"))

    def of_system(self, kind: str, name: str) -> str:
        """The UUID of something of this system in this period."""
        return self.id(kind, f"{self.system} {name}")

    def document(self, name: str, model: str, body: Json) -> bytes:
        """A document; its UUID follows from its content."""
        content = msgspec.json.encode(body)
        whole = {model: {"uuid": self.id(name, sha256(content).hexdigest())} | body}
        return msgspec.json.format(msgspec.json.encode(whole)) + b"\n"

    def metadata(self, title: str) -> Json:
        """The metadata of a document, dated at the end of the period."""
        names = {
            "agency": self.agency.name if self.agency else "The agency, which this packet does not name",
            "provider": self.agency.provider if self.agency else PROVIDER,
        }
        return {
            "title": title,
            "last-modified": self.end,
            "version": self.material.product,
            "oscal-version": OSCAL_VERSION,
            "roles": [
                *({"id": role, "title": title} for role, title in ROLES.items()),
                {"id": "system-administrator", "title": "System administrator"},
            ],
            "parties": [
                {"uuid": self.id("party", role), "type": "organization", "name": name} for role, name in names.items()
            ],
        }

    def roles(self, actor: Actor) -> list[Json]:
        """The role of an actor, with its party."""
        party = {} if actor == "product" else {"party-uuids": [self.id("party", actor)]}
        return [{"role-id": actor, **party}]

    def prop(self, name: str, value: str) -> Json:
        """A property that OSCAL does not define."""
        return {"name": name, "ns": self.namespace, "value": value}

    def observations(self, row: Row) -> list[Json]:
        """References to the observations that a fragment rests on."""
        names = dict.fromkeys(self._observations[msgspec.json.encode(each)] for each in row.checks.values())
        return [{"observation-uuid": self.of_system("observation", name)} for name in names]

    def observed(self, name: str, result: Result) -> Json:
        """A check as an observation."""
        found: Json = {
            "uuid": self.of_system("observation", name),
            "title": name,
            "description": result.why,
            "methods": ["TEST" if name.startswith("test") else "EXAMINE"],
            "origins": [self.tool_origin()],
            "collected": self.end,
        }
        if result.evidence:
            found["relevant-evidence"] = [
                {
                    "description": f"{each.kind}: {one_line(each.what)}",
                    "props": [self.prop("sha-256", each.sha256)],
                    "remarks": each.recheck,
                }
                for each in result.evidence
            ]
        return found

    def tool_origin(self) -> Json:
        """The packet's maker as the origin of what it found."""
        return {"actors": [{"type": "tool", "actor-uuid": self.id("component", "tool")}]}

    def tools(self) -> Json:
        """The packet's maker, as a local definition of a document that names it."""
        component = self.id("component", "tool")
        return {
            "components": [
                {
                    "uuid": component,
                    "type": "software",
                    "title": "cji audit packet",
                    "description": "Computes checks and statuses from trails, receipts and files.",
                    "props": [{"name": "version", "value": self.material.product}],
                    "status": {"state": "operational"},
                }
            ],
            "assessment-platforms": [
                {
                    "uuid": self.id("platform", "tool"),
                    "title": "The machine on which the packet was made",
                    "uses-components": [{"component-uuid": component}],
                }
            ],
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
