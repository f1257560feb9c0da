"""The results: one observation for each check, one finding for each fragment that is the product's."""

from cji_audit.packet.oscal.frame import Frame, Json, by_unit, control_id, statement_id
from cji_audit.packet.rows import Row


def assessment_results(frame: Frame) -> Json:
    """The results of the checks of one packet."""
    findings = [row for row in frame.rows if row.by == "product"]
    plan = frame.id("resource", "checks")
    return {
        "metadata": frame.metadata("cji-worker: results of the checks of a packet"),
        "import-ap": {"href": f"#{plan}"},
        "results": [
            {
                "uuid": frame.of_system("result", ""),
                "title": f"Period {frame.material.period.first} to {frame.material.period.last}",
                "description": "Computed from trails, receipts and files; the packet repeats it.",
                "start": frame.start,
                "end": frame.end,
                "local-definitions": {"assessment-assets": frame.tools()},
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
                "observations": [frame.observed(name, result) for name, result in frame.checks.items()],
                "findings": [_finding(frame, row) for row in findings],
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


def _finding(frame: Frame, row: Row) -> Json:
    status: Json = {"state": "satisfied" if row.status == "met" else "not-satisfied"}
    if row.status != "met":
        status |= {"reason": "fail" if row.status == "not met" else "other", "remarks": row.why}
    return {
        "uuid": frame.of_system("finding", row.id),
        "title": f"{row.id}: {row.status}",
        "description": row.why,
        "origins": [frame.tool_origin()],
        "target": {"type": "statement-id", "target-id": statement_id(row), "status": status},
        "implementation-statement-uuid": frame.of_system("statement", row.id),
        "related-observations": frame.observations(row),
    }
