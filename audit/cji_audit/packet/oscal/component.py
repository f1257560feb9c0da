"""The product as a component: its statements, for any period and any system. Those of others are not in it."""

from collections.abc import Sequence

from cji_audit.packet.oscal.frame import Frame, Json, control_id, statement_id
from cji_audit.packet.oscal.policy import PROFILE
from cji_audit.packet.report import where_and_limits
from cji_audit.packet.rows import Row


def component_definition(frame: Frame) -> Json:
    """The definition."""
    ours = {unit: [row for row in rows if row.by == "product"] for unit, rows in frame.by_unit.items()}
    return {
        "metadata": frame.metadata("cji-worker: statements about the CJIS Security Policy"),
        "components": [
            {
                "uuid": frame.id("component", "product"),
                "type": "software",
                "title": "cji-worker",
                "description": "Processes sealed Criminal Justice Information inside attested confidential VMs.",
                "props": [{"name": "version", "value": frame.material.product}],
                "control-implementations": [
                    {
                        "uuid": frame.id("control-implementation", frame.catalog.version),
                        "source": PROFILE,
                        "description": f"CJIS Security Policy {frame.catalog.version}",
                        "implemented-requirements": [
                            _requirement(frame, unit, rows) for unit, rows in ours.items() if rows
                        ],
                    }
                ],
            }
        ],
    }


def _requirement(frame: Frame, unit: str, rows: Sequence[Row]) -> Json:
    words = [f"{len(rows)} of {len(frame.by_unit[unit])} fragments are this product's.", *where_and_limits(rows[0])]
    return {
        "uuid": frame.id("requirement", unit),
        "control-id": control_id(unit),
        "description": " ".join(words),
        "statements": [
            {
                "statement-id": statement_id(row),
                "uuid": frame.id("component-statement", row.id),
                "description": row.does,
                "props": [frame.prop("coverage", "part" if row.missing else "whole")],
                **({"remarks": f"Missing: {row.missing}"} if row.missing else {}),
            }
            for row in rows
        ],
    }
