"""A view as a row of Log Analytics: the metrics of `series`, a column each. Nothing else leaves a machine by this way.

    a metric whose labels exclude each other    string: the label that is 1
    a metric without labels                     real
    any other                                   dynamic: an object by its labels, one in the other
    a histogram                                 dynamic: by its labels `count`, `seconds` and the counts of `classes`

Counters and histograms have what was added since the row before, so that a query adds rows up; zeros are left out, and
so is what is not known. Names are those of the metrics in PascalCase. `Machine` is the name of the machine in its
signed configuration; `Time` is the machine's, and `TimeGenerated` when the row arrived, which its clock cannot change.

`python -m tools.tables` writes `schema` into deploy/sentinel, where templates and queries read it.
"""

from dataclasses import replace
from typing import Any, Final

import msgspec

from cji_worker.console.samples import Durations, Labels, Value
from cji_worker.console.series import SERIES, Series
from cji_worker.console.view import View
from cji_worker.ipc.messages import DURATIONS_S

STREAM: Final = "Custom-CjiHealth"
TABLE: Final = "CjiHealth_CL"
_NOTHING: Final = Durations(classes=(0,) * (len(DURATIONS_S) + 1), seconds=0.0)


def column(series: Series) -> str:
    """The name of a metric's column."""
    return "".join(part.title() for part in series.name.removeprefix("cji_").split("_"))


def kind(series: Series) -> str:
    """The type of a metric's column."""
    if series.one_of:
        return "string"
    return "dynamic" if series.labels else "real"


def row(view: View, machine: str, *, before: View | None) -> bytes:
    """The row of a view, as JSON; `before` is the view of the last row that was taken, without which nothing is added.

    A number that is smaller than before is of a process that has started since, at zero.
    """
    found: dict[str, Any] = {"Time": view.at.isoformat(timespec="seconds"), "Machine": machine}
    for series in SERIES:
        if (value := _value(series, view, before)) is not None:
            found[column(series)] = value
    return msgspec.json.encode(found)


def known(view: View, before: View) -> View:
    """The view, with numbers of the one before where it has none: after a silence nothing is counted twice."""
    return replace(view, status=view.status or before.status, fleet=view.fleet or before.fleet)


def schema() -> str:
    """The stream, the transformation and the table, as JSON: as those of audit events."""
    types = {"Time": "datetime", "Machine": "string"} | {column(each): kind(each) for each in SERIES}
    columns = [{"name": name, "type": of} for name, of in types.items()]
    arrived = {"name": "TimeGenerated", "type": "dateTime"}
    made = {
        "stream": {"name": STREAM, "columns": columns},
        "transformKql": "source | extend TimeGenerated = now()",
        "table": {"name": TABLE, "columns": [arrived, {"name": "Time", "type": "dateTime"}, *columns[1:]]},
    }
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


def _value(series: Series, view: View, before: View | None) -> str | float | dict[str, Any] | None:
    samples = dict(series.read(view)) if series.kind == "gauge" else _added(series, view, before)
    if series.one_of:
        return next((labels[0] for labels, value in samples.items() if value == 1), None)
    found: dict[str, Any] = {}
    for labels, value in samples.items():
        at = found
        for label in labels[:-1]:
            at = at.setdefault(label, {})
        at[labels[-1] if labels else ""] = _histogram(value) if isinstance(value, Durations) else value
    alone = None if series.labels else found.get("")
    return alone if isinstance(alone, float) else found or None


def _added(series: Series, view: View, before: View | None) -> dict[Labels, Value]:
    """The samples of a counter or a histogram since then, without zeros."""
    if before is None:
        return {}
    earlier = dict(series.read(before))
    grown = {labels: _grown(value, earlier.get(labels)) for labels, value in series.read(view)}
    return {labels: value for labels, value in grown.items() if value not in (0, _NOTHING)}


def _grown(now: Value, then: Value | None) -> Value:
    if isinstance(now, Durations):
        earlier = then if isinstance(then, Durations) else _NOTHING
        if sum(now.classes) < sum(earlier.classes):
            earlier = _NOTHING
        classes = tuple(n - t for n, t in zip(now.classes, earlier.classes, strict=True))
        return Durations(classes=classes, seconds=round(now.seconds - earlier.seconds, 3))
    return now - then if isinstance(then, float) and then <= now else now


def _histogram(value: Durations) -> dict[str, Any]:
    return {"count": sum(value.classes), "seconds": value.seconds, "classes": value.classes}
