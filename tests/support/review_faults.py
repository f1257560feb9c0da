"""What a review must find: each puts something into the week of a quiet trail, and names the rules that report it."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

from cji_audit.review import Context, Settings, Week, render, review
from cji_audit.review.model import KnownHead
from cji_core.errors import Reason, Stage
from cji_core.trail import (
    Attributed,
    CallsRefused,
    DropCause,
    FileDigests,
    FilesReloaded,
    HoldPlaced,
    HoldReleased,
    HostChanged,
    JobRefused,
    KeyDropped,
    KeyNotReleased,
    ReleaseFailure,
    ReloadRefused,
    TailRecovered,
    TicketPoisoned,
    TicketRefused,
    TrailAnchored,
    TrailPruned,
    TrailRefused,
    TrailResumed,
    Volumes,
    WitnessesDisagreed,
    WorkerNotReady,
    read,
)
from tests.support.review_trails import (
    KEK,
    KEY,
    VOLUMES,
    WEEK,
    Trail,
    attested,
    continued,
    job_admitted,
    job_completed,
    quiet,
    quiet_weeks,
    written,
)

NOON: Final = datetime(2025, 11, 26, 18, 10, tzinfo=UTC)
"""Wednesday of the week, in the agencies' hours."""
NIGHT: Final = datetime(2025, 11, 26, 9, 10, tzinfo=UTC)
SOURCE: Final = "ipv4:10.9.9.9:50000"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something in the week. `rules` are exactly those that report it; `text` is in the finding of the first one."""

    put: Callable[[Trail], Any]
    rules: frozenset[str]
    text: str
    at: datetime = NOON


def _who(operator: str = "op-17", *, to: str = "") -> Attributed:
    return Attributed(operator_id=operator, requestor="Det. Muñoz", secondary_recipient=to)


def _refused(reason: Reason, **other: Any) -> JobRefused:
    fields: dict[str, Any] = {"submitter": "metro-pd", "stage": Stage.ADMIT, "correlation_id": "c0ffee"}
    return JobRefused(source=SOURCE, reason=reason, **fields | other)


def _calls(reason: Reason, count: int) -> CallsRefused:
    return CallsRefused(reason=reason, count=count, seconds=10, source=SOURCE, identity="urn:stranger")


def _dropped(cause: DropCause) -> Fault:
    rule = {"revoked": "release_failed", "expired": "key_expired"}.get(cause, "attestation_failed")
    return _fault(lambda t: t.add(KeyDropped(kek_id=KEK, cause=cause)), rule, text=cause)


def _not_released(cause: ReleaseFailure) -> Fault:
    rule = "release_failed" if cause == "denied" else "key_expired"
    return _fault(lambda t: t.add(KeyNotReleased(kek_id=KEK, cause=cause)), rule, text=cause)


def _not_ready(reason: Reason, *rules: str) -> Fault:
    return _fault(lambda t: t.add(WorkerNotReady(reason=reason, condition="trail")), *rules, text=reason)


def _fault(put: Callable[[Trail], Any], *rules: str, text: str, at: datetime = NOON) -> Fault:
    return Fault(put=put, rules=frozenset(rules), text=text, at=at)


def _reload(trail: Trail) -> None:
    before = FileDigests(policy_file=trail.digests["policy_sha384"], client_roots="12" * 48)
    after = FileDigests(policy_file="21" * 48, client_roots="12" * 48)
    trail.add(FilesReloaded(by="command", uid=1001, before=before, after=after))
    trail.digests = {**trail.digests, "policy_sha384": after.policy_file}


def _restart(trail: Trail, **other: Any) -> None:
    trail.stop()
    trail.start(**other)


def _other_witnesses(trail: Trail) -> None:
    for policy in ("fd", "fe"):
        _restart(trail, log_policy=policy * 48)


def _unknown_end(trail: Trail) -> None:
    admitted = job_admitted("ff" * 16)
    trail.complete(admitted)


def _receipt(**claims: Any) -> Callable[[Trail], None]:
    def put(trail: Trail) -> None:
        admitted = job_admitted("ee" * 16)
        trail.add(admitted)
        trail.complete(admitted, claims=claims)

    return put


def _not_a_receipt(trail: Trail) -> None:
    admitted = job_admitted("ee" * 16)
    trail.add(admitted)
    trail.add(job_completed(admitted, VOLUMES, "no.receipt.here"))


def _lost_receipt(trail: Trail) -> None:
    """A job whose two lines were never written: the next receipt skips its number."""
    shadow = Trail(receipts=[*trail.receipts], number=trail.number, at=trail.at)
    shadow.complete(job_admitted("dd" * 16))
    trail.receipts, trail.number = shadow.receipts, shadow.number


def _back(trail: Trail) -> None:
    trail.job(at=datetime.fromisoformat(read(trail.lines[-1]).time) - timedelta(seconds=1))


def _many(volumes: Volumes, jobs: int = 1, operator: str = "op-17") -> Callable[[Trail], None]:
    def put(trail: Trail) -> None:
        for _ in range(jobs):
            trail.job(volumes=volumes, attribution=_who(operator))

    return put


def _mass(**other: int) -> Volumes:
    fields: dict[str, Any] = {"rows_in": 1, "rows_out": 1, "bytes_in": 1, "bytes_out": 1, "chri_rows_out": 0}
    return Volumes(**fields | {"subjects_out": 0} | other)


FAULTS: Final[dict[str, Fault]] = {
    "anchor": _fault(lambda t: t.add(TrailAnchored(counter=1)), "anchor_went_back", text="anchor 1 follows"),
    "refused trail": _fault(
        lambda t: t.add(TrailRefused(compared_with="ledger", expected=9, found=8)),
        "trail_refused",
        "refusal_unexplained",
        text="9 expected",
    ),
    "resumed trail": _fault(
        lambda t: t.add(TrailResumed(operator_id="jdoe", explanation="VM new")),
        "trail_resumed",
        text="VM new",
    ),
    "pruned trail": _fault(
        lambda t: t.add(
            TrailPruned(
                first=1, last=2, root="01" * 32, kept_sha384="02" * 48, operator_id="jdoe", explanation="schedule 7"
            )
        ),
        "trail_pruned",
        text="lines 1 to 2: schedule 7",
    ),
    "hold": _fault(
        lambda t: t.add(HoldPlaced(name="case-7", first=1, operator_id="jdoe", explanation="court order")),
        "hold_placed",
        text="lines 1 to the last: court order",
    ),
    "released hold": _fault(
        lambda t: t.add(HoldReleased(name="case-7", operator_id="jdoe", explanation="closed")),
        "hold_released",
        "hold_order",
        text="case-7, jdoe",
    ),
    "another worker": _fault(lambda t: t.add(attested(), worker="worker-9"), "mixed_workers", text="worker-9"),
    "end without admission": _fault(_unknown_end, "job_order", text="metro-pd"),
    "receipt of another job": _fault(_receipt(job_id="dd" * 16), "receipt_contradicts", text="job_id"),
    "receipt of another worker": _fault(_receipt(worker="worker-9"), "receipt_contradicts", text="worker"),
    "receipt with other volumes": _fault(_receipt(volumes=_mass(rows_out=9)), "receipt_contradicts", text="volumes"),
    "not a receipt": _fault(_not_a_receipt, "receipt_contradicts", text="not a receipt"),
    "lost receipt": _fault(_lost_receipt, "receipt_sequence", text="follows"),
    "receipt after another": _fault(
        _receipt(previous_sha384="77" * 48), "receipt_sequence", text="another one before it"
    ),
    "simulated receipt": _fault(_receipt(simulated=True), "simulated", text="receipts"),
    "simulated worker": _fault(lambda t: _restart(t, simulated=True), "simulated", "restarted", "down", text="started"),
    "witnesses": _fault(
        lambda t: t.add(
            WitnessesDisagreed(
                job_id="01" * 16,
                header_sha384="02" * 48,
                submitter="metro-pd",
                about=("rows",),
                correlation_id="c0ffee",
            )
        ),
        "witnesses_disagreed",
        text="about rows",
    ),
    "changed release policy": _fault(
        lambda t: t.renew(policy_before="09" * 32), "release_policy_changed", text="09" * 32
    ),
    "open release policy": _fault(lambda t: t.renew(policy_immutable=False), "release_policy_open", text=KEK),
    "clock": _fault(_back, "clock_went_back", text="from 2025-11-26T1"),
    "forged headers": _fault(
        lambda t: t.add(_refused(Reason.HEADER_SIGNATURE_INVALID)), "suspect_refusals", text="HEADER_SIGNATURE"
    ),
    "strangers": _fault(
        lambda t: t.add(_calls(Reason.CERTIFICATE_REFUSED, 40)), "suspect_refusals", text="urn:stranger"
    ),
    "replay": _fault(lambda t: t.add(_refused(Reason.REPLAYED)), "replayed", text="metro-pd"),
    "denials": _fault(lambda t: [t.add(_refused(Reason.POLICY_DENIED)) for _ in range(10)], "refusals", text="POLICY"),
    "overload": _fault(lambda t: t.add(_calls(Reason.OVERLOADED, 500)), "refusals", text="OVERLOADED"),
    "failures": _fault(lambda t: [t.fail() for _ in range(10)], "failures", text="CELL_FAILED"),
    "jobs ended by the vault": _fault(
        lambda t: t.fail(reason=Reason.KEY_RELEASE_DENIED), "release_failed", text="ended"
    ),
    "revoked": _dropped("revoked"),
    "drift": _dropped("pcr-drift"),
    "evidence": _dropped("evidence"),
    "expired": _dropped("expired"),
    "denied": _not_released("denied"),
    "vault away": _not_released("unavailable"),
    "denied release": _not_ready(Reason.KEY_RELEASE_DENIED, "release_failed"),
    "rejected evidence": _not_ready(Reason.ATTESTATION_REJECTED, "attestation_failed"),
    "busy vault": _not_ready(Reason.KEY_THROTTLED, "key_expired"),
    "full disk": _not_ready(Reason.AUDIT_UNAVAILABLE, "audit_unavailable", "audit_outage"),
    "poison": _fault(
        lambda t: t.add(
            TicketPoisoned(
                job_id="ab" * 16,
                header_sha384="ab" * 48,
                submitter="metro-pd",
                requesting_ori="GA0600000",
                purpose_code="C",
                tries=5,
                stage=Stage.COMPUTE,
                reason=Reason.CELL_FAILED,
                failure="a.b.c",
            )
        ),
        "ticket_poisoned",
        text="CELL_FAILED at compute after 5 tries",
    ),
    "forged tickets": _fault(
        lambda t: t.add(TicketRefused(fault="digest", count=3, seconds=10)), "ticket_refused", text="3 tickets"
    ),
    "host": _fault(
        lambda t: t.add(HostChanged(unmet=("kernel-lockdown",))),
        "host_conditions",
        "admitted_while_unmet",
        text="kernel-lockdown",
    ),
    "rows of one job": _fault(_many(_mass(rows_out=100_000)), "mass_release_rows", "growth", text="100000 rows"),
    "CHRI of one job": _fault(_many(_mass(chri_rows_out=10_000)), "mass_release_chri", text="10000 rows with CHRI"),
    "persons of one job": _fault(_many(_mass(subjects_out=10_000)), "mass_release_subjects", text="10000 persons"),
    "small jobs": _fault(_many(_mass(subjects_out=9_999), 6), "mass_release_operator", text="op-17"),
    "growth": _fault(_many(_mass(rows_out=5_000)), "growth", text="rows; the median of 2 earlier weeks is"),
    "night": _fault(lambda t: t.job(), "off_hours", text="WI0130000", at=NIGHT),
    "weekend": _fault(
        lambda t: t.job(requesting_ori="TX0290000"),
        "off_hours",
        "new_operator",
        "new_purpose",
        "new_operation",
        "new_recipient",
        text="TX0290000",
        at=datetime(2025, 11, 29, 18, 10, tzinfo=UTC),
    ),
    "no operator": _fault(lambda t: t.job(attribution=None), "unattributed", text="WI0130000"),
    "secondary recipient": _fault(
        lambda t: t.job(attribution=_who(to="County probation")), "new_secondary_recipient", text="County probation"
    ),
    "recipient": _fault(lambda t: t.job(recipients=(KEY, "B" * 43)), "new_recipient", text="B" * 43),
    "submitter": _fault(lambda t: t.job(submitter="harbor-pd"), "new_submitter", text="harbor-pd"),
    "operator": _fault(lambda t: t.job(attribution=_who("op-99")), "new_operator", text="op-99"),
    "purpose": _fault(lambda t: t.job(purpose_code="F"), "new_purpose", text="F"),
    "operation": _fault(lambda t: t.job(operations=("screen",)), "new_operation", text="screen"),
    "accepted risk": _fault(
        lambda t: t.add(attested(accepted_advisories=("AMD-SB-3019",))), "new_risk", text="AMD-SB-3019"
    ),
    "reload": _fault(_reload, "files_changed", text="policy_file"),
    "refused reload": _fault(
        lambda t: t.add(ReloadRefused(by="signal", uid=0, file="client_crl")), "reload_refused", text="client_crl"
    ),
    "restart": _fault(_restart, "restarted", "down", text="0.1.0, after 0 minutes"),
    "crash": _fault(lambda t: t.start(), "restarted", "crashed", text="worker-1"),
    "other code": _fault(
        lambda t: _restart(t, code_sha384="ff" * 48), "start_changed", "restarted", "down", text="code_sha384"
    ),
    "lost witnesses": _fault(
        lambda t: _restart(t, witnesses_lost=("fd" * 48,)), "witnesses_lost", "restarted", "down", text="fd" * 8
    ),
    "other witnesses": _fault(_other_witnesses, "log_policy_changed", "restarted", "down", text="fe" * 8),
    "no host profile": _fault(
        lambda t: _restart(t, host_profile="none"), "no_host_profile", "restarted", "down", text="worker-1"
    ),
    "torn tail": _fault(
        lambda t: t.add(TailRecovered(cut_bytes=7, cut_sha384="01" * 48)), "tail_recovered", text="7 bytes"
    ),
    "unfinished": _fault(lambda t: t.job(ends=False), "unfinished", "no_outcome", text="metro-pd"),
}


@cache
def _until(time: datetime) -> Trail:
    """The quiet trail until shortly before `time`."""
    for moment, trail in quiet_weeks():
        if moment >= time - timedelta(minutes=49):
            return trail
    raise AssertionError(time)


def planted(name: str) -> Trail:
    """The quiet trail with this fault at its time."""
    fault = FAULTS[name]
    before = _until(fault.at)
    trail = replace(before, lines=[*before.lines], receipts=[*before.receipts])
    calm = before.at
    trail.at = fault.at
    fault.put(trail)
    for _ in continued(trail, calm):
        pass
    return trail


def full_of_faults() -> Trail:
    """One trail with all faults, a minute apart."""
    left = sorted(FAULTS.values(), key=lambda fault: fault.at)
    for moment, trail in quiet_weeks():
        while left and moment >= left[0].at:
            fault = left.pop(0)
            trail.at += timedelta(minutes=1)
            fault.put(trail)
    return trail


def review_page() -> str:
    """The page about two workers, on one of which everything went wrong."""
    trails = full_of_faults(), quiet(worker="worker-2")
    about = Settings(time_zone="America/Chicago", hours=("Mon-Fri 07:00-18:00",))
    head = KnownHead(source="sentinel", kind="destination", worker=None, line=100, hash="00" * 48)
    context = Context(week=Week.parse(WEEK), settings=about, software="cji 1", complete=True, heads=(head,))
    with tempfile.TemporaryDirectory() as folder:
        receipts = trails[0].write_receipts(Path(folder, "receipts"))
        return render(review(written(Path(folder), *trails), context, receipts=receipts)).decode()
