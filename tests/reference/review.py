"""The weekly review's sums, counted the slow way: over JSON lines, with dictionaries, and one question at a time."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

FIELDS = ("rows_in", "rows_out", "bytes_in", "bytes_out", "chri_rows_out", "subjects_out")


def lines_of(trails: Iterable[bytes]) -> list[list[dict[str, Any]]]:
    """The lines of trails as objects."""
    return [[json.loads(line) for line in trail.splitlines()] for trail in trails]


def is_in(line: dict[str, Any], begins: datetime, ends: datetime) -> bool:
    """Whether a line is of the week."""
    return begins <= datetime.fromisoformat(line["time"]) < ends


def sums(
    trails: list[list[dict[str, Any]]], begins: datetime, ends: datetime
) -> dict[str, dict[tuple[str | None, ...], dict[str, int]]]:
    """By kind of group and group: jobs, completed, failed, and each amount."""
    found: dict[str, dict[tuple[str | None, ...], dict[str, int]]] = defaultdict(lambda: defaultdict(Counter))
    for trail in trails:
        for position, line in enumerate(trail):
            event = line["event"]
            if not is_in(line, begins, ends) or event["kind"] not in {"job_admitted", "job_completed", "job_ended"}:
                continue
            for kind, group in _groups(event, _admission(trail[: position + 1], event)).items():
                to = found[kind][group]
                to["jobs"] += event["kind"] == "job_admitted"
                to["completed"] += event["kind"] == "job_completed"
                to["failed"] += event["kind"] == "job_ended"
                for name in FIELDS:
                    to[name] += event.get("volumes", {}).get(name, 0)
    return found


def slots(
    trails: list[list[dict[str, Any]]], begins: datetime, ends: datetime, zone: str
) -> tuple[list[int], list[int]]:
    """Jobs admitted and rows released by hour of the local week."""
    jobs, rows = [0] * 168, [0] * 168
    for line in (line for trail in trails for line in trail if is_in(line, begins, ends)):
        local = datetime.fromisoformat(line["time"]).astimezone(ZoneInfo(zone))
        slot = local.weekday() * 24 + local.hour
        jobs[slot] += line["event"]["kind"] == "job_admitted"
        rows[slot] += line["event"].get("volumes", {}).get("rows_out", 0)
    return jobs, rows


def refusals(trails: list[list[dict[str, Any]]], begins: datetime, ends: datetime) -> dict[tuple[str | None, str], int]:
    """Refusals by submitter and reason."""
    found: Counter[tuple[str | None, str]] = Counter()
    for line in (line for trail in trails for line in trail if is_in(line, begins, ends)):
        event = line["event"]
        if event["kind"] in {"job_refused", "calls_refused"}:
            found[event.get("submitter"), event["reason"]] += event.get("count", 1)
    return {key: count for key, count in found.items() if count}


def new_names(trails: list[list[dict[str, Any]]], begins: datetime, ends: datetime) -> dict[str, set[str]]:
    """The names of the week's jobs that are in no earlier job of any trail."""
    before, now = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for line in (line for trail in trails for line in trail):
        event, time = line["event"], datetime.fromisoformat(line["time"])
        if event["kind"] == "job_admitted" and time < ends:
            names = now if time >= begins else before
            ori, who = event["requesting_ori"], event["attribution"] or {}
            names["submitter"].add(event["submitter"])
            names["purpose"].add(f"{ori} {event['purpose_code']}")
            names["operation"] |= {f"{ori} {each}" for each in event["operations"]}
            names["recipient"] |= {f"{ori} {each}" for each in event["recipients"]}
            names["operator"] |= {f"{ori} {who['operator_id']}"} if who else set()
            if who.get("secondary_recipient"):
                names["secondary_recipient"].add(f"{ori} {who['secondary_recipient']}")
    return {kind: names - before[kind] for kind, names in now.items()}


def open_minutes(spans: Iterable[str]) -> set[int]:
    """The open minutes of a week, from Monday 00:00."""
    names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    found = set()
    for span in spans:
        days, times = span.split(" ")
        first, last = names.index(days[:3]), names.index(days[-3:])
        start, end = times.split("-")
        day = first
        while True:
            minute = day * 1440 + int(start[:2]) * 60 + int(start[3:])
            while True:
                found.add(minute % 10_080)
                minute += 1
                if minute % 1440 == (int(end[:2]) * 60 + int(end[3:])) % 1440:
                    break
            if day == last:
                break
            day = (day + 1) % 7
    return found


def _admission(before: list[dict[str, Any]], event: dict[str, Any]) -> dict[str, Any] | None:
    """The last admission of this job, if it has not ended since."""
    open_job = None
    for line in before:
        other = line["event"]
        if other.get("job_id") == event["job_id"] and other["kind"] in {"job_admitted", "job_completed", "job_ended"}:
            if other is event and event["kind"] != "job_admitted":
                break
            open_job = other if other["kind"] == "job_admitted" else None
    return open_job


def _groups(event: dict[str, Any], admitted: dict[str, Any] | None) -> dict[str, tuple[str | None, ...]]:
    of = admitted or event
    who = (admitted or {}).get("attribution") or {}
    return {
        "agencies": (of["requesting_ori"],),
        "operators": (of["requesting_ori"], who.get("operator_id")),
        "purposes": (of["purpose_code"],),
        "submitters": (of["submitter"],),
        "operations": ("+".join(admitted["operations"]) if admitted else None,),
    }
