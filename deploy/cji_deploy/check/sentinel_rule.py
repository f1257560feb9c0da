"""One analytics rule: its form, its limits, its query, and whether its entities are columns of the query's result."""

import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from cji_deploy.check.kusto import Bound, Document

__all__ = ["duration", "rule_problems"]

_KEYS: Final = (
    *("id", "displayName", "description", "severity", "queryFrequency", "queryPeriod", "triggerOperator"),
    *("triggerThreshold", "tactics", "techniques", "entityMappings", "query"),
)
_CHOICES: Final = {
    "severity": ("High", "Medium", "Low", "Informational"),
    "triggerOperator": ("GreaterThan", "LessThan", "Equal", "NotEqual"),
}
_TACTICS: Final = frozenset(
    (
        *("Collection", "CommandAndControl", "CredentialAccess", "DefenseEvasion", "Discovery", "Execution"),
        *("Exfiltration", "Impact", "InitialAccess", "LateralMovement", "Persistence", "PreAttack"),
        *("PrivilegeEscalation", "Reconnaissance", "ResourceDevelopment"),
    )
)
_IDENTIFIERS: Final[Mapping[str, frozenset[str]]] = {
    "Account": frozenset(
        {"FullName", "Name", "UPNSuffix", "AadUserId", "AadTenantId", "Sid", "ObjectGuid", "DisplayName"}
    ),
    "AzureResource": frozenset({"ResourceId"}),
    "CloudApplication": frozenset({"AppId", "Name", "InstanceName"}),
    "Host": frozenset({"HostName", "FullName", "NetBiosName", "DnsDomain", "AzureID", "OMSAgentID"}),
    "IP": frozenset({"Address"}),
    "URL": frozenset({"Url"}),
}
_DURATION: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")
_MIN, _MAX, _LONG = timedelta(minutes=5), timedelta(days=14), timedelta(days=2)
_MAX_QUERY: Final = 10_000
_MAX_ENTITIES: Final = 10


def duration(text: object) -> timedelta | None:
    """The duration of ISO 8601 in days, hours and minutes; None for anything else."""
    found = _DURATION.fullmatch(text) if isinstance(text, str) and text[-1:] not in ("P", "T") else None
    if found is None:
        return None
    days, hours, minutes = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


def rule_problems(name: str, document: Document, bound: Bound | None, seen: dict[str, str]) -> Iterator[str]:
    """Problems of the rule in file `name`, with line and column; `seen` has ids and titles of earlier rules."""
    yield from (f"{name}:{each.line}:{each.column}: {each.message}" for each in document.problems)
    if document.problems:
        return
    rule = document.value
    if not isinstance(rule, dict):
        yield f"{name}:1:1: not a rule"
        return

    def at(pointer: str, problem: str) -> str:
        line, column = document.place(pointer)
        return f"{name}:{line}:{column}: {problem}"

    yield from (at(f"/{key}", f"unknown key {key!r}") for key in rule if key not in _KEYS)
    missing = [key for key in _KEYS if key not in rule]
    yield from (at("", f"{key} is missing") for key in missing)
    if missing:
        return
    yield from (
        at(f"/{key}", f"{key} is not one of {', '.join(values)}")
        for key, values in _CHOICES.items()
        if rule[key] not in values
    )
    for pointer, problem in (*_names(rule, seen), *_schedule(rule), *_attack(rule), *_entities(rule, bound)):
        yield at(pointer, problem)
    for key in ("id", "displayName"):
        if isinstance(rule[key], str):
            seen.setdefault(rule[key], name)
    yield from _query(name, document, rule["query"], bound)


def _names(rule: Mapping[str, Any], seen: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key in ("id", "displayName"):
        if rule[key] in seen:
            yield f"/{key}", f"{key} is that of {seen[rule[key]]}"
    try:
        uuid.UUID(rule["id"])
    except (ValueError, AttributeError, TypeError):
        yield "/id", "id is not a GUID"
    if not isinstance(rule["displayName"], str) or not rule["displayName"].startswith("CJI: "):
        yield "/displayName", "displayName does not begin with 'CJI: '"
    if not isinstance(rule["description"], str) or not rule["description"].strip():
        yield "/description", "description is empty"


def _schedule(rule: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    found = {key: duration(rule[key]) for key in ("queryFrequency", "queryPeriod")}
    for key, value in found.items():
        if value is None or not _MIN <= value <= _MAX:
            yield f"/{key}", f"{key} is not a duration from PT5M to P14D"
    frequency, period = found["queryFrequency"], found["queryPeriod"]
    if frequency and period and period < frequency:
        yield "/queryPeriod", "queryPeriod is shorter than queryFrequency, so rows between two runs are never seen"
    if frequency and period and period >= _LONG and frequency < timedelta(hours=1):
        yield "/queryFrequency", "Sentinel refuses a frequency below an hour for a period of two days or more"
    threshold = rule["triggerThreshold"]
    if isinstance(threshold, bool) or not isinstance(threshold, int) or not 0 <= threshold <= 10_000:
        yield "/triggerThreshold", "triggerThreshold is not a number from 0 to 10000"


def _attack(rule: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("tactics", "techniques"):
        if not isinstance(rule[key], list) or not rule[key]:
            yield f"/{key}", f"{key} is not a list with an entry"
            return
    for number, tactic in enumerate(rule["tactics"]):
        if tactic not in _TACTICS:
            yield f"/tactics/{number}", f"unknown tactic {tactic!r}"
    for number, technique in enumerate(rule["techniques"]):
        if not isinstance(technique, str) or not re.fullmatch(r"T\d{4}", technique):
            yield f"/techniques/{number}", f"{technique!r} is not a technique of MITRE ATT&CK, as in T1078"


def _entities(rule: Mapping[str, Any], bound: Bound | None) -> Iterator[tuple[str, str]]:
    mappings = rule["entityMappings"]
    if not isinstance(mappings, list) or not 1 <= len(mappings) <= _MAX_ENTITIES:
        yield "/entityMappings", f"entityMappings is not a list of 1 to {_MAX_ENTITIES}"
        return
    for number, mapping in enumerate(mappings):
        pointer = f"/entityMappings/{number}"
        if not isinstance(mapping, dict) or mapping.keys() != {"entityType", "fieldMappings"}:
            yield pointer, "an entity has entityType and fieldMappings"
            continue
        allowed = _IDENTIFIERS.get(str(mapping["entityType"]))
        if allowed is None:
            yield f"{pointer}/entityType", f"unknown entityType {mapping['entityType']!r}"
            continue
        fields = mapping["fieldMappings"]
        if not isinstance(fields, list) or not 1 <= len(fields) <= 3:
            yield f"{pointer}/fieldMappings", "fieldMappings is not a list of 1 to 3"
            continue
        for index, field in enumerate(fields):
            yield from _field(f"{pointer}/fieldMappings/{index}", field, allowed, bound)


def _field(pointer: str, field: Any, allowed: frozenset[str], bound: Bound | None) -> Iterator[tuple[str, str]]:
    if not isinstance(field, dict) or field.keys() != {"identifier", "columnName"}:
        yield pointer, "a field has identifier and columnName"
        return
    if field["identifier"] not in allowed:
        yield f"{pointer}/identifier", f"identifier {field['identifier']!r} is not one of {', '.join(sorted(allowed))}"
    if bound is not None and not bound.problems:
        kind = bound.columns.get(field["columnName"])
        if kind is None:
            yield f"{pointer}/columnName", f"the result has no column {field['columnName']!r}"
        elif kind != "string":
            yield f"{pointer}/columnName", f"the column {field['columnName']!r} is {kind}, not string"


def _query(name: str, document: Document, query: object, bound: Bound | None) -> Iterator[str]:
    line, column = document.place("/query")
    if not isinstance(query, str) or "/query" not in document.blocks or bound is None:
        yield f"{name}:{line}:{column}: query is not a literal block (|)"
        return
    first, indent = document.blocks["/query"]
    for each in bound.problems:
        yield f"{name}:{first + each.line - 1}:{indent + each.column - 1}: {each.message}"
    if len(query) > _MAX_QUERY:
        yield f"{name}:{line}:{column}: query has more than {_MAX_QUERY} characters"
