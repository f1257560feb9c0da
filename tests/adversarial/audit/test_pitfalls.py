"""Rows of the pitfall list that the audit room answers for; the row's id is in the test's name."""

import resource
from pathlib import Path

import msgspec
import pytest

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job import Header, parse
from cji_core.trail import Attributed, ChainError, Event, JobRefused, WorkerStarted
from cji_worker.keyholder.replay import ReplayProtection
from tests.support.audit_events import admitted, completed, ended, opened
from tests.support.job_headers import make
from tests.support.refusals import refused

HEADER, ALTERED = parse(make()), parse(make(audience="another"))
JOB, ONE, TWO = HEADER.job_id, HEADER.sha384, ALTERED.sha384


def restarted(path: Path, header: Header) -> Reason | None:
    """Why a worker that starts anew on this trail does not let the job begin; None where it does."""
    with opened(path) as trail:
        ledger = ReplayProtection(trail)
        try:
            ledger.check(header)
        except Refusal as refusal:
            return refusal.reason
    return None


@pytest.mark.parametrize(
    ("events", "same", "other"),
    [
        ([], None, None),
        ([admitted(JOB, ONE)], None, Reason.REPLAYED),
        ([admitted(JOB, ONE), ended(JOB, ONE)], None, Reason.REPLAYED),
        ([admitted(JOB, ONE), completed(JOB, ONE)], Reason.ALREADY_EXISTS, Reason.REPLAYED),
    ],
)
def test_f06_a_replay_after_a_restart_is_refused(
    tmp_path: Path, events: list[Event], same: Reason | None, other: Reason | None
) -> None:
    with opened(tmp_path / "audit") as trail:
        for event in events:
            trail.append(event)
    assert restarted(tmp_path / "audit", HEADER) is same
    assert restarted(tmp_path / "audit", ALTERED) is other


def test_f06_a_ledger_that_cannot_be_read_starts_no_worker(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    with opened(path) as trail:
        trail.append(admitted(JOB, ONE))
        trail.append(completed(JOB, ONE))
    path.write_bytes(path.read_bytes()[1:])
    with refused(Reason.AUDIT_UNAVAILABLE) as caught:
        restarted(path, HEADER)
    assert isinstance(caught.value.__cause__, ChainError)


def test_f06_a_refusal_alone_does_not_use_up_a_job_id(tmp_path: Path) -> None:
    """Else anybody could burn the ids of others by sending them with a bad signature."""
    with opened(tmp_path / "audit") as trail:
        trail.append(
            JobRefused(
                source="127.0.0.1:5000",
                stage=Stage.ADMIT,
                reason=Reason.HEADER_SIGNATURE_INVALID,
                correlation_id="c",
                job_id=JOB.hex(),
                header_sha384=TWO.hex(),
            )
        )
    assert restarted(tmp_path / "audit", HEADER) is None


def test_o04_a_trail_without_room_takes_no_job_and_forgets_none(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(path) as trail:
        trail.append(admitted(JOB, ONE))
        trail.append(completed(JOB, ONE))
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, before[1]))
        try:
            with refused(Reason.AUDIT_UNAVAILABLE):
                trail.append(msgspec.structs.replace(admitted(JOB, ONE), job_id="00" * 16))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert not trail.writable()
    assert restarted(path, HEADER) is Reason.ALREADY_EXISTS


def test_f07_a_completion_under_another_header_is_never_written(tmp_path: Path) -> None:
    with opened(tmp_path / "audit") as trail:
        trail.append(admitted(JOB, ONE))
        with pytest.raises(ValueError, match="out of order"):
            trail.append(completed(JOB, TWO))
        assert trail.completion(JOB) is None


def test_l01_events_have_no_place_for_free_text() -> None:
    """Every text member has a pattern; people fill in those that AU-3(1) names, and why a trail was resumed.

    The path of a master key is text that an agency signed, and its policy grants. A short receipt has the name of the
    cryptographic module, and the project of a table with noise, which the header states.
    """
    free = {"operator_id", "requestor", "secondary_recipient", "explanation", "key_path", "name", "project"}
    kinds = msgspec.json.schema(Event)["$defs"]
    patterns = {
        name: member["pattern"]
        for kind in kinds.values()
        for name, member in kind.get("properties", {}).items()
        if member.get("type") == "string"
    }
    untyped = [
        (kind, name)
        for kind, shape in kinds.items()
        for name, member in shape.get("properties", {}).items()
        if member.get("type") == "string" and "pattern" not in member
    ]
    assert untyped == []
    assert free <= patterns.keys()
    assert {name for name, pattern in patterns.items() if pattern.startswith("^[^")} == free


@pytest.mark.parametrize("text", ["line\nbreak", "\x1b[31mred", "nul\0", "\u202eltr", "\u2028separator", "x" * 257, ""])
def test_l01_log_injection_through_header_texts_is_not_written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "audit"
    by = Attributed(operator_id="op", requestor=text, secondary_recipient="")
    with opened(path) as trail:
        with pytest.raises(ValueError, match="out of shape"):
            trail.append(msgspec.structs.replace(admitted(JOB, ONE), attribution=by))
        assert path.read_bytes() == b""


def test_l02_refusal_for_a_broken_sink_carries_no_path_or_text(tmp_path: Path) -> None:
    path = tmp_path / "canary-path"
    path.mkdir()
    with refused(Reason.AUDIT_UNAVAILABLE) as caught:
        opened(path)
    assert "canary" not in f"{caught.value} {caught.value!r}"


def test_s05_a_simulated_start_says_so_in_the_trail(tmp_path: Path) -> None:
    digest = "00" * 48
    with opened(tmp_path / "audit") as trail:
        record = trail.append(
            WorkerStarted(
                version="0.1.0",
                code_sha384=digest,
                config_sha384=digest,
                policy_sha384=digest,
                simulated=True,
                host_profile="none",
            )
        )
    assert isinstance(record.event, WorkerStarted)
    assert b'"simulated":true' in (tmp_path / "audit").read_bytes()
