"""Every rule of the trail itself: anchors, checkpoints, holds, removed lines, times and workers."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from cji_core.trail import (
    GENESIS,
    DeliveryOverdue,
    Event,
    HoldPlaced,
    HoldReleased,
    HostChanged,
    TailRecovered,
    TrailAnchored,
    TrailCheckpoint,
    TrailPruned,
    TrailRefused,
    TrailResumed,
    TrailStarted,
    append_record,
    read,
    receipt_sha384,
    utc_hundredths,
)
from cji_core.trail.chain import ChainError
from cji_core.trail.checkpoint import origin_of, sign_checkpoint
from cji_core.trail.merkle import Frontier
from cji_core.trail.pruned import Pruned
from cji_core.trail.rules import (
    RULES,
    BrokenRuleError,
    Finding,
    State,
    Watcher,
)
from cji_core.trail.rules.state import (
    MAX_HOLDS,
    MAX_STEPS_BACK,
    Hold,
)
from tests.support.trails import START
from tests.unit.audit.test_rules import (
    ADMITTED,
    BEGUN,
    COMPLETED,
    ENDED,
    KEY,
    KEY_ID,
    OTHER,
    STARTED,
    STRANGER,
    STRANGER_ID,
    after_start,
    but,
    job,
    named,
    receipt,
    seen,
)


def test_anchors() -> None:
    one, low = TrailAnchored(counter=7), TrailAnchored(counter=7)
    resumed = TrailResumed(operator_id="jdoe", explanation="VM replaced")
    (found,) = seen(*BEGUN, one, low)[1:]
    assert (found.rule, found.found, found.expected) == ("anchor_went_back", "7", "above 7")
    found = seen(*BEGUN, one, resumed, low)[-1]
    assert (found.rule, found.found, found.expected) == ("anchor_after_resumption", "7", "above 7")
    assert [rule for rule, *_ in after_start(one, resumed, TrailAnchored(counter=8))] == ["trail_resumed"]
    rules = [rule for rule, *_ in after_start(one, resumed, TrailAnchored(counter=3), TrailAnchored(counter=4))]
    assert rules == ["trail_resumed", "anchor_after_resumption"]


def test_a_resumption_forgets_the_anchor_of_the_last_receipt() -> None:
    resumed = TrailResumed(operator_id="jdoe", explanation="VM replaced")
    second = receipt(
        job_id="ab" * 16, sequence=2, previous_sha384=receipt_sha384(receipt(audit_anchor=8)), audit_anchor=3
    )
    later = but(ADMITTED, job_id="ab" * 16), but(COMPLETED, job_id="ab" * 16, receipt=second)
    found = after_start(TrailAnchored(counter=9), *job(audit_anchor=8), resumed, TrailAnchored(counter=10), *later)
    assert found == [("trail_resumed", 7, "jdoe", "an operator continued the trail")]


def test_a_trail_begins_in_its_first_line_alone() -> None:
    began = TrailStarted(nonce="0e" * 32)
    _, line = append_record(began, head=GENESIS, time=utc_hundredths(START), worker="worker-1")
    identity = read(line).hash
    found = seen(began, *BEGUN, *job(trail=identity), began)
    assert [(each.rule, each.line) for each in found if "trail" in each.rule] == [
        ("trail_started", 1),
        ("trail_started_within", 7),
    ]
    (other,) = [each for each in seen(began, *BEGUN, *job(trail="ab" * 48)) if each.rule == "receipt_contradicts"]
    assert (other.found, other.expected) == ("ab" * 48, identity)


def test_refusals_of_a_trail() -> None:
    refused = TrailRefused(compared_with="counter", expected=1, found=2)
    what = ("trail_refused", 4, "worker-1", "compared with its counter: 1 expected, 2 found")
    unexplained = ("refusal_unexplained", 4, "worker-1", "the trail was refused, and nobody explained it")
    assert after_start(refused) == [what, unexplained]
    assert [each for each in after_start(refused, STARTED) if each[0] == "refusal_unexplained"] == [unexplained]
    resumed = TrailResumed(operator_id="jdoe", explanation="VM replaced")
    assert after_start(refused, resumed) == [what, ("trail_resumed", 5, "jdoe", "an operator continued the trail")]


def checkpoint_after(*events: Event, **changes: Any) -> list[Finding]:
    """Findings in a checkpoint after these lines."""
    tree, watcher, head, found = Frontier(), Watcher(keys={KEY_ID: KEY.public_key()}), GENESIS, list[Finding]()
    for number in range(len(events) + 1):
        note = sign_checkpoint(
            changes.get("tree", watcher.tree), origin=changes.get("origin", origin_of("worker-1")),
            key=changes.get("key", KEY),
        )  # fmt: skip
        own = TrailCheckpoint(note=changes.get("note", note.decode()), receipt_key=changes.get("named", KEY_ID))
        event = events[number] if number < len(events) else own
        head, line = append_record(event, head=head, time=utc_hundredths(START), worker="worker-1")
        found += watcher.see(line, read(line))
    del tree
    changes.get("watchers", []).append(watcher)
    return [each for each in found if each.line == len(events) + 1]


def test_checkpoints() -> None:
    watchers: list[Watcher] = []
    assert checkpoint_after(*BEGUN, watchers=watchers) == []
    (watcher,) = watchers
    assert (watcher.compared, watcher.signed, watcher.verified) == (1, 3, {KEY_ID: 1})
    assert (watcher.state.checkpoints, watcher.state.checkpoint_size) == (1, 3)
    other = Frontier.decode(watcher.tree.encode())
    for changes, fault in (
        ({"origin": origin_of("worker-2")}, "of another trail"),
        ({"tree": Frontier()}, "of 0 lines, but 3 are before it"),
        ({"tree": _changed(BEGUN)}, "lines were changed, removed or added after line 0: it is of others"),
        ({"key": STRANGER}, ""),
        ({"note": "x"}, ""),
    ):
        (found,) = checkpoint_after(*BEGUN, **changes)
        assert (found.rule, found.line) == ("checkpoint_differs", 4)
        assert fault in found.what
        assert found.expected.startswith("3 lines with root ")
    assert [each.rule for each in checkpoint_after(*BEGUN, named=STRANGER_ID)] == ["receipt_key"]
    assert len(other.encode()) == len(watcher.tree.encode())


def _changed(events: tuple[Event, ...]) -> Frontier:
    tree = Frontier()
    for number in range(len(events)):
        tree.append(bytes([number]) * 32)
    return tree


def pruned(first: int, last: int) -> TrailPruned:
    fields = {"root": "01" * 32, "kept_sha384": "02" * 48, "operator_id": "jdoe", "explanation": "schedule"}
    return TrailPruned(first=first, last=last, **fields)


@pytest.mark.parametrize(("first", "last", "wrong"), [(1, 3, False), (1, 4, True), (3, 2, True), (2, 2, False)])
def test_removed_lines(first: int, last: int, wrong: bool) -> None:
    found = after_start(pruned(first, last))
    assert found[0] == ("trail_pruned", 4, "jdoe", "lines were removed")
    assert found[1:] == ([("pruned_wrongly", 4, "worker-1", "lines that are not there")] if wrong else [])


def test_lines_are_removed_after_a_year() -> None:
    """Only the line that records the removal of what was kept is compared with the time of the kept state."""
    before = Watcher()
    head, line = append_record(STARTED, head=GENESIS, time=utc_hundredths(START), worker="worker-1")
    before.see(line, read(line))
    kept = Pruned(
        first_hash=head.hash, last=1, hash=head.hash, offset=len(line), floor=0, resumed=False, policy_serial=0,
        running={}, peaks=tuple(peak.hex() for peak in before.tree.peaks), state=msgspec.Raw(before.save()),
    )  # fmt: skip
    own = msgspec.structs.replace(pruned(1, 1), root=kept.tree().root().hex(), kept_sha384=kept.sha384())
    for event, days, wrong in ((own, 366, False), (own, 365, True), (pruned(1, 1), 365, False)):
        watcher = Watcher.after(kept)
        _, line = append_record(event, head=head, time=utc_hundredths(START + timedelta(days=days)), worker="worker-1")
        rules = [each.rule for each in watcher.see(line, read(line))]
        assert rules == ["trail_pruned", *(["pruned_wrongly"] if wrong else [])]
    for changes in ({"hash": OTHER}, {"peaks": ("ab" * 32,)}, {"state": msgspec.Raw(b"{")}):
        with pytest.raises(ChainError, match="not of the pruned lines"):
            Watcher.after(msgspec.structs.replace(kept, **changes))


def hold(**changes: Any) -> HoldPlaced:
    return HoldPlaced(**{"name": "case-7", "first": 2, "operator_id": "jdoe", "explanation": "order", **changes})


def test_holds() -> None:
    placed = ("hold_placed", 4, "case-7, jdoe", "case-7 was placed")
    lifted = HoldReleased(name="case-7", operator_id="jdoe", explanation="closed")
    assert after_start(hold()) == after_start(hold(last=3)) == [placed]
    details = [seen(*BEGUN, each)[-1].detail for each in (hold(), hold(last=3))]
    assert details == ["lines 2 to the last: order", "lines 2 to 3: order"]
    for wrong in (hold(first=4), hold(last=4), hold(first=3, last=2)):
        what = "case-7 is on lines that are not there"
        assert after_start(wrong) == [placed, ("hold_order", 4, "worker-1", what)]
    again = f"case-7 is in force already, or more than {MAX_HOLDS} holds are"
    assert after_start(hold(), hold())[-1] == ("hold_order", 5, "worker-1", again)
    assert after_start(hold(), lifted)[1:] == [("hold_released", 5, "case-7, jdoe", "case-7 was released")]
    assert after_start(lifted)[1:] == [("hold_order", 4, "worker-1", "case-7 is not in force")]
    assert [rule for rule, *_ in after_start(hold(), lifted, lifted, hold())][-1] == "hold_placed"
    state = State.begin()
    full = Hold(first=1, last=1, line=1, time="", operator_id="jdoe")
    state.holds = {f"case-{number}": full for number in range(100, 100 + MAX_HOLDS)}
    assert named(seen(*BEGUN, hold(), state=state))[-1] == ("hold_order", 4, "worker-1", again)


@pytest.mark.parametrize(
    ("placed", "last", "broken"),
    [
        ({"first": 3}, 2, False),
        ({"first": 2}, 2, True),
        ({"first": 1, "last": 1}, 3, True),
        ({"first": 3, "last": 3}, 2, False),
    ],
)
def test_lines_under_a_hold(placed: dict[str, Any], last: int, broken: bool) -> None:
    rules = [rule for rule, *_ in after_start(hold(**placed), pruned(1, last))]
    assert rules == ["hold_placed", "trail_pruned", *(["hold_broken"] if broken else [])]


def test_times_in_danger() -> None:
    assert after_start(TailRecovered(cut_bytes=7, cut_sha384="ab" * 48)) == [
        ("tail_recovered", 4, "worker-1", "7 bytes")
    ]
    overdue = DeliveryOverdue(destination="siem", cause="late", seconds=900, admits_jobs=True)
    assert after_start(overdue) == [("delivery_overdue", 4, "siem", "late, after 900 seconds")]


def test_the_clock_may_go_on_only() -> None:
    state, back = State.begin(), HostChanged(unmet=())
    found = [each for each in seen(STARTED, back, back, state=state, step=-60) if each.line > 1]
    assert [(each.rule, each.line) for each in found] == [("clock_went_back", 2), ("clock_went_back", 3)]
    assert (state.clock_went_back, [each.line for each in state.steps_back]) == (2, [2, 3])
    many = State.begin()
    seen(*[back] * (MAX_STEPS_BACK + 3), state=many, step=-60)
    assert (many.clock_went_back, len(many.steps_back)) == (MAX_STEPS_BACK + 2, MAX_STEPS_BACK)


def test_lines_of_other_workers() -> None:
    (found,) = [each for each in seen(*BEGUN, ("worker-2", HostChanged(unmet=()))) if each.line == 4]
    assert (found.rule, found.subject) == ("mixed_workers", "worker-1 and worker-2")
    assert (found.found, found.expected) == ("worker-2", "worker-1")
    between: list[Event] = [
        hold(),
        HoldReleased(name="case-7", operator_id="jdoe", explanation="closed"),
        TailRecovered(cut_bytes=7, cut_sha384="ab" * 48),
        TrailAnchored(counter=1),
        pruned(1, 2),
        TrailRefused(compared_with="counter", expected=1, found=2),
        TrailResumed(operator_id="jdoe", explanation="VM replaced"),
        STARTED,
    ]
    for event in between:
        rules = {each.rule for each in seen(*BEGUN, ("worker-2", event)) if each.line == 4}
        assert "worker_renamed" in rules
        assert "mixed_workers" not in rules
    (found,) = [each for each in seen(("worker-2", STARTED), STARTED) if each.rule == "worker_renamed"]
    assert (found.line, found.found, found.expected) == (2, "worker-1", "worker-2")
    assert [each.rule for each in seen(("worker-2", HostChanged(unmet=())), STARTED)] == ["worker_renamed", "restarted"]


def test_a_renamed_worker_is_reported_with_every_line() -> None:
    found = seen(*BEGUN, ("worker-2", STARTED), ("worker-2", HostChanged(unmet=())))
    assert [each.line for each in found if each.rule == "worker_renamed"] == [4, 5]


def test_a_state_without_the_first_worker_begins_at_the_last() -> None:
    found = seen(("worker-2", STARTED), state=State(worker="worker-1"))
    (renamed,) = [each for each in found if each.rule == "worker_renamed"]
    assert (renamed.found, renamed.expected) == ("worker-2", "worker-1")


def test_a_broken_rule_has_its_field() -> None:
    (found,) = seen(*BEGUN, ENDED)[1:]
    assert BrokenRuleError(found).field == RULES["job_order"].field
    assert BrokenRuleError(found, field="x").field == "x"
    assert BrokenRuleError(seen(STARTED)[0]).field == ""


READERS = {
    "mixed_workers": ("worker", "chain"),
    "receipt_key": ("receipt_key", "receipt-chain"),
    "checkpoint_differs": ("checkpoint", "chain"),
    "anchor_went_back": ("event", "anchors"),
    "job_order": ("event", "outcomes"),
    "completed_again": ("event", "replays"),
    "receipt_contradicts": ("receipt", "receipt-chain"),
    "receipt_admission": ("receipt", "receipt-chain"),
    "receipt_sequence": ("receipt", "receipt-chain"),
    "receipt_anchor": ("receipt", "receipt-chain"),
    "receipt_evidence": ("receipt", "attested-machines"),
    "receipt_configuration": ("receipt", "changes-recorded"),
    "policy_not_in_force": ("event", "policy-in-force"),
    "bundle_went_back": ("event", "policy-in-force"),
    "key_not_held": ("event", "released-keys"),
    "release_evidence": ("event", "attested-machines"),
    "hold_order": ("hold", "chain"),
    "hold_broken": ("hold", "chain"),
    "pruned_wrongly": ("pruned", "chain"),
    "trail_started_within": ("event", "chain"),
    "worker_renamed": (None, "chain"),
    "refusal_unexplained": (None, "trail-incidents"),
    "admitted_while_unmet": (None, "host-profile"),
    "clock_went_back": (None, "time-stamps"),
    "audit_outage": (None, "audit-failures"),
    "unattributed": (None, "attribution"),
    "no_outcome": (None, "outcomes"),
}
"""By rule: the field that `cji audit verify` stops with, and the check of a packet that it fails."""


def test_what_each_reader_does_with_a_rule() -> None:
    assert {name: (rule.field, rule.topic) for name, rule in RULES.items() if rule.field or rule.topic} == READERS


OF_SEVERITY = {
    "alert": """
        head_differs mixed_workers receipt_key checkpoint_differs anchor_went_back job_order completed_again
        receipt_contradicts receipt_admission receipt_sequence receipt_anchor receipt_evidence
        receipt_configuration receipt_without_event receipt_copy confirmation_differs policy_not_in_force
        bundle_went_back key_not_held
        release_evidence hold_order hold_broken pruned_wrongly trail_started_within worker_renamed
        anchor_after_resumption trail_refused refusal_unexplained trail_resumed trail_pruned hold_released
        witnesses_disagreed witnesses_lost simulated admitted_while_unmet release_policy_changed delivery_overdue
        statements_refused ticket_refused
    """,
    "warning": """
        ticket_poisoned clock_went_back suspect_refusals replayed release_failed attestation_failed
        host_conditions audit_unavailable audit_outage mass_release_rows mass_release_chri
        mass_release_subjects mass_release_operator growth off_hours unattributed no_outcome
        new_secondary_recipient new_recipient reload_refused crashed tail_recovered silence no_lines
        not_anchored no_checkpoint event_without_receipt unreadable_receipt confirmation_refused too_many_names
    """,
    "notice": """
        refusals failures new_chip new_submitter new_operator new_purpose new_operation new_risk trail_started
        hold_placed files_changed log_policy_changed start_changed restarted down key_expired release_policy_open
        no_host_profile unfinished other_workers unknown_kind
    """,
}


def test_rules_by_severity() -> None:
    """In the order of a report."""
    found = {severity: [name for name, rule in RULES.items() if rule.severity == severity] for severity in OF_SEVERITY}
    assert found == {severity: names.split() for severity, names in OF_SEVERITY.items()}
    assert sum(map(len, found.values())) == len(RULES)
