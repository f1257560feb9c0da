"""Which entry of a vault's log belongs to which release of a trail: one to one, by request, key version and time.

The worker makes a random id for each request, its line has it, and the vault's log has it as `correlationId`: a release
without the id of a line is nobody's, and a second one with the same id is nobody's either. The worker writes its line
after it has received and verified the statement, so the line's time is the entry's plus a moment, up to the difference
of two clocks. Entries and releases of one request are taken in the order of time, and each entry gets the earliest
release that is near enough. An entry that names no version, as for a release of the newest one, gets what is left of
any version.

Where callers are known, an entry of anybody else matches nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from cji_audit.reconcile.entry import Entry
from cji_audit.reconcile.releases import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far apart the two times may be: the line before the entry by `skew`, or after it by `skew` and `delay`."""

    skew: timedelta = timedelta(seconds=30)
    delay: timedelta = timedelta(seconds=15)


@dataclass(slots=True, kw_only=True)
class Matched:
    """Pairs, and what has no counterpart."""

    pairs: list[tuple[Entry, Release]] = field(default_factory=list)
    orphans: list[Entry] = field(default_factory=list)
    """Successful releases that no trail knows."""
    unlogged: list[Release] = field(default_factory=list)
    """Releases in a trail that no log has."""


def is_release(entry: Entry) -> bool:
    """Whether the vault handed out a key."""
    return entry.succeeded and entry.release


def match(
    entries: Iterable[Entry], releases: Iterable[Release], tolerance: Tolerance, callers: frozenset[str] = frozenset()
) -> Matched:
    """Match the successful releases among `entries` with `releases`.

    `callers` are the object or application ids of the workers' identities, in lower case; empty if unknown.
    """
    result = Matched()
    known: list[Entry] = []
    for entry in filter(is_release, entries):
        strange = bool(callers) and not entry.caller & callers
        (result.orphans if strange or entry.key is None else known).append(entry)
    left = list(releases)
    exact = [entry for entry in known if entry.key is not None and entry.key.version]
    newest = [entry for entry in known if entry.key is not None and not entry.key.version]
    left = _pass(exact, left, lambda of: (of.key, _request(of)), tolerance, result)
    left = _pass(newest, left, lambda of: of.key and (of.key.vault, of.key.name, _request(of)), tolerance, result)
    result.unlogged = left
    result.orphans.sort(key=lambda entry: entry.time)
    return result


def _request(of: Entry | Release) -> str:
    return of.request_id if isinstance(of, Release) else of.correlation.lower()


def _pass(
    entries: Sequence[Entry],
    releases: Sequence[Release],
    name: Callable[[Entry | Release], Hashable],
    tolerance: Tolerance,
    result: Matched,
) -> list[Release]:
    """Match what has the same name; return the releases that are left, in the order of time."""
    waiting: defaultdict[Hashable, list[Release]] = defaultdict(list)
    for release in sorted(releases, key=lambda one: one.time, reverse=True):
        waiting[name(release)].append(release)
    passed: list[Release] = []
    for entry in sorted(entries, key=lambda one: one.time):
        queue = waiting[name(entry)]
        while queue and queue[-1].time < entry.time - tolerance.skew:
            passed.append(queue.pop())
        if queue and queue[-1].time <= entry.time + tolerance.skew + tolerance.delay:
            result.pairs.append((entry, queue.pop()))
        else:
            result.orphans.append(entry)
    passed += [release for queue in waiting.values() for release in queue]
    return sorted(passed, key=lambda release: release.time)
