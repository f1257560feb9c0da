"""Shared by the four documents: ids, times, metadata, and the policy's names in OSCAL's form."""

import re
import uuid
from collections.abc import Iterator, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from cji_audit.packet.catalog import Catalog
from cji_audit.packet.material import Material
from cji_audit.packet.rows import Row

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
    """OSCAL's id of a unit: `ac-6.1` for `AC-6(1)`."""
    return re.sub(r"\((\d+)\)", r".\1", unit).lower()


def statement_id(row: Row) -> str:
    """OSCAL's id of a fragment."""
    return f"{control_id(row.unit)}_smt.{row.row}"


def one_line(text: str) -> str:
    """A text without line feeds and repeated blanks."""
    return " ".join(text.split())
