"""Trails that somebody tampered with and signed again: every reader reports the same rules, and says at which line.

Chain and checkpoints are intact in all of them, so only the rules can tell. `verify`, `review`, `packet` and
`receipt verify` read the same file.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from click.testing import CliRunner

from cji_audit.packet.material import Period
from cji_audit.packet.survey import survey
from cji_audit.review import Context, Settings, Week, head_of_checkpoint, review
from cji_client.errors import Unverified
from cji_client.verbs.receipt_trail import require_in_trail
from cji_core.bundle_name import BundleName
from cji_core.command import build
from cji_core.errors import Reason
from cji_core.trail import (
    Event,
    Expected,
    FileDigests,
    FilesReloaded,
    HoldPlaced,
    HoldReleased,
    HostChanged,
    JobCompleted,
    KeyDropped,
    ReceiptError,
    TrailAnchored,
    TrailCheckpoint,
    TrailPruned,
    TrailRefused,
    TrailResumed,
    TrailStarted,
    WorkerNotReady,
    read,
    verify_receipt,
)
from cji_core.trail.checkpoint import sign_checkpoint
from cji_core.trail.rules import RULES
from tests.support.audit_events import admitted, completed, ended
from tests.support.trails import HEADER, Writer, attested, job_id, released, started

PERIOD: Final = Period(first=date(2026, 11, 23), last=date(2026, 11, 29))
JOB: Final = 9
OTHER: Final = "ee" * 48
KEK: Final = "https://v.vault.azure.net/keys/cmk/" + "cd" * 16
Attack = Callable[[Writer], object]
ATTACKS: Final[dict[str, tuple[Attack, frozenset[str]]]] = {}


def attack(*rules: str) -> Callable[[Attack], Attack]:
    def register(found: Attack) -> Attack:
        ATTACKS[found.__name__] = found, frozenset(rules)
        return found

    return register


def receipt_with(rule: str, name: str, **claims: Any) -> None:
    """A receipt of the worker's own key, in which these claims are others."""

    def put(writer: Writer) -> None:
        writer.add(admitted(job_id(JOB), HEADER))
        writer.complete(JOB, writer.receipt(JOB, **claims))

    ATTACKS[name] = put, frozenset((rule,))


receipt_with("receipt_admission", "receipt of another key version", kek_id=KEK)
receipt_with("receipt_admission", "receipt of other operations", operations=("link",))
receipt_with("receipt_admission", "receipt for other recipients", recipients=("B" * 43,))
receipt_with("receipt_admission", "receipt of another originating agency", originating_ori="TX0290000")
receipt_with("receipt_contradicts", "receipt of another job", job_id="dd" * 16)
receipt_with("receipt_contradicts", "receipt of another worker", worker="worker-2")
receipt_with("receipt_configuration", "receipt of other code", code_sha384=OTHER)
receipt_with("receipt_configuration", "receipt of another configuration", config_sha384=OTHER)
receipt_with("receipt_configuration", "receipt of another policy", policy_sha384=OTHER)
receipt_with("receipt_evidence", "receipt of another machine", evidence_sha384=OTHER)
receipt_with("receipt_sequence", "receipt that skips a number", sequence=5)
receipt_with("receipt_sequence", "receipt that repeats a number", sequence=3)
receipt_with("receipt_sequence", "receipt after another one", previous_sha384=OTHER)
receipt_with("receipt_anchor", "receipt of an anchor that was not reached", audit_anchor=1000)
receipt_with("receipt_anchor", "receipt of an anchor below the one before", audit_anchor=1)


@attack("receipt_contradicts", "receipt_admission")
def receipt_for_another_agency(writer: Writer) -> None:
    writer.add(admitted(job_id(JOB), HEADER))
    writer.complete(JOB, writer.receipt(JOB, requesting_ori="TX0290000"))


@attack("receipt_key")
def receipt_by_another_key(writer: Writer) -> None:
    writer.add(admitted(job_id(JOB), HEADER))
    true, writer.key = writer.key, Writer().key
    writer.complete(JOB)
    writer.key = true


@attack("receipt_contradicts")
def receipt_that_is_none(writer: Writer) -> None:
    writer.add(admitted(job_id(JOB), HEADER))
    writer.add(completed(job_id(JOB), HEADER, receipt="a.b.c"))


@attack("completed_again")
def job_completed_twice(writer: Writer) -> None:
    for _ in range(2):
        writer.add(admitted(job_id(JOB), HEADER))
        writer.complete(JOB)


@attack("job_order")
def end_without_admission(writer: Writer) -> None:
    writer.add(ended(job_id(JOB), HEADER))


@attack("job_order")
def job_admitted_twice(writer: Writer) -> None:
    writer.add(admitted(job_id(JOB), HEADER))
    writer.add(admitted(job_id(JOB), HEADER))
    writer.add(ended(job_id(JOB), HEADER))


@attack("job_order")
def end_of_another_header(writer: Writer) -> None:
    writer.add(admitted(job_id(JOB), HEADER))
    writer.add(ended(job_id(JOB), bytes(48)))


@attack("policy_not_in_force")
def job_under_another_policy(writer: Writer) -> None:
    writer.add(msgspec.structs.replace(admitted(job_id(JOB), HEADER), policy_sha384=OTHER))
    writer.add(ended(job_id(JOB), HEADER))


@attack("policy_not_in_force")
def reload_of_another_policy(writer: Writer) -> None:
    before, after = (FileDigests(policy_file=text, client_roots="12" * 48) for text in (OTHER, "09" * 48))
    writer.add(FilesReloaded(by="command", uid=0, before=before, after=after))


@attack("bundle_went_back")
def reload_of_an_earlier_bundle(writer: Writer) -> None:
    """Files of a bundle, then of an earlier one, then of none."""
    same = FileDigests(policy_file="09" * 48, client_roots="12" * 48)
    for serial in (8, 7):
        bundle = BundleName(serial=serial, sha384=f"{serial:02}" * 48)
        writer.add(FilesReloaded(by="command", uid=0, before=same, after=same, bundle=bundle))


@attack("key_not_held")
def job_under_a_dropped_key(writer: Writer) -> None:
    writer.add(KeyDropped(kek_id=released().kek_id, cause="stopped"))
    writer.add(admitted(job_id(JOB), HEADER))
    writer.add(ended(job_id(JOB), HEADER))


@attack("release_evidence")
def key_released_to_another_machine(writer: Writer) -> None:
    writer.add(msgspec.structs.replace(released(), evidence_sha384=OTHER))


@attack("receipt_key")
def evidence_of_another_key(writer: Writer) -> None:
    writer.key = Writer().key
    writer.add(attested(writer.key_id))


@attack("anchor_went_back")
def anchor_again(writer: Writer) -> None:
    writer.add(TrailAnchored(counter=writer.anchor))


@attack("mixed_workers")
def line_of_another_worker(writer: Writer) -> None:
    writer.worker = "worker-2"
    writer.refuse(JOB)
    writer.worker = "worker-1"


@attack("checkpoint_differs")
def checkpoint_of_another_trail(writer: Writer) -> None:
    note = sign_checkpoint(writer.tree, origin="cji-worker/worker-2", key=writer.key)
    writer.add(TrailCheckpoint(note=note.decode(), receipt_key=writer.key_id))


@attack("hold_order")
def release_of_no_hold(writer: Writer) -> None:
    writer.add(HoldReleased(name="case-7", operator_id="jdoe", explanation="closed"))


@attack("hold_order")
def hold_on_lines_that_are_not_there(writer: Writer) -> None:
    writer.add(HoldPlaced(name="case-7", first=1000, operator_id="jdoe", explanation="order"))


def pruned(last: int) -> TrailPruned:
    fields = {"root": "01" * 32, "kept_sha384": "02" * 48, "operator_id": "jdoe", "explanation": "schedule"}
    return TrailPruned(first=1, last=last, **fields)


@attack("hold_broken")
def lines_under_a_hold_removed(writer: Writer) -> None:
    writer.add(HoldPlaced(name="case-7", first=1, operator_id="jdoe", explanation="order"))
    writer.add(pruned(2))


@attack("pruned_wrongly")
def lines_removed_that_are_not_there(writer: Writer) -> None:
    writer.add(pruned(1000))


# ---- no errors: the trail stays in order, and every reader reports them


@attack("clock_went_back")
def clock_set_back(writer: Writer) -> None:
    writer.refuse(JOB)
    writer.add(TrailAnchored(counter=writer.anchor + 1), seconds=-3600)


@attack("unattributed")
def job_without_an_operator(writer: Writer) -> None:
    writer.add(msgspec.structs.replace(admitted(job_id(JOB), HEADER), attribution=None))
    writer.add(ended(job_id(JOB), HEADER))


@attack("admitted_while_unmet")
def job_on_an_open_host(writer: Writer) -> None:
    writer.add(HostChanged(unmet=("bpf",)))
    writer.job(JOB)


@attack("refusal_unexplained")
def refusal_that_nobody_explained(writer: Writer) -> None:
    writer.add(TrailRefused(compared_with="counter", expected=1, found=2))
    writer.start()


@attack("audit_outage")
def outage_of_three_hours(writer: Writer) -> None:
    writer.add(WorkerNotReady(reason=Reason.AUDIT_UNAVAILABLE, condition="trail"))
    writer.add(TrailAnchored(counter=writer.anchor + 1), seconds=3 * 3600)


@attack("no_outcome")
def job_that_never_ends(writer: Writer) -> None:
    writer.add(admitted(job_id(JOB), HEADER))
    writer.add(TrailAnchored(counter=writer.anchor + 1), seconds=2 * 86_400)


@attack("worker_renamed")
def worker_with_another_name(writer: Writer) -> None:
    writer.worker = "worker-2"
    writer.add(started())


@attack("trail_started_within")
def trail_within_a_trail(writer: Writer) -> None:
    writer.add(TrailStarted(nonce="0e" * 32))


@attack("anchor_after_resumption")
def lower_anchor_after_a_resumption(writer: Writer) -> None:
    writer.add(TrailResumed(operator_id="jdoe", explanation="VM replaced"))
    writer.add(TrailAnchored(counter=1))


def tampered(name: str, path: Path) -> Writer:
    """The trail of an attack. Where its tree is the true one, a checkpoint follows that signs it."""
    writer = Writer()
    writer.start()
    for number in range(3):
        writer.job(number)
    ATTACKS[name][0](writer)
    writer.checkpoint()
    writer.write(path)
    return writer


def by_verify(path: Path) -> set[str]:
    answer = CliRunner().invoke(build(), ["audit", "verify", str(path), "--json"])
    if answer.exit_code == 0:
        return {rule for rule in json.loads(answer.stdout)["findings"] if reported(rule)}
    assert answer.exit_code == 3
    refused = json.loads(answer.stderr)
    assert RULES[refused["check"]].is_error
    return {refused["check"]}


def by_review(path: Path) -> set[str]:
    about = Context(week=Week.parse("2026-W48"), settings=Settings(), software="cji 1", complete=True)
    return {each.rule for each in review([path], about).findings if reported(each.rule)}


def by_packet(path: Path) -> set[str]:
    return {each.rule for each in survey(path, PERIOD).trail.incidents}


def event_of(line: bytes) -> Event:
    return read(line).event


def reported(rule: str) -> bool:
    """Whether it is an error, or a finding that a packet has: the others are for the review of a week."""
    return RULES[rule].is_error or RULES[rule].topic is not None or rule == "anchor_after_resumption"


@pytest.mark.parametrize("name", ATTACKS)
def test_every_reader_reports_the_same_rules(tmp_path: Path, name: str) -> None:
    path = tmp_path / "audit.log"
    tampered(name, path)
    expected = ATTACKS[name][1]
    errors = {rule for rule in expected if RULES[rule].is_error}
    assert by_review(path) == expected
    assert by_packet(path) == {rule for rule in expected if RULES[rule].topic}
    found = by_verify(path)
    assert found <= expected
    assert (found if not errors else found & errors) == (expected if not errors else found)
    assert bool(found) == bool(expected)


def test_a_true_trail_has_no_finding(tmp_path: Path) -> None:
    ATTACKS["nothing"] = lambda _: None, frozenset()
    tampered("nothing", tmp_path / "a")
    del ATTACKS["nothing"]
    assert by_verify(tmp_path / "a") == by_review(tmp_path / "a") == by_packet(tmp_path / "a") == set()


@pytest.mark.parametrize("name", [name for name in ATTACKS if "receipt" in name])
def test_receipt_verify_reports_the_rule_of_its_line(tmp_path: Path, name: str) -> None:
    """The receipt itself; one that its signature already refuses, by a true receipt of the same trail."""
    path = tmp_path / "audit.log"
    key = tampered(name, path).key.public_key()
    verified = []
    for event in (read(line).event for line in path.read_bytes().splitlines(keepends=True)):
        if isinstance(event, JobCompleted):
            with suppress(ReceiptError):
                verified.append(verify_receipt(event.compact, key=key, expected=Expected(simulated=False)))
    with pytest.raises(Unverified) as caught:
        require_in_trail(verified[-1:], path, key)
    assert caught.value.check in ATTACKS[name][1]


def test_receipt_verify_requires_the_very_receipt_in_the_trail(tmp_path: Path) -> None:
    writer = Writer()
    writer.start()
    writer.job(1)
    key, path = writer.key.public_key(), writer.write(tmp_path / "audit.log")
    (text,) = [event.compact for event in map(event_of, writer.lines) if isinstance(event, JobCompleted)]
    expected = Expected(simulated=False)
    require_in_trail([verify_receipt(text, key=key, expected=expected)], path, key)
    writer.sequence, writer.previous = 0, "0" * 96
    again = writer.receipt(1, audit_anchor=41)
    assert again.rpartition(".")[0] == text.rpartition(".")[0]
    for other, rule in ((again, "receipt_copy"), (writer.receipt(2), "receipt_without_event")):
        with pytest.raises(Unverified) as caught:
            require_in_trail([verify_receipt(other, key=key, expected=expected)], path, key)
        assert caught.value.check == rule


def test_a_cut_trail_differs_from_a_kept_checkpoint(tmp_path: Path) -> None:
    writer = Writer()
    writer.start()
    writer.job(1)
    note = tmp_path / "kept"
    note.write_bytes(writer.note())
    path = writer.write(tmp_path / "audit.log", writer.lines[:-2])
    answer = CliRunner().invoke(build(), ["audit", "verify", str(path), "--checkpoint", str(note), "--json"])
    assert json.loads(answer.stderr)["check"] == "head_differs"
    about = Context(
        week=Week.parse("2026-W48"),
        settings=Settings(),
        software="cji 1",
        complete=True,
        heads=(head_of_checkpoint(note),),
    )
    assert "head_differs" in {each.rule for each in review([path], about).findings}
    assert not survey(path, PERIOD, sizes={len(writer.lines)}).trail.roots
