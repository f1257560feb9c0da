"""Every rule of a trail by itself: the fewest lines that break it, and what it reports about them."""

from datetime import timedelta
from typing import Any, Final, get_args

import msgspec
import pytest

from cji_core.bundle_name import BundleName
from cji_core.errors import Reason, Stage
from cji_core.jose import key_id
from cji_core.suites import Suite
from cji_core.trail import (
    FIRST_PREVIOUS,
    GENESIS,
    AttemptSuperseded,
    CallsRefused,
    Event,
    Expected,
    FileDigests,
    FilesReloaded,
    HostChanged,
    JobRefused,
    KeyDropped,
    KeyNotReleased,
    ReloadRefused,
    TrailAnchored,
    UsedColumnKey,
    UsedColumnKeys,
    WitnessesDisagreed,
    WorkerNotReady,
    WorkerStopped,
    append_record,
    read,
    receipt_sha384,
    sign,
    utc_hundredths,
    verify_receipt,
)
from cji_core.trail.fleet_events import TicketPoisoned, TicketRefused
from cji_core.trail.rules import (
    RULES,
    SEVERITIES,
    Finding,
    SequenceError,
    Severity,
    State,
    Watcher,
    verify_sequence,
)
from cji_core.trail.rules.state import (
    MAX_COMPLETED,
    MAX_EVIDENCE,
    MAX_RUNNING,
    Admission,
    Hold,
)
from cji_core.trail.task_events import StatementsRefused
from tests.support import trails
from tests.support.audit_events import admitted, completed, ended
from tests.support.receipts import CLAIMS
from tests.support.trails import HEADER, START, job_id, released

OTHER: Final = "ee" * 48
KEY, STRANGER = trails.Writer().key, trails.Writer().key
KEY_ID, STRANGER_ID = (key_id(key.public_key()) for key in (KEY, STRANGER))
KEK: Final = CLAIMS.kek_id
JOB: Final = job_id(1)
ADMITTED, COMPLETED, ENDED = admitted(JOB, HEADER), completed(JOB, HEADER), ended(JOB, HEADER)
STARTED: Final = msgspec.structs.replace(trails.started(), simulated=False, host_profile="strict")
BEGUN: Final = (STARTED, trails.attested(KEY_ID), released())
JOB_ID: Final = {"job_id": JOB.hex(), "header_sha384": HEADER.hex()}


def but(event: Event, **changes: Any) -> Event:
    return msgspec.structs.replace(event, **changes)


def seen(*events: Event | tuple[str, Event], state: State | None = None, step: float = 60) -> list[Finding]:
    """What is found in these lines, a minute after one another; an event may have the worker that writes it."""
    watcher, head, now, found = Watcher(state=state), GENESIS, START, list[Finding]()
    for each in events:
        worker, event = each if isinstance(each, tuple) else ("worker-1", each)
        head, line = append_record(event, head=head, time=utc_hundredths(now), worker=worker)
        found += watcher.see(line, read(line))
        now += timedelta(seconds=step)
    return found + watcher.end()


def named(found: list[Finding]) -> list[tuple[str, int, str, str]]:
    """(rule, line, subject after the worker, what) of the findings that are not of the start alone."""
    return [
        (each.rule, each.line, each.subject.removeprefix("worker-1, "), each.what)
        for each in found
        if (each.rule, each.line) != ("restarted", 1)
    ]


def after_start(*events: Event) -> list[tuple[str, int, str, str]]:
    """Findings in these lines after a start in three lines, so that the first of them is line 4."""
    return named(seen(*BEGUN, *events))


def receipt(**claims: Any) -> str:
    plain = {name: getattr(COMPLETED, name) for name in ("job_id", "header_sha384", "submitter", "requesting_ori")}
    plain |= {"worker": "worker-1", "sequence": 1, "previous_sha384": FIRST_PREVIOUS, "audit_anchor": 0}
    plain |= {"volumes": COMPLETED.volumes, "simulated": False}
    return sign(msgspec.structs.replace(CLAIMS, **{**plain, **claims}), KEY)


def job(**claims: Any) -> tuple[Event, Event]:
    return ADMITTED, but(COMPLETED, receipt=receipt(**claims))


def test_a_true_job_has_no_finding() -> None:
    assert after_start(TrailAnchored(counter=0), *job()) == []
    assert after_start(ADMITTED, ENDED) == []


def test_every_severity_has_its_place() -> None:
    assert get_args(Severity) == SEVERITIES
    assert {rule.severity for rule in RULES.values()} == set(SEVERITIES)


def test_a_finding_is_of_a_line() -> None:
    assert Watcher().end() == []
    with pytest.raises(ValueError, match="no line was seen"):
        Watcher().note("simulated", "x")


# ---------------------------------------------------------------- the machine


def test_starts_and_ends() -> None:
    stop = WorkerStopped(jobs_completed=3)
    assert [(each.rule, each.what) for each in seen(STARTED)] == [("restarted", "version 1")]
    assert after_start(stop, STARTED) == [
        ("down", 4, "worker-1", "after 3 jobs"),
        ("restarted", 5, "worker-1", "version 1, after 1 minutes"),
    ]
    assert after_start(STARTED) == [
        ("restarted", 4, "worker-1", "version 1"),
        ("crashed", 4, "worker-1", "a start without a stop before it"),
    ]


@pytest.mark.parametrize("name", ["code_sha384", "config_sha384", "policy_sha384"])
def test_another_digest_at_a_start(name: str) -> None:
    found = seen(*BEGUN, WorkerStopped(jobs_completed=0), but(STARTED, **{name: OTHER}))[-1]
    assert (found.rule, found.line, found.subject) == ("start_changed", 5, f"worker-1, {name}")
    assert (found.found, found.expected) == (OTHER, getattr(STARTED, name))


def test_a_simulated_start_and_one_without_a_profile() -> None:
    assert named(seen(but(STARTED, simulated=True))) == [("simulated", 1, "started", "the worker is simulated")]
    (found,) = named(seen(but(STARTED, host_profile="none")))
    assert found[0] == "no_host_profile"


def test_a_start_has_one_receipt_key() -> None:
    another = [("receipt_key", 4, "worker-1", "another one than before in this start of the worker")]
    assert after_start(trails.attested(STRANGER_ID)) == another
    assert after_start(trails.attested(KEY_ID)) == []
    assert [rule for rule, *_ in after_start(STARTED, trails.attested(STRANGER_ID))] == ["restarted", "crashed"]


def test_evidence_is_remembered_until_there_is_too_much() -> None:
    state = State.begin()
    state.evidence = {f"{number:096x}": number for number in range(MAX_EVIDENCE)}
    assert named(seen(STARTED, trails.attested(KEY_ID), released(), state=state)) == []
    assert len(state.evidence) == MAX_EVIDENCE
    assert f"{0:096x}" not in state.evidence
    unknown = State(policy="", keys={})
    seen(STARTED, trails.attested(KEY_ID), state=unknown)
    assert unknown.evidence == {trails.attested(KEY_ID).evidence_sha384: 2}


def test_releases_of_a_key() -> None:
    what = "the key was released for evidence that was not attested"
    assert after_start(but(released(), evidence_sha384=OTHER)) == [("release_evidence", 4, KEK, what)]
    changed = but(released(), policy_before="0e" * 32)
    assert after_start(changed) == [
        ("release_policy_changed", 4, KEK, f"from {'0e' * 32} to {released().policy_sha256}")
    ]
    assert after_start(but(released(), policy_immutable=False)) == [
        ("release_policy_open", 4, KEK, "the release policy is not immutable")
    ]
    unknown = State(evidence=None, keys=None, policy=None)
    assert named(seen(released(), state=unknown)) == []


def test_keys_that_are_not_released() -> None:
    for cause, rule in (("denied", "release_failed"), ("unavailable", "key_expired")):
        expected = [(rule, 4, f"{KEK}, {cause}", f"a key was not released: {cause}")]
        assert after_start(KeyNotReleased(kek_id=KEK, cause=cause)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cause", "rule"),
    [
        ("revoked", "release_failed"),
        ("pcr-drift", "attestation_failed"),
        ("evidence", "attestation_failed"),
        ("expired", "key_expired"),
        ("stopped", None),
    ],
)
def test_dropped_keys(cause: Any, rule: str | None) -> None:
    expected = [(rule, 4, f"{KEK}, {cause}", f"a key was dropped: {cause}")] if rule else []
    assert after_start(KeyDropped(kek_id=KEK, cause=cause)) == expected
    *_, found = after_start(KeyDropped(kek_id=KEK, cause=cause), ADMITTED, ENDED)
    assert found == ("key_not_held", 5, KEK, "the job was admitted under a key that was not held")


@pytest.mark.parametrize(
    ("reason", "rule"),
    [
        (Reason.KEY_RELEASE_DENIED, "release_failed"),
        (Reason.ATTESTATION_REJECTED, "attestation_failed"),
        (Reason.KEY_THROTTLED, "key_expired"),
        (Reason.AUDIT_UNAVAILABLE, "audit_unavailable"),
        (Reason.DRAINING, None),
    ],
)
def test_reasons_for_admitting_no_jobs(reason: Reason, rule: str | None) -> None:
    expected = [(rule, 4, str(reason), f"not ready: {reason}")] if rule else []
    assert after_start(WorkerNotReady(reason=reason, condition="trail")) == expected


def test_conditions_of_the_machine() -> None:
    one, two = HostChanged(unmet=("bpf",)), HostChanged(unmet=("kexec",))
    lines = [(rule, line, about) for rule, line, about, _ in after_start(one, two, HostChanged(unmet=()))]
    assert lines == [("host_conditions", *each) for each in ((4, "bpf"), (5, "bpf"), (5, "kexec"), (6, "kexec"))]
    assert [rule for rule, *_ in after_start(one, ADMITTED, ENDED)] == ["host_conditions", "admitted_while_unmet"]
    assert [rule for rule, *_ in after_start(one, HostChanged(unmet=()), ADMITTED, ENDED)] == ["host_conditions"] * 2


def test_reloads() -> None:
    before = FileDigests(policy_file=STARTED.policy_sha384, client_roots="12" * 48)
    after = FileDigests(policy_file="0f" * 48, client_roots="13" * 48, client_crl="14" * 48)
    reload = FilesReloaded(by="command", uid=7, before=before, after=after)
    assert [(rule, about) for rule, _, about, _ in after_start(reload)] == [
        ("files_changed", name) for name in ("policy_file", "client_roots", "client_crl")
    ]
    assert [rule for rule, *_ in after_start(reload, ADMITTED, ENDED)][3:] == ["policy_not_in_force"]
    assert after_start(but(reload, after=before)) == []
    *_, found = seen(*BEGUN, but(reload, before=but(before, policy_file=OTHER), after=before))  # type: ignore[arg-type]
    assert (found.rule, found.found, found.expected) == ("policy_not_in_force", OTHER, STARTED.policy_sha384)
    details = [each.detail for each in seen(*BEGUN, reload)][1:]
    assert details == [f"now {digest}; user 7, by command" for digest in ("0f" * 48, "13" * 48, "14" * 48)]
    for first, then, expected in ((7, 8, ["files_changed"] * 2), (8, 7, ["files_changed", "bundle_went_back"])):
        bundles = [
            but(reload, before=before, after=before, bundle=BundleName(serial=n, sha384=OTHER)) for n in (first, then)
        ]
        assert [rule for rule, *_ in after_start(*bundles)] == expected
        assert [rule for rule, *_ in after_start(bundles[0], but(reload, after=before))][1:] == ["bundle_went_back"]
        of = [but(STARTED, bundle=each.bundle) for each in bundles]  # type: ignore[attr-defined]
        stop = WorkerStopped(jobs_completed=0)
        rules = [rule for rule, *_ in named(seen(of[0], stop, of[1], stop, of[1]))]
        assert rules.count("bundle_went_back") == (first > then)
    cleared = FilesReloaded(by="signal", uid=0, before=after, after=but(after, client_crl=None))  # type: ignore[arg-type]
    assert seen(*BEGUN, reload, cleared)[-1].detail == "now none; user 0, by signal"
    assert {each.rule for each in seen(reload, state=State(policy=None))} == {"files_changed"}
    refused = ReloadRefused(by="command", uid=7, file="policy_file")
    assert after_start(refused) == [("reload_refused", 4, "policy_file", "user 7, by command")]


def test_what_other_processes_sent() -> None:
    who = {**JOB_ID, "submitter": "metro-pd", "correlation_id": "c"}
    cases: list[tuple[Event, tuple[str, str, str]]] = [
        (
            WitnessesDisagreed(about=("rows",), **who),
            ("witnesses_disagreed", "metro-pd", "front and cell disagreed"),
        ),
        (
            StatementsRefused(about="proof", stage_name=None, task=None, **who),
            ("statements_refused", "metro-pd", f"about proof; job {JOB.hex()}"),
        ),
        (
            TicketPoisoned(
                **JOB_ID, submitter="metro-pd", requesting_ori="WI0130000", purpose_code="C", tries=3,
                stage=Stage.COMPUTE, reason=Reason.CELL_FAILED, failure="a.b.c",
            ),
            ("ticket_poisoned", "metro-pd", f"CELL_FAILED at {Stage.COMPUTE} after 3 tries; job {JOB.hex()}"),
        ),
        (TicketRefused(fault="digest", count=2, seconds=9), ("ticket_refused", "digest", "2 tickets")),
        (
            TicketRefused(fault="unverified", count=1, seconds=9, reason=Reason.EXPIRED),
            ("ticket_refused", "unverified", "1 tickets, EXPIRED"),
        ),
    ]  # fmt: skip
    for event, (rule, about, what) in cases:
        assert after_start(event) == [(rule, 4, about, what)]


# ---------------------------------------------------------------- jobs


def test_the_order_of_a_job() -> None:
    order = ("job_order", "worker-1, metro-pd")
    cases: list[tuple[tuple[Event, ...], int, str]] = [
        ((ADMITTED, ADMITTED, ENDED), 5, "the job was admitted before and has not ended"),
        ((ENDED,), 4, "the end of a job that was not admitted, or has ended before"),
        ((ADMITTED, ENDED, ENDED), 6, "the end of a job that was not admitted, or has ended before"),
        ((ADMITTED, but(ENDED, header_sha384=OTHER)), 5, "the job was admitted with another header"),
    ]
    for events, line, what in cases:
        (found,) = [each for each in seen(*BEGUN, *events) if each.line > 3]
        assert (found.rule, found.subject, found.line, found.what) == (*order, line, what)


def test_jobs_that_run_at_once_are_bounded() -> None:
    state = State.begin()
    state.running = {f"{number:032x}": Admission(HEADER.hex(), None) for number in range(MAX_RUNNING)}
    found = [each.what for each in seen(*BEGUN, but(ADMITTED, job_id="f" * 32), state=state)]
    assert found[1:] == [f"more than {MAX_RUNNING} jobs at once"]
    assert len(state.running) == MAX_RUNNING


def test_completed_jobs_are_bounded() -> None:
    state, time = State.begin(), utc_hundredths(START)
    state.completed = {f"{number:032x}": time for number in range(1000, 1000 + MAX_COMPLETED + 1)}
    seen(*BEGUN, *job(), state=state)
    assert len(state.completed) == MAX_COMPLETED + 1
    assert f"{1000:032x}" not in state.completed


def test_a_job_that_completes_again() -> None:
    again = job(sequence=2, previous_sha384=receipt_sha384(receipt()))
    superseded = AttemptSuperseded(**JOB_ID, submitter="metro-pd", requesting_ori="WI0130000", receipt_sha384="ab" * 48)
    what = ("completed_again", 8, f"job {JOB.hex()}", "the job has already completed")
    assert after_start(TrailAnchored(counter=0), *job(), *again) == [what]
    assert after_start(TrailAnchored(counter=0), *job(), superseded, *again) == []


def test_admissions_under_another_policy_and_key() -> None:
    (found,) = seen(*BEGUN, but(ADMITTED, policy_sha384=OTHER), ENDED)[1:]
    assert (found.rule, found.found, found.expected) == ("policy_not_in_force", OTHER, STARTED.policy_sha384)
    (found,) = seen(*BEGUN, but(ADMITTED, kek_id=KEK[:-2] + "cd"), ENDED)[1:]
    assert (found.rule, found.found, found.expected) == ("key_not_held", KEK[:-2] + "cd", KEK)
    unknown = State(policy=None, keys=None)
    assert named(seen(ADMITTED, ENDED, state=unknown)) == []


def test_a_job_without_an_operator() -> None:
    watcher, found = Watcher(), seen(*BEGUN, but(ADMITTED, attribution=None), ENDED)[1:]
    assert [(each.rule, each.subject, each.detail) for each in found] == [
        ("unattributed", "metro-pd", "agency WI0130000")
    ]
    head, operators = GENESIS, []
    for event in (ADMITTED, ENDED, HostChanged(unmet=())):
        head, line = append_record(event, head=head, time=utc_hundredths(START), worker="worker-1")
        watcher.see(line, read(line))
        operators.append(watcher.operator)
    assert operators == ["op-17", "op-17", None]


def test_a_job_without_an_outcome() -> None:
    day = 24 * 3600.0
    assert [each.rule for each in seen(ADMITTED, HostChanged(unmet=()), step=day)][-1] != "no_outcome"
    found = seen(ADMITTED, HostChanged(unmet=()), step=day + 1)[-1]
    assert (found.rule, found.line, found.time) == ("no_outcome", 1, utc_hundredths(START))
    state = State.begin()
    state.running = {"ab" * 16: Admission(HEADER.hex(), None)}  # of an earlier version, without its line
    assert named(seen(STARTED, HostChanged(unmet=()), step=day + 1, state=state)) == []


@pytest.mark.parametrize(
    ("reason", "rule"),
    [
        (Reason.ATTESTATION_REJECTED, "attestation_failed"),
        (Reason.KEY_RELEASE_DENIED, "release_failed"),
        (Reason.CELL_FAILED, None),
    ],
)
def test_ends_that_are_about_the_machine(reason: Reason, rule: str | None) -> None:
    found = seen(*BEGUN, ADMITTED, but(ENDED, reason=reason))[1:]
    expected = [(rule, "worker-1: jobs ended", f"a job ended with {reason}")] if rule else []
    assert [(each.rule, each.subject, each.what) for each in found] == expected


@pytest.mark.parametrize(
    ("reason", "rule", "subject"),
    [
        *(
            (reason, "suspect_refusals", f"metro-pd, {reason}")
            for reason in (
                Reason.HEADER_SIGNATURE_INVALID,
                Reason.DEK_UNWRAP_FAILED,
                Reason.CERTIFICATE_REFUSED,
                Reason.AUDIENCE_MISMATCH,
            )
        ),
        (Reason.REPLAYED, "replayed", "metro-pd"),
        (Reason.POLICY_DENIED, None, ""),
    ],
)
def test_refusals_that_can_be_an_attack(reason: Reason, rule: str | None, subject: str) -> None:
    source = "ipv4:10.0.0.1:50000"
    one = JobRefused(source=source, stage=Stage.ADMIT, reason=reason, correlation_id="c", submitter="metro-pd")
    calls = CallsRefused(reason=reason, count=7, seconds=9, source=source, submitter="metro-pd")
    for event, count in ((one, 1), (calls, 7)):
        found = [each for each in seen(*BEGUN, event) if each.line == 4]
        expected = [(rule, subject, f"refused {count} times with {reason}", count)] if rule else []
        assert [(each.rule, each.subject, each.what, each.count) for each in found] == expected
    if rule == "replayed":
        strangers = but(calls, submitter=None), but(calls, submitter=None, identity="spiffe://x")
        assert [each.subject for each in seen(*BEGUN, *strangers)][1:] == ["unknown callers", "spiffe://x"]


# ---------------------------------------------------------------- receipts


@pytest.mark.parametrize(
    ("rules", "claims"),
    [
        ({"receipt_contradicts": "job_id"}, {"job_id": "dd" * 16}),
        ({"receipt_contradicts": "header_sha384", "receipt_admission": "header_sha384"}, {"header_sha384": OTHER}),
        ({"receipt_contradicts": "submitter", "receipt_admission": "submitter"}, {"submitter": "county-so"}),
        (
            {"receipt_contradicts": "requesting_ori", "receipt_admission": "requesting_ori"},
            {"requesting_ori": "TX0290000"},
        ),
        ({"receipt_contradicts": "purpose_code", "receipt_admission": "purpose_code"}, {"purpose_code": "F"}),
        ({"receipt_contradicts": "volumes"}, {"volumes": but(COMPLETED.volumes, rows_in=2)}),  # type: ignore[arg-type]
        ({"receipt_contradicts": "worker"}, {"worker": "worker-2"}),
        ({"receipt_admission": "originating_ori"}, {"originating_ori": "TX0290000"}),
        ({"receipt_admission": "operations"}, {"operations": ("link",)}),
        ({"receipt_admission": "recipients"}, {"recipients": ("B" * 43,)}),
        ({"receipt_admission": "kek_id"}, {"kek_id": KEK[:-2] + "cd"}),
        ({"receipt_configuration": "code_sha384"}, {"code_sha384": OTHER}),
        ({"receipt_configuration": "config_sha384"}, {"config_sha384": OTHER}),
        ({"receipt_configuration": "policy_sha384"}, {"policy_sha384": OTHER}),
        ({"receipt_evidence": "evidence"}, {"evidence_sha384": OTHER}),
        ({"simulated": "the receipt is simulated"}, {"simulated": True}),
    ],
)
def test_a_receipt_of_something_else(rules: dict[str, str], claims: dict[str, Any]) -> None:
    found = {each.rule: each for each in seen(*BEGUN, TrailAnchored(counter=0), *job(**claims))[1:]}
    assert found.keys() == rules.keys()
    for rule, text in rules.items():
        assert text in found[rule].what
        assert found[rule].line == 6
    if len(claims) == 1 and "simulated" not in rules:
        (value,) = claims.values()
        assert all(str(value) in each.found for each in found.values())


USED: Final = (
    UsedColumnKeys(
        statement_sha384="0a" * 48,
        keys=(UsedColumnKey(key_path="https://v/keys/k/1", cek_sha384="0b" * 48),),
    ),
)
QUIET: Final = msgspec.structs.replace(COMPLETED.volumes, rows_out=0, chri_rows_out=0, subjects_out=0)


def with_columns(admitted_with: Any, volumes: Any = QUIET, **claims: Any) -> list[Finding]:
    """What is found about a job with sealed columns."""
    text = receipt(volumes=volumes, **claims)
    lines = but(ADMITTED, column_keys=admitted_with), but(COMPLETED, receipt=text, volumes=volumes)
    return seen(*BEGUN, *lines)[1:]


def test_a_receipt_has_the_column_keys_of_its_admission() -> None:
    other = (msgspec.structs.replace(USED[0], statement_sha384="0c" * 48),)
    assert not with_columns(USED, column_keys=USED)
    for admitted_with, claims in ((USED, {"column_keys": other}), (USED, {}), ((), {"column_keys": USED})):
        (found,) = with_columns(admitted_with, **claims)
        assert found.rule == "receipt_admission"
        assert "other column_keys than in line 4" in found.what


@pytest.mark.parametrize("count", ["rows_out", "chri_rows_out", "subjects_out"])
def test_a_receipt_of_sealed_columns_states_no_rows_out(count: str) -> None:
    """They would tell who can copy cells which values are equal."""
    volumes = msgspec.structs.replace(QUIET, **{count: 1})
    (found,) = with_columns(USED, volumes, column_keys=USED)
    assert (found.rule, found.found, found.expected) == ("receipt_contradicts", "1", "0")
    assert f"states {count} of a job with sealed columns" in found.what
    assert not with_columns((), volumes)


def test_a_receipt_of_another_suite() -> None:
    (found,) = seen(*BEGUN, but(ADMITTED, suite=Suite.HYBRID_1), job()[1])[1:]
    assert (found.rule, found.found, found.expected) == ("receipt_admission", "classical-1", "hybrid-1")


def test_what_a_receipt_is_compared_with_may_not_be_known() -> None:
    unknown = State(evidence=None, keys=None, policy=None)
    assert named(seen(*job(), state=unknown)) == []
    short = State(running={JOB.hex(): Admission(HEADER.hex(), None)})
    assert named(seen(job(policy_sha384=OTHER, operations=("link",))[1], state=short)) == []


def test_a_broken_sequence_is_explained() -> None:
    other = "receipt 2: previous_sha384 names another receipt than the one before it"
    assert str(SequenceError("previous", 2, 2)) == other
    assert str(SequenceError("anchor", 2, 2)) == "receipt 2: audit_anchor is below that of the one before it"
    assert str(SequenceError("missing", 2, 4)) == "receipt 2 to 4: missing"
    fields = [SequenceError(kind, 2, 2).field for kind in ("previous", "anchor", "missing", "repeated", "reordered")]
    assert fields == ["previous_sha384", "audit_anchor", "sequence", "sequence", "sequence"]


def test_lines_that_a_hold_covers() -> None:
    some = Hold(first=2, last=3, line=9, time="", operator_id="jdoe")
    assert [some.covers(*lines) for lines in ((1, 1), (1, 2), (3, 9), (4, 9))] == [False, True, True, False]
    assert msgspec.structs.replace(some, last=None).covers(4, 9)


def test_a_receipt_from_before_the_one_that_is_known() -> None:
    public, expected = KEY.public_key(), Expected(simulated=False)
    first, fifth = (verify_receipt(receipt(sequence=n), key=public, expected=expected) for n in (1, 5))
    with pytest.raises(SequenceError) as caught:
        verify_sequence([first], after=fifth)
    assert (caught.value.kind, caught.value.first, caught.value.last) == ("reordered", 1, 1)


def test_receipts_follow_each_other() -> None:
    first, digest = job(), receipt_sha384(receipt())
    anchor = TrailAnchored(counter=9)
    cases: list[tuple[dict[str, Any], str, str, str]] = [
        ({"sequence": 3, "previous_sha384": digest}, "receipt_sequence", "3", "2"),
        ({"sequence": 1, "previous_sha384": digest}, "receipt_sequence", "1", "2"),
        ({"sequence": 2, "previous_sha384": OTHER}, "receipt_sequence", OTHER, digest),
    ]
    for claims, rule, value, expected in cases:
        two = (
            but(ADMITTED, job_id="ab" * 16),
            but(COMPLETED, job_id="ab" * 16, receipt=receipt(job_id="ab" * 16, **claims)),
        )
        (found,) = [each for each in seen(*BEGUN, anchor, *first, *two) if each.line == 8]
        assert (found.rule, found.found, found.expected) == (rule, value, expected)
    (found,) = seen(*BEGUN, anchor, *job(audit_anchor=10))[1:]
    assert (found.rule, found.found, found.expected) == ("receipt_anchor", "10", "at most 9")
    lower, number = job(audit_anchor=8), "ab" * 16
    below = {"sequence": 2, "previous_sha384": receipt_sha384(receipt(audit_anchor=8)), "audit_anchor": 7}
    again = but(ADMITTED, job_id=number), but(COMPLETED, job_id=number, receipt=receipt(job_id=number, **below))
    (found,) = seen(*BEGUN, anchor, *lower, *again)[1:]
    assert (found.rule, found.line, found.found, found.expected) == ("receipt_anchor", 8, "7", "at least 8")


def test_a_receipt_that_cannot_be_read_ends_the_comparison() -> None:
    unread = ADMITTED, but(COMPLETED, receipt="a.b.c")
    (found,) = seen(*BEGUN, *unread)[1:]
    assert found.rule == "receipt_contradicts"
    later = (
        but(ADMITTED, job_id="ab" * 16),
        but(COMPLETED, job_id="ab" * 16, receipt=receipt(job_id="ab" * 16, sequence=9)),
    )
    assert [each.line for each in seen(*BEGUN, *unread, *later)[1:]] == [5]


def test_a_receipt_by_another_key() -> None:
    other = sign(msgspec.structs.replace(CLAIMS, sequence=1), STRANGER)
    found = {each.rule: each for each in seen(*BEGUN, ADMITTED, but(COMPLETED, receipt=other))}
    assert (found["receipt_key"].found, found["receipt_key"].expected) == (STRANGER_ID, KEY_ID)
