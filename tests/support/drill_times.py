"""The times of the steps of runbooks, from every process of a session that ran drills."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

PROPERTY: Final = "drill times"
"""The property of a test's report that has what its process knows by then."""

_steps: Final[dict[str, dict[str, float | None]]] = defaultdict(dict)
"""By runbook and step, the longest time that a drill took in seconds; None for a step only printed."""
_measured: Final[dict[str, dict[str, float]]] = defaultdict(dict)
"""The longest times that checks measured, in seconds, by runbook and name, such as an outage."""


def note(name: str, seconds: Mapping[str, float | None], measured: Mapping[str, float]) -> None:
    """Add what one run of a runbook took."""
    for step, spent in seconds.items():
        _steps[name][step] = None if spent is None else max(spent, _steps[name].get(step) or 0.0)
    for what, spent in measured.items():
        _measured[name][what] = max(spent, _measured[name].get(what, 0.0))


def noted() -> dict[str, list[Any]]:
    """What this process knows."""
    return {name: [dict(steps), dict(_measured[name])] for name, steps in _steps.items()}


def collect(reports: Iterable[Any]) -> None:
    """Add what the reports of a session know; without processes of xdist, that is what this process knows."""
    for report in reports:
        for key, value in getattr(report, "user_properties", ()):
            if key == PROPERTY:
                for name, (seconds, measured) in value.items():
                    note(name, seconds, measured)


def drill_table() -> Iterator[str]:
    """The times as lines of a table, then what checks measured."""
    for name, steps in _steps.items():
        for step, seconds in steps.items():
            yield f"{name:20} {step:20} {'printed' if seconds is None else f'{seconds:.1f} s'}"
    for name, times in _measured.items():
        for what, seconds in times.items():
            yield f"{name:20} {what}: {seconds:.1f} s"


def write_times(file: Path) -> None:
    """Add the times to the file that the pages are written from."""
    known = json.loads(file.read_text()) if file.exists() else {}
    rounded = {
        name: {step: None if value is None else round(value, 1) for step, value in steps.items()}
        for name, steps in _steps.items()
    }
    file.write_text(json.dumps({**known, **rounded}, indent=1, sort_keys=True) + "\n")
