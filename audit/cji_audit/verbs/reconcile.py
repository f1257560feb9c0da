"""`cji audit reconcile`: match a vault's log with the trails of its workers."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import click
import msgspec

from cji_audit.reconcile import (
    Entry,
    Finding,
    LogError,
    LogFile,
    Matched,
    Release,
    Releases,
    Severity,
    Tolerance,
    find,
    match,
)
from cji_audit.reconcile.workspace import Workspace, WorkspaceError
from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, member, print_document
from cji_core.page.markup import visible
from cji_core.trail import ChainError

_PAUSE_S: Final = 5.0
_MOST: Final = 400


@dataclass(slots=True)
class _Sources:
    """Everything that is compared, as far as it was read."""

    logs: list[LogFile]
    trails: list[Releases]
    workspace: Workspace | None
    entries: dict[bytes, Entry] = field(default_factory=dict)
    releases: list[Release] = field(default_factory=list)
    doubled: int = 0
    lines: set[str] = field(default_factory=set)
    """Hashes of the lines with `releases`."""

    def read(self) -> None:
        """Read what is new. The log comes first: a line of a trail is never older than its entry."""
        for entry in self._logged():
            self.doubled += entry.digest in self.entries
            self.entries.setdefault(entry.digest, entry)
        for trail in self.trails:
            for release in trail.read():
                if release.hash not in self.lines:  # a copy of a trail adds nothing
                    self.lines.add(release.hash)
                    self.releases.append(release)

    def _logged(self) -> Iterator[Entry]:
        for log in self.logs:
            yield from log.entries()
        if self.workspace is not None:
            yield from self.workspace.entries()


class UnmatchedRelease(msgspec.Struct, frozen=True, kw_only=True):
    """A finding about a vault's log and trails."""

    severity: Annotated[str, member("`incident`, `warning` or `note`")]
    rule: Annotated[str, member("its kind; docs/audit.md explains it")]
    time: Annotated[str, member("when it was, ISO 8601")]
    what: Annotated[str, member("what was found, in words")]
    remedy: Annotated[str, member("what to do")]
    places: Annotated[tuple[str, ...], member("entries of the log and lines of trails")]


class MatchedRelease(msgspec.Struct, frozen=True, kw_only=True):
    """A release in the log that is in a trail."""

    entry: Annotated[str, member("entry of the log")]
    release: Annotated[str, member("trail and line")]
    key: Annotated[str, member("id of the key")]
    worker: Annotated[str | None, member("id of the worker; null if its start is not in the trail")]
    boot: Annotated[int | None, member("line of its start, or null")]
    attested: Annotated[int | None, member("line of the attestation that it rests on, or null")]
    receipt_keys: Annotated[tuple[str, ...], member("thumbprints of its receipt keys")]


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit reconcile`: a vault's log, compared with trails. --follow: an UnmatchedRelease on each line."""

    counts: Annotated[dict[str, int], member("numbers of entries, releases and matches")]
    findings: Annotated[tuple[UnmatchedRelease, ...], member("objects of the kind UnmatchedRelease")]
    pairs: Annotated[tuple[MatchedRelease, ...], member("objects of the kind MatchedRelease")]


@click.command()
@click.option("--trail", "trails", type=FILE, multiple=True, required=True, help="Audit trail of a worker; repeat it.")
@click.option("--log", "logs", type=FILE, multiple=True, help="Diagnostic log of a vault, also .gz; repeat it.")
@click.option("--workspace", help="Id of a Log Analytics workspace to query, instead of or beside --log.")
@click.option("--endpoint", help="Query endpoint of another cloud: https://api.loganalytics.us/v1 for Government.")
@click.option("--hours", type=click.IntRange(1, 24 * 90), default=24, show_default=True, help="Of the workspace.")
@click.option("--caller", "callers", multiple=True, help="Object or application id of a worker's identity; repeat it.")
@click.option("--skew", type=click.IntRange(0, 3600), default=30, show_default=True, help="Of two clocks, seconds.")
@click.option("--delay", type=click.IntRange(1, 3600), default=15, show_default=True, help="Of a line, seconds.")
@click.option("--follow", is_flag=True, help="Go on reading, and print each finding once.")
@click.option("--seconds", type=click.FloatRange(min=0), help="With --follow: stop after this time.")
@answers(Reconciled)
@explained
def reconcile(
    trails: tuple[Path, ...],
    logs: tuple[Path, ...],
    workspace: str | None,
    endpoint: str | None,
    callers: tuple[str, ...],
    *,
    hours: int,
    skew: int,
    delay: int,
    follow: bool,
    seconds: float | None,
    as_json: bool,
) -> None:
    """Match every key release in a vault's log with a release in a worker's trail.

    A release that no trail has is an incident: somebody outside the workers got the key. So name the trails of all
    workers that may release keys of these vaults, and the vaults' whole logs. A release is looked for from --skew
    before its entry to --skew and --delay after it. Name the workers' identities with --caller: a release to anyone
    else is an orphan even if a worker got the key in the same second.

    \b
    Examples:
      cji audit reconcile --trail audit.log --log PT1H.json
      cji audit reconcile --trail a/audit.log --trail b/audit.log --workspace 11111111-... --follow

    The exit status is 3 after an incident, and with --follow as soon as there is one and the time is over.
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    if not logs and workspace is None:
        raise Failure("No log", remedy="Name a file with --log, or a workspace with --workspace.", status=2)
    live = None if workspace is None else Workspace(workspace, timedelta(hours=hours), endpoint=endpoint)
    files = [LogFile(path, name=name, complete=not follow) for path, name in _distinct(logs)]
    sources = _Sources(files, [Releases(path, name=name) for path, name in _distinct(trails)], live)
    tolerance = Tolerance(skew=timedelta(seconds=skew), delay=timedelta(seconds=delay))
    known = frozenset(each.lower() for each in callers)
    try:
        if follow:
            incident = _follow(sources, tolerance, known, seconds, as_json=as_json)
        else:
            sources.read()
            matched, findings = _compared(sources, tolerance, known)
            incident = _print(sources, matched, findings, as_json=as_json)
    except (LogError, WorkspaceError) as error:
        raise Failure(str(error), remedy="Export the log again, or leave this file out.", status=2) from error
    except ChainError as error:
        raise Failure(str(error), remedy="Run cji audit verify on each trail.", status=3) from error
    if incident:
        raise click.exceptions.Exit(3)


def _distinct(paths: tuple[Path, ...]) -> list[tuple[Path, str]]:
    """Each file, with its name in places: the path, if another file has the same name."""
    names = Counter(path.name for path in dict.fromkeys(paths))
    return [(path, path.name if names[path.name] == 1 else str(path)) for path in dict.fromkeys(paths)]


def _compared(sources: _Sources, tolerance: Tolerance, callers: frozenset[str]) -> tuple[Matched, list[Finding]]:
    matched = match(sources.entries.values(), sources.releases, tolerance, callers)
    now = datetime.now(UTC)
    # the line of an entry may still be on its way
    grace = tolerance.skew + tolerance.delay
    found = find(sources.entries.values(), matched, tolerance=tolerance, now=now, grace=grace)
    return matched, found


def _follow(
    sources: _Sources, tolerance: Tolerance, callers: frozenset[str], seconds: float | None, *, as_json: bool
) -> bool:
    until = None if seconds is None else time.monotonic() + seconds
    printed: set[tuple[str, str]] = set()
    incident = False
    while True:
        sources.read()
        for finding in _compared(sources, tolerance, callers)[1]:
            # a refusal is counted again with each entry; every other finding keeps its first place
            name = finding.rule, finding.what if finding.rule == "refused" else finding.places[0]
            if name not in printed:
                printed.add(name)
                incident |= finding.severity is Severity.INCIDENT
                click.echo(json.dumps(_as_json(finding)) if as_json else _text(finding))
        if until is not None and time.monotonic() >= until:
            return incident
        time.sleep(_PAUSE_S if until is None else max(0.0, min(_PAUSE_S, until - time.monotonic())))


def _print(sources: _Sources, matched: Matched, findings: list[Finding], *, as_json: bool) -> bool:
    incident = any(each.severity is Severity.INCIDENT for each in findings)
    counts = {
        "entries": len(sources.entries),
        "doubled": sources.doubled,
        "releases_in_trails": len(sources.releases),
        "matched": len(matched.pairs),
        "orphans": len(matched.orphans),
        "unlogged": len(matched.unlogged),
    }
    if as_json:
        pairs = [
            {
                "entry": entry.place,
                "release": f"{release.trail}:{release.line}",
                "key": str(release.key),
                "worker": None if release.boot is None else release.boot.worker,
                "boot": None if release.boot is None else release.boot.line,
                "attested": release.attested_at,
                "receipt_keys": [] if release.boot is None else sorted(release.boot.receipt_keys),
            }
            for entry, release in matched.pairs
        ]
        print_document({"counts": counts, "findings": [*map(_as_json, findings)], "pairs": pairs})
        return incident
    for finding in findings:
        click.echo(_text(finding))
    click.echo(
        f"{counts['matched']} of {counts['matched'] + counts['orphans']} releases in the log are in a trail; "
        f"{counts['unlogged']} of {counts['releases_in_trails']} in trails are not in the log or outside it; "
        f"{counts['entries']} entries, {counts['doubled']} more were repetitions"
    )
    return incident


def _as_json(finding: Finding) -> dict[str, object]:
    return asdict(finding) | {"severity": finding.severity.name.lower(), "time": finding.time.isoformat()}


def _text(finding: Finding) -> str:
    head = f"{finding.severity.name} {finding.rule} {finding.time.isoformat(timespec='seconds')}"
    places = visible(", ".join(finding.places), _MOST)
    return f"{head}\n  {visible(finding.what, _MOST)}\n  at {places}\n  {finding.remedy}"
