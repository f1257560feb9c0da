"""The result of a check, and the evidence that it names."""

import shlex
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from cji_audit.packet.fields import query, query_digest
from cji_audit.packet.material import File, Material, Trail

Status = Literal["holds", "fails", "missing"]
MAX_LINES: Final = 5
"""Lines that one check names for one trail."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Something that shows it: what it is, its SHA-256, and the command that prints this digest again."""

    kind: Literal["event", "query", "receipt", "configuration", "file", "test"]
    what: str
    sha256: str
    recheck: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The finding of a check. `why` is one sentence for people."""

    status: Status
    why: str
    evidence: tuple[Evidence, ...] = ()


def holds(why: str, *evidence: Evidence) -> Result:
    """It held."""
    return Result(status="holds", why=why, evidence=evidence)


def fails(why: str, *evidence: Evidence) -> Result:
    """It did not."""
    return Result(status="fails", why=why, evidence=evidence)


def missing(why: str) -> Result:
    """The evidence was not given."""
    return Result(status="missing", why=why)


def of_file(file: File, what: str = "") -> Evidence:
    """A file as evidence."""
    return Evidence(
        kind="file", what=what or file.name, sha256=file.sha256, recheck=f"sha256sum {shlex.quote(file.name)}"
    )


def of_lines(trail: Trail, numbers: Iterable[int]) -> tuple[Evidence, ...]:
    """Lines of a trail that the packet includes."""
    digests = {line.number: line.sha256 for line in trail.included}
    found = [number for number in dict.fromkeys(numbers) if number in digests][:MAX_LINES]
    return tuple(
        Evidence(
            kind="event",
            what=f"line {number} of {trail.file}",
            sha256=digests[number],
            recheck=f"sed -n {number - trail.first_line + 1}p {shlex.quote(trail.file)} | sha256sum",
        )
        for number in found
    )


def of_field(material: Material, trail: Trail, field: str) -> Evidence:
    """The values of a field in the period, as a query prints them."""
    found = trail.seen.get(field, {})
    return Evidence(
        kind="query",
        what=f"{field} in {trail.file}: {', '.join(found) or 'none'}",
        sha256=query_digest(found),
        recheck=query(field, material.period, trail.file),
    )


def of_trail(trail: Trail) -> Evidence:
    """A trail as a whole, up to its last line when it was read."""
    return Evidence(
        kind="file",
        what=f"{trail.lines} lines of {trail.file}",
        sha256=trail.sha256,
        recheck=f"head -c {trail.size} {shlex.quote(trail.file)} | sha256sum",
    )
