"""Assessment results: one observation for each check, one finding for each fragment that is the product's."""

from collections.abc import Iterable

import msgspec

from cji_audit.packet.checks import Result
from cji_audit.packet.oscal.frame import NAMESPACE, Frame, Json, by_unit, control_id, one_line, statement_id
from cji_audit.packet.report import checks_of
from cji_audit.packet.rows import Row


def assessment_results(frame: Frame) -> Json:
    """One observation for each check, one finding for each fragment that is the product's."""
    observed = checks_of(frame.rows)
    uuids = {msgspec.json.encode(result): frame.observation(name) for name, result in observed.items()}
    findings = [row for row in frame.rows if row.status != "outside"]
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
