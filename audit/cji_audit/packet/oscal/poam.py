"""The plan of action and milestones: one item for each of the product's fragments that is not met whole.

The agency's fragments have no item. No check looked at them, so nothing is known to be weak; the plan and the matrix
name them as responsibilities, and an item for each would bury those that were found.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from cji_audit.packet.oscal.frame import Frame, Json, statement_id
from cji_audit.packet.oscal.plan import PLAN
from cji_audit.packet.oscal.responsibilities import system_id
from cji_audit.packet.rows import Row, RowStatus

_REMEDIES: Final[Mapping[RowStatus, str]] = MappingProxyType(
    {
        "not met": "Mend what the check names, and make the packet of the next period.",
        "gap": "Give the evidence that is missing, and make the packet again.",
        "partial": "The agency does what is missing in its own systems, or has the risk accepted.",
    }
)
_UNSTATED: Final = "The authorization of the provider is not stated"


def plan_of_action(frame: Frame) -> Json:
    """The plan of action. It has an item at least: no product does all of the policy."""
    weak = [row for row in frame.rows if row.status in _REMEDIES]
    named = {each["observation-uuid"] for row in weak for each in frame.observations(row)}
    observed = [frame.observed(name, result) for name, result in frame.checks.items()]
    return {
        "metadata": frame.metadata("cji-worker: plan of action and milestones"),
        "import-ssp": {"href": PLAN},
        "system-id": system_id(frame, frame.system),
        "local-definitions": {"assessment-assets": frame.tools()},
        "observations": [each for each in observed if each["uuid"] in named],
        "risks": [_risk(frame, row) for row in weak],
        "poam-items": [*(_item(frame, row) for row in weak), *_unstated(frame)],
    }


def _item(frame: Frame, row: Row) -> Json:
    return {
        "uuid": frame.of_system("poam-item", row.id),
        "title": f"{row.id}: {row.status}",
        "description": row.why,
        "props": [
            frame.prop("statement-id", statement_id(row)),
            frame.prop("sanctionable", row.sanctionable.replace(" ", "-")),
        ],
        "origins": [frame.tool_origin()],
        "related-observations": frame.observations(row),
        "related-risks": [{"risk-uuid": frame.of_system("risk", row.id)}],
    }


def _risk(frame: Frame, row: Row) -> Json:
    """The risk, open; its deadline is the first day of sanctions, if that is still to come."""
    deadline = {"deadline": f"{row.sanctionable_from}T00:00:00Z"} if row.sanctionable_from else {}
    return {
        "uuid": frame.of_system("risk", row.id),
        "title": f"{row.id}: {row.title}",
        "description": row.why,
        "statement": f"What the policy requires is {row.status}. What is done: {row.does}",
        "status": "open",
        "origins": [frame.tool_origin()],
        **deadline,
        "remediations": [
            {
                "uuid": frame.of_system("remediation", row.id),
                "lifecycle": "recommendation",
                "title": "Proposed by the packet; dates and owners are the agency's",
                "description": _REMEDIES[row.status],
            }
        ],
        "related-observations": frame.observations(row),
    }


def _unstated(frame: Frame) -> Iterator[Json]:
    """An item if nothing says that the provider's system is authorized."""
    if frame.agency is None or frame.agency.authorization is None:
        yield {
            "uuid": frame.of_system("poam-item", "authorization"),
            "title": _UNSTATED,
            "description": "The plan inherits from the provider's system. State its authorization with --agency.",
            "origins": [frame.tool_origin()],
        }
