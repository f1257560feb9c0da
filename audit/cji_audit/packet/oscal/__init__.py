"""A packet as OSCAL 1.2, in JSON: policy, profile, component definition, plan, responsibilities, results, and POA&M.

Ids are UUIDs of version 5, and times are those of the period, so the same material has the same bytes. Control ids are
those of the policy in OSCAL's form, `AC-6(1)` is `ac-6.1`; the statement of a fragment is `ac-6.1_smt.149`.

Source: NIST OSCAL 1.2.1 models. Tests validate each document with NIST's schemas and with compliance-trestle.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from cji_audit.packet.catalog import Catalog
from cji_audit.packet.material import Material
from cji_audit.packet.oscal import assessment, component, plan, poam, policy, responsibilities
from cji_audit.packet.oscal.frame import Frame, Json
from cji_audit.packet.pictures import boundary, data_flow, svg_file
from cji_audit.packet.rows import Row

__all__ = ["DOCUMENTS", "oscal"]

DOCUMENTS: Final[Mapping[str, tuple[str, Callable[[Frame], Json]]]] = MappingProxyType(
    {
        policy.CATALOG: ("catalog", policy.catalog),
        policy.PROFILE: ("profile", policy.profile),
        "component-definition.json": ("component-definition", component.component_definition),
        responsibilities.MATRIX: ("system-security-plan", responsibilities.matrix),
        plan.PLAN: ("system-security-plan", plan.system_security_plan),
        "assessment-results.json": ("assessment-results", assessment.assessment_results),
        "poam.json": ("plan-of-action-and-milestones", poam.plan_of_action),
    }
)
"""Each document by its file, with the name of its model, after those that it has digests of."""


def oscal(material: Material, catalog: Catalog, rows: Sequence[Row]) -> dict[str, bytes]:
    """The documents and the pictures of the plan, by their files."""
    pictures = {f"{each.name}.svg": svg_file(each) for each in (boundary(material), data_flow(material))}
    frame = Frame(material, catalog, rows, pictures)
    for name, (model, make) in DOCUMENTS.items():
        frame.files[name] = frame.document(name, model, make(frame))
    return frame.files
