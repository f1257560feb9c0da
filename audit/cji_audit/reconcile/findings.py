"""The findings of a reconciliation, by severity, each with a remedy.

incident   a key may be in foreign hands, or somebody prepared it: act now
warning    logs and trails contradict each other, or the key's protection was changed
note       refused and failed operations, counted
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from cji_audit.reconcile.entry import Entry
from cji_audit.reconcile.matching import Matched, Tolerance, is_release
from cji_audit.reconcile.releases import Release

LATENCY: Final = timedelta(minutes=15)
"""The vault's log is complete up to this long before its last entry: "10 minutes (at most)" and a margin."""


class Severity(IntEnum):
    """The worst comes first."""

    INCIDENT = 0
    WARNING = 1
    NOTE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding: where it stands, when it was, what it means, what to do."""

    severity: Severity
    rule: str
    time: datetime
    what: str
    remedy: str
    places: tuple[str, ...]


_ORPHAN: Final = (
    "Treat the key version as taken: disable it, rotate it, and investigate who called. If the trail of a worker is "
    "missing here, name it with --trail and repeat."
)
_BACKUP: Final = "A backup can be restored in a vault of the same geography: investigate who made it, and where it is."
_POLICY: Final = "Compare the key's release policy with yours: cji policy lint. Review who may change keys."
_OPENING: Final = frozenset({"keydecrypt", "keyunwrap"})
_GONE: Final = "If nobody of yours did this, recover the key and review who may change it."
_OPEN: Final = "If nobody of yours did this, undo it and review who may change the vault."
# Operations of the data plane and of the vault itself, as Microsoft lists them, in lower case.
_CHANGES: Final[Mapping[str, tuple[Severity, str, str]]] = {
    "keybackup": (Severity.WARNING, "the key was backed up", _BACKUP),
    "keyrestore": (Severity.WARNING, "a key was restored from a backup", _POLICY),
    "keyimport": (Severity.WARNING, "a key was imported: it has existed outside the HSM", _POLICY),
    "keycreate": (Severity.WARNING, "a key or key version was made", _POLICY),
    "keyrotate": (Severity.WARNING, "a key version was made by rotation", _POLICY),
    "keyupdate": (Severity.WARNING, "attributes or release policy of the key were changed", _POLICY),
    "keydelete": (Severity.WARNING, "the key was deleted", _GONE),
    "keypurge": (Severity.INCIDENT, "the key was purged: results under it cannot be opened again", _GONE),
    "keyrecover": (Severity.WARNING, "a deleted key was recovered", _POLICY),
    "vaultpatch": (Severity.WARNING, "settings or access policies of the vault were changed", _OPEN),
    "vaultput": (Severity.WARNING, "the vault was made or replaced", _OPEN),
    "vaultdelete": (Severity.WARNING, "the vault was deleted", _GONE),
    "vaultpurge": (Severity.INCIDENT, "the vault was purged", _GONE),
    "vaultaccesspolicychangedeventgridnotification": (Severity.WARNING, "access policies were changed", _OPEN),
    "hsmfullbackup": (Severity.WARNING, "the HSM was backed up", _BACKUP),
    "backupcreate": (Severity.WARNING, "the HSM was backed up", _BACKUP),
    "restorecreate": (Severity.WARNING, "the HSM was restored from a backup", _POLICY),
    "roleassignmentscreate": (Severity.WARNING, "a role was assigned on the HSM", _OPEN),
    "roleassignmentsdelete": (Severity.WARNING, "a role assignment was removed from the HSM", _OPEN),
    "securitydomaindownload": (Severity.INCIDENT, "the HSM's security domain was downloaded", _BACKUP),
}


def find(
    entries: Iterable[Entry], matched: Matched, *, tolerance: Tolerance, now: datetime, grace: timedelta
) -> list[Finding]:
    """The findings, worst first, then by time. An orphan younger than `grace` may yet get its line: it is left out.

    One that is later than now by more than `grace` is not: no line of a clock that is right can be near it.
    """
    seen = sorted(entries, key=lambda entry: entry.time)
    found = [
        *_orphans(matched, seen, tolerance, (now - grace, now + grace)),
        *_unlogged(matched, seen),
        *_unattested(matched),
        *_policies(matched),
        *_uses(seen, matched),
        *_changes(seen),
        *_refused(seen),
    ]
    return sorted(found, key=lambda each: (each.severity, each.time, each.places))


def _orphans(
    matched: Matched, seen: list[Entry], tolerance: Tolerance, recent: tuple[datetime, datetime]
) -> Iterator[Finding]:
    for entry in matched.orphans:
        if recent[0] < entry.time <= recent[1]:
            continue
        near = [
            other
            for other in seen
            if is_release(other)
            and other.place != entry.place
            and other.key == entry.key
            and abs(other.time - entry.time) <= tolerance.skew + tolerance.delay
        ]
        rival = (
            f"; {len(near)} more releases of this key are within seconds of it, so the orphan may be one of them"
            if near
            else ""
        )
        yield Finding(
            severity=Severity.INCIDENT,
            rule="orphan_release",
            time=entry.time,
            what=f"{_named(entry)} was released to {_who(entry)}, and no trail has it{rival}",
            remedy=_ORPHAN,
            places=(entry.place, *(other.place for other in near)),
        )


def _unlogged(matched: Matched, seen: list[Entry]) -> Iterator[Finding]:
    for release in matched.unlogged:
        of_vault = [entry.time for entry in seen if entry.key is not None and entry.key.vault == release.key.vault]
        if not of_vault or not of_vault[0] <= release.time <= of_vault[-1] - LATENCY:
            continue  # outside the log
        yield Finding(
            severity=Severity.WARNING,
            rule="unlogged_release",
            time=release.time,
            what=f"{release.key} was released by the trail, but the vault's log does not have it",
            remedy="Find out whether the log is complete: the vault's diagnostic setting, and who can change it.",
            places=(_place(release),),
        )


def _unattested(matched: Matched) -> Iterator[Finding]:
    for release in (*(release for _, release in matched.pairs), *matched.unlogged):
        if release.attested_at is None and not release.boot_pruned:
            yield Finding(
                severity=Severity.WARNING,
                rule="release_without_attestation",
                time=release.time,
                what=f"{release.key} was released on evidence that no `attested` of the same boot names",
                remedy="Run cji audit verify on this trail, and compare the evidence.",
                places=(_place(release),),
            )


def _policies(matched: Matched) -> Iterator[Finding]:
    for release in (*(release for _, release in matched.pairs), *matched.unlogged):
        if release.policy_before is not None:
            yield Finding(
                severity=Severity.WARNING,
                rule="release_policy_changed",
                time=release.time,
                what=f"the release policy of {release.key} is another one than at the release before",
                remedy=_POLICY,
                places=(_place(release),),
            )


def _uses(seen: list[Entry], matched: Matched) -> Iterator[Finding]:
    """Operations of the vault with a worker's key: a worker opens data keys in its own memory alone."""
    releases = (*(release for _, release in matched.pairs), *matched.unlogged)
    of_workers = {(release.key.vault, release.key.name) for release in releases}
    for entry in seen:
        key = entry.key
        if key is None or (key.vault, key.name) not in of_workers:
            continue
        if entry.succeeded and entry.operation.lower() in _OPENING:
            yield Finding(
                severity=Severity.INCIDENT,
                rule=entry.operation,
                time=entry.time,
                what=f"the vault opened something with {key} for {_who(entry)}: data keys under it may be known",
                remedy="Remove all key_ops of the key, rotate it, and investigate who called.",
                places=(entry.place,),
            )


def _changes(seen: list[Entry]) -> Iterator[Finding]:
    for entry in seen:
        change = _CHANGES.get(entry.operation.lower()) if entry.succeeded else None
        if change is not None:
            severity, what, remedy = change
            yield Finding(
                severity=severity,
                rule=entry.operation,
                time=entry.time,
                what=f"{what}: {_named(entry)}, by {_who(entry)}",
                remedy=remedy,
                places=(entry.place,),
            )


def _refused(seen: list[Entry]) -> Iterator[Finding]:
    """One note for each kind of refusal: a first request without a token is always answered with 401."""
    refused = [each for each in seen if not each.succeeded and each.status not in (None, 401)]
    counts = Counter((each.operation, each.status) for each in refused)
    for (operation, status), count in sorted(counts.items(), key=str):
        of_kind = [each for each in refused if (each.operation, each.status) == (operation, status)]
        release = of_kind[0].release
        yield Finding(
            severity=Severity.WARNING if release and status == 403 else Severity.NOTE,
            rule="refused",
            time=of_kind[0].time,
            what=f"{operation} was refused with status {status}, {count} times; first {_named(of_kind[0])}, "
            f"by {_who(of_kind[0])}",
            remedy="A release that is denied comes from a machine that the policy does not admit, or from no worker."
            if release and status == 403
            else "Nothing, unless there are many.",
            places=tuple(each.place for each in of_kind[:10]),
        )


def _named(entry: Entry) -> str:
    return str(entry.key) if entry.key is not None else "an unnamed object"


def _who(entry: Entry) -> str:
    caller = " and ".join(sorted(entry.caller)) or "an unnamed caller"
    return f"{caller} at {entry.address or 'an unnamed address'}"


def _place(release: Release) -> str:
    return f"{release.trail}:{release.line}"
