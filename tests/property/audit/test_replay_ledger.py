"""The ledger is a function of the trail: followed, lost in a crash or built again, and as an obvious twin has it."""

import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cji_core.errors import Refusal
from cji_core.jose import key_id
from cji_core.trail import Event, JobAdmitted, TrailAnchored, TrailCheckpoint, TrailResumed, utc_hundredths
from cji_core.trail.checkpoint import sign_checkpoint
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.trail import lines
from cji_worker.trail.file import AuditFile
from cji_worker.trail.replay_ledger import DAYS, RETENTION_S, JobState
from tests.support import audit_events
from tests.support.audit_events import ledger_of
from tests.support.trails import attested

START = datetime(2026, 11, 24, 15, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = ec.generate_private_key(ec.SECP384R1())
WHO = {"submitter": "metro-pd", "ori": "WI0130000"}
IDS = [bytes([number]) * 16 for number in range(6)]
HEADERS = [bytes([number]) * 48 for number in range(2)]
OTHERS = ["anchor", "checkpoint", "resume", "attest", "crash", "restart"]

steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["admit", "complete", "end"]), st.sampled_from(IDS), st.sampled_from(HEADERS)),
        st.tuples(st.just("clock"), st.integers(-50, 100) | st.sampled_from([-800, 800]), st.none()),
        st.tuples(st.sampled_from(OTHERS), st.none(), st.none()),
    ),
    max_size=40,
)


class Twin:
    """All of it in dictionaries: state, header digest and not_after by job; entries leave with an admission."""

    def __init__(self) -> None:
        self.jobs: dict[bytes, tuple[JobState, bytes, datetime]] = {}
        self.floor = 0
        self.anchor: int | None = None
        self.uncovered = self.resumed = False
        self.admitted: dict[date, int] = {}

    def accepts(self, kind: str, job: bytes, header: bytes) -> bool:
        known = self.jobs.get(job)
        if kind == "admit":
            return known is None or known[:2] == (JobState.ENDED, header)
        return known is not None and known[:2] == (JobState.ADMITTED, header)

    def admit(self, job: bytes, header: bytes, now: datetime) -> None:
        day = now.date()
        if job not in self.jobs:  # else it counted with its first attempt
            self.admitted[day] = self.admitted.get(day, 0) + 1
        self.jobs[job] = (JobState.ADMITTED, header, now + HOUR)
        self.admitted = {each: n for each, n in self.admitted.items() if each >= day - timedelta(days=DAYS)}
        limit = now - timedelta(seconds=RETENTION_S)
        for left in [j for j, (state, _, end) in self.jobs.items() if state is not JobState.ADMITTED and end < limit]:
            self.floor = max(self.floor, int(self.jobs.pop(left)[2].timestamp()))

    def finish(self, job: bytes, state: JobState) -> None:
        self.jobs[job] = (state, *self.jobs[job][1:])


class Run:
    def __init__(self, folder: str) -> None:
        self.path, self.now, self.twin, self.anchors = Path(folder) / "audit", START, Twin(), 0
        self.days = {START.date()}
        self.trail = self.opened()

    def opened(self) -> AuditFile:
        return AuditFile(self.path, worker="w", clock=lambda: self.now, segment_bytes=1)

    def step(self, kind: str, what: bytes | int | None, header: bytes | None) -> None:
        match kind, what:
            case "clock", int(hours):
                self.now += hours * HOUR
                self.days.add(self.now.date())
            case "anchor", _:
                self.anchors += 1
                self.trail.append(TrailAnchored(counter=self.anchors))
                self.twin.anchor = self.anchors
            case "checkpoint", _:
                note = sign_checkpoint(self.trail.tree, origin="cji-worker/w", key=KEY).decode()
                self.trail.append(TrailCheckpoint(note=note, receipt_key=key_id(KEY.public_key())))
                self.twin.uncovered = False
                self.trail.rotate()
            case "resume", _:
                self.trail.append(TrailResumed(operator_id="op", explanation="why"))
                self.twin.resumed = self.twin.uncovered = True
            case "attest", _:
                self.trail.append(attested(key_id(KEY.public_key())))
                if self.twin.resumed:
                    self.twin.floor = max(self.twin.floor, int(self.now.timestamp()))
                self.twin.resumed, self.twin.uncovered = False, True
            case "crash", _:
                self.trail._ledger.close()  # what was not committed is lost
                self.trail._storage.close()
                self.trail = self.opened()
            case "restart", _:
                self.trail.close()
                self.trail = self.opened()
            case _, bytes(job):
                assert header is not None
                self._job(kind, job, header)

    def _job(self, kind: str, job: bytes, header: bytes) -> None:
        events: dict[str, Event] = {
            "admit": audit_events.admitted(job, header, not_after=utc_hundredths(self.now + HOUR)),
            "complete": audit_events.completed(job, header),
            "end": audit_events.ended(job, header),
        }
        event = events[kind]
        accepted = self.twin.accepts(kind, job, header)
        try:
            self.trail.append(event)
        except (ValueError, Refusal):
            assert not accepted
            return
        assert accepted
        self.twin.uncovered = True
        if isinstance(event, JobAdmitted):
            self.twin.admit(job, header, self.now)
        else:
            self.twin.finish(job, JobState.COMPLETED if kind == "complete" else JobState.ENDED)

    def compare(self) -> None:
        entries = {job: self.trail.entry(job) for job in IDS}
        found = {job: (entry.state, entry.header_sha384) for job, entry in entries.items() if entry}
        assert found == {job: entry[:2] for job, entry in self.twin.jobs.items()}
        assert (self.trail.floor, self.trail.resumed) == (self.twin.floor, self.twin.resumed)
        counts = {day: self.trail.admitted(day=day, **WHO) for day in self.days}
        assert {day: count for day, count in counts.items() if count} == self.twin.admitted
        assert not self.trail.admitted(day=START.date(), submitter="metro-pd", ori="WI0140000")
        assert self.trail.last_anchor() == self.twin.anchor
        assert self.trail.uncovered is self.twin.uncovered
        tree = Frontier()
        for line in lines(self.path):
            tree.append(leaf_hash(line))
        assert self.trail.tree.encode() == tree.encode()
        unfinished = {bytes.fromhex(event.job_id) for event in self.trail.unfinished()}
        assert unfinished == {job for job, entry in self.twin.jobs.items() if entry[0] is JobState.ADMITTED}


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_the_ledger_follows_its_trail(steps: list[tuple[str, bytes | int | None, bytes | None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Run(folder)
        for step in steps:
            run.step(*step)
        run.compare()
        run.trail.close()
        ledger_of(run.path).unlink()
        run.trail = run.opened()
        run.compare()
        run.trail.close()
