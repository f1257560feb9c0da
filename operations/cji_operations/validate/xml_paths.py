"""The place of a finding in NIBRS XML: a path below `nibrs:Report`, by the mapping of the IEPD.

Objects have their position among those of their kind in the report. An element that is missing is named where it would
stand; a finding about a report as a whole is at `.`. Property segments, which XML does not have, are all items of a
status.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.equal_rows import numbered
from cji_core.format.records.nibrs.data import read_data
from cji_core.format.records.nibrs.xml_fields import FIELDS
from cji_operations.validate.findings import Findings

_OBJECTS: Final = {
    0: "nibrs:ReportHeader",
    1: "nc:Incident",
    2: "j:Offense",
    3: "nc:Item",
    4: "j:Victim",
    5: "j:Subject",
    6: "j:Arrestee",
    7: "j:Arrestee",
}
_FIRST, _PERSON, _OTHER = range(3)
_POSITION: Final = {
    **dict.fromkeys(("j:Offense", "j:Victim", "j:Subject", "j:Arrestee"), _FIRST),
    "nc:Person": _PERSON,
    **dict.fromkeys(("nc:Location", "j:EnforcementOfficial", "j:Arrest"), _OTHER),
}
_STATUS: Final = {row["code"]: row["text"] for row in read_data("xml_values.csv") if row["form"] == "loss"}


def paths(found: Findings) -> npt.NDArray[np.bytes_]:
    """S[k]: the path of each finding; nothing where the submission was flat."""
    if found.positions is None or not len(found.row):
        return np.zeros(len(found.row), "S1")
    parts = [
        (found.record == 0).astype(np.uint8)[:, None],
        found.level[:, None],
        _bytes(found.element),
        _bytes(found.loss),
        np.ascontiguousarray(found.positions).view(np.uint8).reshape(len(found.row), -1),
    ]
    number = numbered(np.hstack(parts))
    example = np.empty(int(number.max()) + 1, np.int64)
    example[number] = np.arange(len(number))
    return np.array([_path(found, row).encode() for row in example.tolist()])[number]


def _bytes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)


def _path(found: Findings, row: int) -> str:
    level, element = int(found.level[row]), found.element[row].decode()
    if found.record[row] == 0 or level not in _OBJECTS or found.positions is None:
        return "."
    at = str(min(level, 6))
    place = next(
        (FIELDS.paths[key] for key in ((at, element), ("", element), ("*", element)) if key in FIELDS.paths), None
    )
    name, path = place or (_OBJECTS[level], "")
    if level == 3:
        status = _STATUS.get(found.loss[row].decode())
        name += f"[nc:ItemStatus/cjis:ItemStatusCode='{status}']" if status else ""
    elif name in _POSITION:
        position = int(found.positions[row, _POSITION[name]])
        name += f"[{position}]" if position else ""
    return f"{name}/{path}" if path else name
