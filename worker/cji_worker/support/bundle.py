"""The facts of a support bundle, by type: nothing else can be in it.

Every value is a number, a truth value, a time, a digest, a version, or a word of a list that this program has. There is
no field for a text that somebody else wrote, so no value of a record, no name of a person, agency, machine or resource
has a place. A log, a core or a line of the trail is never part of it.
"""

import platform
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta

from cji_core.deployment import Result, expected
from cji_core.digests import Hex96
from cji_core.documents import OneForm, decode
from cji_core.errors import Reason
from cji_core.manifest import VERSION
from cji_core.trail.chain import ChainError
from cji_core.trail.events import Event
from cji_core.trail.trail import verified
from cji_worker.host import ConditionId
from cji_worker.ipc.status import MOST_BYTES, Status

Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Utc = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{2})?Z\Z")]
Hour = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}Z\Z")]
Version = Annotated[str, Meta(pattern=r"^[0-9]{1,4}(\.[0-9]{1,6}){0,3}\Z")]
Kind = Annotated[str, Meta(extra={"words": "kinds"})]
Requirement = Annotated[str, Meta(extra={"words": "requirements"})]
_MAX_HOURS: Final = 24 * 400
_MAX_LISTED: Final = 1024


class Fact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all facts."""


class HourCount(Fact, frozen=True, kw_only=True):
    """Events of a kind in one hour."""

    hour: Hour
    kind: Kind
    count: Count


class ReasonCount(Fact, frozen=True, kw_only=True):
    """How often something was refused, or ended, for a reason."""

    reason: Reason
    count: Count


class TrailFacts(Fact, frozen=True, kw_only=True):
    """A trail: whether it verifies, and its events by hour. `lines` counts those that verified."""

    verified: bool
    lines: Count
    first: Utc | None
    last: Utc | None
    head: Hex96 | None
    events: Annotated[tuple[HourCount, ...], Meta(max_length=_MAX_HOURS)]
    reasons: tuple[ReasonCount, ...]
    """Of refused and ended jobs."""


class ConditionFact(Fact, frozen=True, kw_only=True):
    """A condition of the machine."""

    condition: ConditionId
    held: bool


class StatusFacts(Fact, frozen=True, kw_only=True):
    """The state of a running worker."""

    state: Literal["serving", "not serving", "draining"]
    reason: Reason | None
    started: Utc
    host: tuple[ConditionFact, ...]
    keys: Count
    keys_missing: tuple[ReasonCount, ...]
    keys_opened: Count
    cells_warm: Count
    cells_busy: Count
    jobs_waiting: Count
    refused: tuple[ReasonCount, ...]
    ended: tuple[ReasonCount, ...]
    audit_writable: bool
    audit_line: Count
    policy_sha384: Hex96 | None


class RequirementFact(Fact, frozen=True, kw_only=True):
    """A requirement on the deployment, and on how many resources it holds."""

    requirement: Requirement
    ok: Count
    failed: Count
    not_run: Count


class Bundle(Fact, frozen=True, kw_only=True):
    """Everything. None is what was not given."""

    version: Annotated[int, Meta(ge=1, le=1)] = 1
    made: Utc
    product: Version
    python: Version
    kernel: Version
    trails: Annotated[tuple[TrailFacts, ...], Meta(max_length=_MAX_LISTED)] = ()
    workers: Annotated[tuple[StatusFacts, ...], Meta(max_length=_MAX_LISTED)] = ()
    deployment: Annotated[tuple[RequirementFact, ...], Meta(max_length=_MAX_LISTED)] | None = None


def made(
    *,
    trails: Iterable[TrailFacts] = (),
    workers: Iterable[StatusFacts] = (),
    deployment: tuple[RequirementFact, ...] | None = None,
) -> Bundle:
    """A bundle of these facts and of this machine's versions."""
    return Bundle(
        made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        product=_version(VERSION),
        python=_version(platform.python_version()),
        kernel=_version(platform.release()),
        trails=tuple(trails),
        workers=tuple(workers),
        deployment=deployment,
    )


def encoded(bundle: Bundle) -> bytes:
    """The file. Every value is checked against its type once more; raises ValueError for one that does not fit."""
    data = msgspec.json.encode(bundle)
    require_words(OneForm(Bundle, limit=len(data)).decode(data))
    return msgspec.json.format(data, indent=1) + b"\n"


def require_words(bundle: Bundle, *, kinds: AbstractSet[str] = frozenset()) -> None:
    """Raise ValueError unless all its words, and these kinds, are in this program's lists."""
    words = closed_words()
    found = {each.kind for trail in bundle.trails for each in trail.events} | kinds
    requirements = {each.requirement for each in bundle.deployment or ()}
    if not (found <= words["kinds"] and requirements <= words["requirements"]):
        raise ValueError("a word that is not in this program's lists")


def closed_words() -> dict[str, frozenset[str]]:
    """The lists that words of `Kind` and `Requirement` are from."""
    wanted = expected()
    kinds = {str(each.__struct_config__.tag) for each in get_args(Event)}
    rules = {f"{_short(subject.type)} {rule.path}" for subject in wanted.subjects for rule in subject.rules}
    types = {_short(subject.type) for subject in wanted.subjects}
    rules |= {f"{each} exists" for each in types} | {f"{each} location" for each in types}
    rules |= {f"{_short(each)} absent" for each in wanted.forbidden}
    rules |= {f"{_short(each)} diagnostic setting" for each in wanted.logged}
    rules |= {f"{_short(grant.type)} {word}" for grant in wanted.grants for word in ("role", "roles")}
    return {
        "kinds": frozenset(kinds),
        "requirements": frozenset(rules | {"keys release policy", "roles", "wider scope roles", "other"}),
    }


def trail_facts(trail: Path) -> TrailFacts:
    """The facts of a trail. Raises OSError."""
    hours: Counter[tuple[str, str]] = Counter()
    reasons: Counter[Reason] = Counter()
    lines, first, last, head, good = 0, None, None, None, True
    try:
        for _, record in verified(trail):
            lines, last, head = lines + 1, record.time, record.hash
            first = first or record.time
            hours[f"{record.time[:13]}Z", record.event.kind] += 1
            reason = getattr(record.event, "reason", None)
            if isinstance(reason, Reason):
                reasons[reason] += 1
    except ChainError:
        good = False
    return TrailFacts(
        verified=good,
        lines=lines,
        first=first,
        last=last,
        head=head,
        events=tuple(
            HourCount(hour=hour, kind=kind, count=count) for (hour, kind), count in sorted(hours.items())[-_MAX_HOURS:]
        ),
        reasons=_reasons(reasons),
    )


def status_facts(data: bytes) -> StatusFacts:
    """The facts of `cji status --json`. Raises StrictError for another document."""
    status = decode(data, Status, limit=MOST_BYTES)
    jobs, cells = status.jobs, status.cells
    return StatusFacts(
        state=status.state,
        reason=status.reason,
        started=status.started,
        host=tuple(ConditionFact(condition=each.condition, held=each.held) for each in status.host),
        keys=len(status.keys or ()),
        keys_missing=_reasons(Counter(each.reason for each in status.keys_missing or ())),
        keys_opened=status.keys_opened or 0,
        cells_warm=cells.warm if cells else 0,
        cells_busy=cells.busy if cells else 0,
        jobs_waiting=status.jobs_waiting or 0,
        refused=_counts(jobs.refused if jobs else ()),
        ended=_counts(jobs.ended if jobs else ()),
        audit_writable=bool(status.audit and status.audit.writable),
        audit_line=status.audit.line if status.audit else 0,
        policy_sha384=status.policy_sha384,
    )


def deployment_facts(results: Sequence[Result]) -> tuple[RequirementFact, ...]:
    """The requirements by their own names, without the resources; one with an unknown name counts as `other`."""
    known = closed_words()["requirements"]
    counts: Counter[tuple[str, str]] = Counter()
    for each in results:
        counts[each.id if each.id in known else "other", each.state] += 1
    return tuple(
        RequirementFact(
            requirement=name, ok=counts[name, "ok"], failed=counts[name, "failed"], not_run=counts[name, "not run"]
        )
        for name in sorted({name for name, _ in counts})
    )


def _counts(found: Iterable[Any]) -> tuple[ReasonCount, ...]:
    return tuple(ReasonCount(reason=each.reason, count=each.count) for each in found)


def _reasons(found: Counter[Reason]) -> tuple[ReasonCount, ...]:
    return tuple(ReasonCount(reason=reason, count=count) for reason, count in sorted(found.items()))


def _version(text: str) -> str:
    """The numbers at the beginning; what a distribution appends is its own words."""
    found = re.match(r"[0-9]{1,4}(?:\.[0-9]{1,6}){0,3}", text)
    return found[0] if found else "0"


def _short(kind: str) -> str:
    return kind.partition("/")[2] or kind
