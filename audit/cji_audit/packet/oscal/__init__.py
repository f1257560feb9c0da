"""A packet as OSCAL 1.1: catalog, component definition, system security plan and assessment results, in JSON.

Ids are UUIDs of version 5 over names of ours, and times are those of the period, so the same material has the same
bytes. Control ids are those of the policy in OSCAL's form, `AC-6(1)` is `ac-6.1`; the statement of a fragment is
`ac-6.1_smt.149`.

Source: NIST OSCAL 1.1.2 models; compliance-trestle validates all four in CI.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from cji_audit.packet.catalog import Catalog
from cji_audit.packet.material import Material
from cji_audit.packet.oscal.definition import catalog as catalog_document
from cji_audit.packet.oscal.definition import component_definition
from cji_audit.packet.oscal.frame import Frame, Json
from cji_audit.packet.oscal.plan import system_security_plan
from cji_audit.packet.oscal.results import assessment_results
from cji_audit.packet.rows import Row

__all__ = ["DOCUMENTS", "oscal"]

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
