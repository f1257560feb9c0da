"""Checks of trails as logs: integrity, times, retention, completeness, and what the watchers named."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from cji_audit.packet.checks.result import (
    Evidence,
    Result,
    fails,
    holds,
    missing,
    of_field,
    of_file,
    of_lines,
    of_trail,
)
from cji_audit.packet.logged import entry_fault, kept_outside, lines_of, trail_of
from cji_audit.packet.material import Checkpoint, Incident, Material, Trail
from cji_audit.packet.signed import NO_KEY
from cji_core.trail.known_lines import KnownLines

YEAR: Final = timedelta(days=365)
REQUIRED: Final = ("worker_started", "attested", "key_released", "worker_ready")
"""Events without which no worker serves; between two starts they may lie before the period."""


def incidents(material: Material, topic: str) -> Result | None:
    """The failure that the incidents of a topic are; None if there is none."""
    found = [(trail, each) for trail in material.trails for each in trail.incidents if each.topic == topic]
    if not found:
        return None
    more = sum(trail.unlisted_incidents.get(topic, 0) for trail in material.trails) + len(found) - 1
    trail, first = found[0]
    others = f", and {more} more" if more else ""
    return fails(f"{_named(trail, first)}{others}.", *(e for t, each in found for e in of_lines(t, [each.line])))


def _named(trail: Trail, each: Incident) -> str:
    return f"Line {each.line} of {trail.file}: {each.what}"


def watched(topic: str, why: str, *fields: str) -> Callable[[Material], Result]:
    """The check that the watcher of a topic named nothing, where there was something to watch in `fields`."""

    def check(material: Material) -> Result:
        failure = incidents(material, topic)
        if failure is not None:
            return failure
        seen = [(trail, field) for trail in material.trails for field in fields if trail.seen.get(field)]
        if not seen:
            return missing(f"The period has no line with {' or '.join(fields)}.")
        lines = {trail.file: (trail, [s.first for s in trail.seen[field].values()]) for trail, field in seen}
        evidence = [e for trail, numbers in lines.values() for e in of_lines(trail, numbers)]
        return holds(why, *(of_trail(trail) for trail in material.trails), *evidence)

    return check


def chain(material: Material) -> Result:
    """Every line continues the one before it, and each trail is one worker's."""
    trails = tuple(map(of_trail, material.trails))
    for trail in material.trails:
        if trail.broken:
            return fails(f"{trail.file} is broken: {trail.broken}. What follows was not used.", *trails)
    failure = incidents(material, "chain")
    if failure is not None:
        return failure
    if not all(trail.lines for trail in material.trails):
        return missing("A trail has no line.")
    lines = sum(trail.lines for trail in material.trails)
    pruned = sum(trail.first_line - 1 for trail in material.trails)
    before = f" {pruned} lines before them were pruned, and lines of the trail record that." if pruned else ""
    return holds(f"All {lines} lines verify, from the first to the last.{before}", *trails)


def anchors(material: Material) -> Result:
    """Anchors increase, and there are some."""
    failure = incidents(material, "anchors")
    if failure is not None:
        return failure
    without = [trail.file for trail in material.trails if "trail_anchored" not in trail.seen.get("kind", {})]
    if without:
        return missing(f"{without[0]} has no anchor in the period.")
    lines = [e for trail in material.trails for e in of_lines(trail, [trail.seen["kind"]["trail_anchored"].first])]
    return holds("Every anchor exceeds the one before it.", *lines)


def checkpoints(material: Material) -> Result:
    """Checkpoints outside the machine, in the agency's log or kept, are signed by a worker's key, of these lines."""
    for entry in material.log or ():
        if entry.checkpoint.fault != NO_KEY and (what := entry_fault(entry, material)):
            return fails(f"The log's entry {entry.file.name}: {what}.", of_file(entry.file))
    kept = list(kept_outside(material))
    if not kept:
        return missing("No checkpoint from outside the machine was given (--log or --checkpoints).")
    trails = {f"cji-worker/{trail.worker}": trail for trail in material.trails}
    for each in kept:
        if each.fault == NO_KEY:
            return missing(f"The key of checkpoint {each.file.name} was not given (--evidence or --receipt-key).")
        if wrong := _wrong(each, trails.get(each.origin)):
            return fails(f"Checkpoint {each.file.name}{wrong}.", of_file(each.file))
    without = trails.keys() - {each.origin for each in kept}
    if without:
        return missing(f"No checkpoint of {min(without)} was given.")
    shown = map(of_file, (each.file for each in kept))
    return holds(
        f"{len(kept)} checkpoints from outside the machine verify against the trail.{_newer(material)}", *shown
    )


def _newer(material: Material) -> str:
    """The lines after those that the agency's log has."""
    found = [(each, trail_of(each, material)) for each in material.log or ()]
    return "".join(
        f" The log {each.log} has {each.checkpoint.size} lines of {trail.file}; "
        f"newer lines: {lines_of(trail) - each.checkpoint.size}."
        for each, trail in found
        if trail is not None
    )


def _wrong(checkpoint: Checkpoint, trail: Trail | None) -> str:
    """The fault that a checkpoint shows; empty if none."""
    if checkpoint.fault:
        return f": {checkpoint.fault}"
    if trail is None:
        return f" is of {checkpoint.origin}, whose trail was not given"
    known = KnownLines.of_roots({int(size): root for size, root in trail.roots.items()}, pruned=trail.first_line - 1)
    if known.compare(checkpoint.size, root=checkpoint.root) != "same":
        return f": the first {checkpoint.size} lines of {trail.file} are not those that it was made for"
    return ""


def time_stamps(material: Material) -> Result:
    """Times are in UTC with hundredths of a second, and never go back. The form is that of a line that verifies."""
    return watched("time-stamps", "All times are in UTC with hundredths of a second, in order.", "kind")(material)


def retention(material: Material) -> Result:
    """No line of the year before the end of the period was pruned, and no receipt of it is older than the trail."""
    earliest = datetime.fromisoformat(material.period.end) - YEAR
    shown: list[Evidence] = []
    for trail in material.trails:
        if not trail.lines:
            return missing(f"{trail.file} has no line.")
        older = [
            each
            for each in material.receipts or ()
            if each.worker == trail.worker and each.ended < trail.first_time and not each.line
        ]
        if older and datetime.fromisoformat(older[0].ended) >= earliest:
            return fails(
                f"{trail.file} begins at {trail.first_time}; receipt {older[0].file.name} ended {older[0].ended}."
            )
        if trail.pruned_until and datetime.fromisoformat(trail.pruned_until) > earliest:
            return fails(f"{trail.file} lacks its lines until {trail.pruned_until}, which were pruned within a year.")
        shown.append(of_trail(trail))
    oldest = min(trail.first_time for trail in material.trails)
    return holds(f"The oldest line is of {oldest}; each trail begins with its first line or a year ago.", *shown)


def event_types(material: Material) -> Result:
    """The trail has what every worker that serves records."""
    for trail in material.trails:
        kinds = trail.seen.get("kind", {})
        if not kinds:
            return missing(f"{trail.file} has no line in the period.")
        started = "worker_started" in kinds
        absent = [kind for kind in REQUIRED if kind not in kinds] if started and "job_admitted" in kinds else []
        if absent:
            return fails(f"{trail.file} has jobs after a start, and no {absent[0]}.")
    return holds(
        "Starts, evidence, keys, jobs and their outcomes are recorded.",
        *(of_field(material, trail, "kind") for trail in material.trails),
    )


def audit_failures(material: Material) -> Result:
    """Every time without a writable trail ended within an hour."""
    return watched("audit-failures", "No time without a writable trail exceeded an hour.", "kind")(material)


def trail_incidents(material: Material) -> Result:
    """Refused trails were explained."""
    why = "Every trail that a worker refused was continued by an explained decision; most periods have none."
    return watched("trail-incidents", why, "kind")(material)


CHECKS: Final[Mapping[str, Callable[[Material], Result]]] = MappingProxyType(
    {
        "chain": chain,
        "anchors": anchors,
        "checkpoints": checkpoints,
        "time-stamps": time_stamps,
        "retention": retention,
        "event-types": event_types,
        "audit-failures": audit_failures,
        "trail-incidents": trail_incidents,
        "outcomes": watched("outcomes", "Every admitted job has one outcome.", "job_admitted.suite"),
        "replays": watched("replays", "No job id completed twice.", "receipt.suite"),
        "attribution": watched(
            "attribution", "Every admitted job names operator, requestor and recipient.", "job_admitted.suite"
        ),
        "policy-in-force": watched(
            "policy-in-force",
            "Every job was admitted under the policy that the last start or reload put in force.",
            "job_admitted.policy_sha384",
        ),
        "changes-recorded": watched(
            "changes-recorded",
            "Every receipt names the code, configuration and policy that the trail has in force.",
            "receipt.config_sha384",
        ),
    }
)
