"""Catalog and component definition: the policy, and what the product does about it in any period."""

from collections.abc import Sequence
from itertools import groupby

from cji_audit.packet.oscal.frame import CATALOG, Frame, Json, control_id, one_line, statement_id
from cji_audit.packet.rows import Row


def catalog(frame: Frame) -> Json:
    """The units of the policy that the product can touch, as the catalog given has their texts."""
    families = groupby(frame.catalog.units, key=lambda unit: unit.family)
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
    words += [f"Where: {first.how}."] * bool(first.how) + [f"Not covered: {first.limits}"] * bool(first.limits)
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
    return row.does if row.by == "product" else f"Not covered by this product ({row.by}): {row.does}"
