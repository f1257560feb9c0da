"""Scalar functions of KQL, as far as our queries use them. They get evaluated arguments."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from tests.support.kql.tables import Table, UnsupportedError

_EPOCH: Final = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """What a query sees: tables, watchlists, the time, and the country of each address."""

    tables: Mapping[str, Table]
    now: datetime
    watchlists: Mapping[str, list[str]] = field(default_factory=dict)
    countries: Mapping[str, str] = field(default_factory=dict)


def tostring(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "True" if value else "False"
        case str():
            return value
        case int():
            return str(value)
        case list() | dict():
            return json.dumps(value, separators=(",", ":"))
    raise UnsupportedError(f"tostring of {type(value).__name__}")


def floor(value: Any, size: Any) -> Any:
    """`bin`: a time down to a multiple of a timespan since year 1, a number to a multiple of a number."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return value - (value - _EPOCH) % size
    return value - value % size


def midnight(value: datetime) -> datetime:
    return value.replace(hour=0, minute=0, second=0, microsecond=0)


def sunday_of(value: datetime) -> datetime:
    return midnight(value) - timedelta(days=value.isoweekday() % 7)


def extract(pattern: str, group: int, text: str) -> str:
    """RE2 and Python agree on the patterns of our queries: classes, groups, quantifiers, anchors."""
    found = re.search(pattern, text)
    return (found[group] or "") if found else ""


def coalesce(*values: Any) -> Any:
    """The first value that is neither null nor an empty string."""
    return next((value for value in values if value not in (None, "")), values[-1])


def to_local(value: datetime, zone: str) -> datetime:
    """A time without a zone, which KQL keeps as if it were UTC."""
    return value.astimezone(ZoneInfo(zone)).replace(tzinfo=UTC)


def todatetime(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None


def nullable(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that gives null for a null argument."""
    return lambda *values: None if None in values else function(*values)


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": nullable(abs),
    "bin": floor,
    "coalesce": coalesce,
    "datetime_utc_to_local": nullable(to_local),
    "dayofweek": nullable(lambda value: timedelta(days=value.isoweekday() % 7)),
    "extract": extract,
    "getyear": nullable(lambda value: value.year),
    "hourofday": nullable(lambda value: value.hour),
    "isempty": lambda value: value in (None, ""),
    "isnotempty": lambda value: value not in (None, ""),
    "isnotnull": lambda value: value is not None,
    "isnull": lambda value: value is None,
    "not": nullable(lambda value: not value),
    "set_has_element": lambda values, value: value in (values or []),
    "startofweek": nullable(sunday_of),
    "strcat": lambda *values: "".join(map(tostring, values)),
    "tobool": lambda value: value,
    "todatetime": todatetime,
    "toint": nullable(int),
    "tolong": lambda value: value,
    "toreal": nullable(float),
    "tolower": lambda value: value.lower(),
    "toupper": lambda value: value.upper(),
    "tostring": tostring,
    "week_of_year": nullable(lambda value: value.isocalendar().week),
}


def call(name: str, values: list[Any], world: World) -> Any:
    """The value of a function. Raises UnsupportedError."""
    match name, values:
        case "now", []:
            return world.now
        case "ago", [span]:
            return world.now - span
        case "iff", [condition, yes, no]:
            return yes if condition else no
        case "geo_info_from_ip_address", [address]:
            return {"country": world.countries.get(address, "")}
    if name not in FUNCTIONS:
        raise UnsupportedError(f"the function {name}")
    return FUNCTIONS[name](*values)
