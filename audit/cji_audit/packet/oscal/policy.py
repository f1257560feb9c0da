"""The policy as a catalog, and the profile that selects the units of it that the plan answers."""

from itertools import groupby
from typing import Final

from cji_audit.packet.catalog import Unit
from cji_audit.packet.oscal.frame import Frame, Json, control_id, one_line
from cji_audit.packet.rows import label

CATALOG: Final = "catalog.json"
PROFILE: Final = "profile.json"


def catalog(frame: Frame) -> Json:
    """The units of the policy that the product can touch, as the catalog given has their texts."""
    families = groupby(frame.catalog.units, key=lambda unit: unit.family)
    return {
        "metadata": frame.metadata(f"CJIS Security Policy {frame.catalog.version}: units that cji-worker can touch"),
        "groups": [
            {"id": label(name), "class": "family", "title": name, "controls": [*map(_control, units)]}
            for name, units in families
        ],
    }


def _control(unit: Unit) -> Json:
    statement = f"{control_id(unit.id)}_smt"
    fragments = [
        {"id": f"{statement}.{each.row}", "name": "item", "prose": one_line(each.text)} for each in unit.fragments
    ]
    return {
        "id": control_id(unit.id),
        "title": unit.title,
        "props": [{"name": "label", "value": unit.id}],
        "parts": [{"id": statement, "name": "statement", "parts": fragments}],
    }


def profile(frame: Frame) -> Json:
    """Every unit of the catalog beside it, in the catalog's structure."""
    return {
        "metadata": frame.metadata(f"CJIS Security Policy {frame.catalog.version}: what a plan for cji-worker answers"),
        "imports": [
            {"href": CATALOG, "include-controls": [{"with-ids": [control_id(each.id) for each in frame.catalog.units]}]}
        ],
        "merge": {"as-is": True},
    }
