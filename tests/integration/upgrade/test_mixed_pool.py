"""A rolling upgrade and its roll-back, in a pool whose workers are of two versions: the earlier one comes from git.

Every claim of "What stays compatible" about a pool is one phase: tickets, attempts, ends, receipts, trails, replays.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cji_core.errors import Reason
from cji_core.trail import JobAdmitted, JobCompleted, WorkerStarted
from cji_simulator.raw import RawWorker
from cji_simulator.releases import WORKING_TREE, Release
from cji_simulator.simulation import Simulation
from tests.support.earlier_version import WORKER, Cji, earlier_version, write_trust
from tests.support.fleet_bench import Member, Pool, eventually, raw_of
from tests.support.fleet_storage import pool_storage
from tests.support.simulations import simulated

pytestmark = pytest.mark.timeout(900)

_PEOPLE = "last,first,SOC\n" + "".join(f"NAME{n:03d},FIRST{n:03d},{n:09d}\n" for n in range(20))
_JOB = """
[input]
schema = "person/1"
[[operations]]
kind = "deidentify"
project = "p1"
project_key = "p1.json"
[operations.columns]
last = "keep"
first = "drop"
SOC = { do = "hmac_token", domain = "soc" }
"""


@dataclass(kw_only=True)
class Desk:
    """A submitter of the pool, who has the program of both versions."""

    pool: Pool
    folder: Path
    earlier: Cji
    ours: Cji

    def __post_init__(self) -> None:
        at, client = self.pool.storage.azurite, self.pool.members[0].files.profile
        storage = f'[storage]\nblob_url = "{at.blob_url}"\nqueue_url = "{at.queue_url}"\nca_file = "{at.ca_file}"\n'
        for member in self.pool.members:
            text = client.read_text().replace(self.pool.members[0].files.target, member.files.target)
            self.profile(member).write_text(f"{text}\n{storage}")
        (self.folder / "people.csv").write_text(_PEOPLE)
        (self.folder / "job.toml").write_text(_JOB)
        self.ours("key", "project", "p1", self.folder / "p1.json")

    def profile(self, member: Member) -> Path:
        """Its client.toml for this worker."""
        return self.pool.members[0].files.profile.with_name(f"client-{member.number}.toml")

    def run(self, cji: Cji, member: Member, out: str) -> None:
        """A job by a connection."""
        self._job(cji, member, "run", "people.csv", "--spec", self.folder / "job.toml", "--out", self.folder / out)
        self._is_right(out)

    def by_reference(self, *, sealed_by: Cji, fetched_by: Cji, out: str) -> None:
        """A job by reference, which one version submits and the other one fetches."""
        member, folder = self.pool.members[0], self.folder / f"{out}.job"
        self._job(sealed_by, member, "submit", "people.csv", "--spec", self.folder / "job.toml", "--job", folder)
        self._job(fetched_by, member, "fetch", folder, "--wait", "120", "--out", self.folder / out)
        self._is_right(out)

    def verify(self, cji: Cji, out: str) -> None:
        """A receipt, by its evidence."""
        shown = self.folder / out
        cji("receipt", "verify", shown / "receipt.jws", "--evidence", shown / "evidence.json",
            "--profile", self.profile(self.pool.members[0]))  # fmt: skip

    def _job(self, cji: Cji, member: Member, verb: str, what: str | Path, *more: str | Path) -> None:
        cji("job", verb, self.folder / what, *more, "--profile", self.profile(member))

    def _is_right(self, out: str) -> None:
        lines = (self.folder / out / "result.csv").read_text().replace(chr(34), "").splitlines()
        assert [line.split(",")[0] for line in lines] == [line.split(",")[0] for line in _PEOPLE.splitlines()]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return earlier_version(tmp_path_factory.mktemp("earlier") / "code")


@pytest.fixture(scope="module")
def azure(before: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with simulated(tmp_path_factory.mktemp("azure"), release_limit=1000, report_period=0) as found:
        yield found


@pytest.fixture(scope="module")
def pool(before: Release, azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """Two workers of the earlier version; their fleet processes wait for a test."""
    with pool_storage(tmp_path_factory.mktemp("azurite")) as storage:
        pool = Pool(tmp_path_factory.mktemp("pool"), azure, storage, workers=2, program=WORKER, release=before, tries=4)
        try:
            yield pool
        finally:
            pool.close()


@pytest.fixture(scope="module")
def desk(before: Release, azure: Simulation, pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    trust = write_trust(azure.trust, folder / "trust.json")
    return Desk(
        pool=pool, folder=folder, earlier=Cji(release=before, trust=trust), ours=Cji(release=WORKING_TREE, trust=trust)
    )


def halted(pool: Pool, member: Member, step: str) -> str:
    """A job at whose step its fleet process dies; the others do not run."""
    job = pool.seal()
    member.start_fleet(step)
    pool.send(job)
    eventually(member.died)
    return job


def completed(pool: Pool, member: Member, job: str) -> None:
    """The fleet process of this member alone ends the job."""
    member.start_fleet()
    pool.wait(job)
    member.stop_fleet()
    assert pool.receipt(job) is not None


def who(pool: Pool, job: str, kind: type[JobAdmitted] | type[JobCompleted]) -> list[int]:
    """The members whose trail has such a line of the job."""
    return [m.number for m in pool.members for e in m.events if isinstance(e, kind) and e.job_id == job]


def an_attempt_is_taken_over(pool: Pool, begins: Member, ends: Member) -> None:
    """An attempt of one version has no end; the next attempt is of the other one, and counts after it."""
    job = halted(pool, begins, "stage:parts")
    completed(pool, ends, job)
    assert sorted(who(pool, job, JobAdmitted)) == [1, 2]
    assert ends.number in who(pool, job, JobCompleted)


def an_end_is_published(pool: Pool, signs: Member, publishes: Member) -> None:
    """One version made the end and died before it was published: the other one publishes it."""
    job = halted(pool, signs, "create:receipt")
    assert pool.receipt(job) is None
    completed(pool, publishes, job)
    assert who(pool, job, JobCompleted) == [signs.number]


def an_id_is_used_once(pool: Pool, first: Member, second: Member) -> str:
    """A job that ran on one version is no job for the other."""
    job = pool.seal_aside()
    runs_once(pool, job, first, completes=True)
    runs_once(pool, job, second, completes=False)
    return job


def runs_once(pool: Pool, job: str, member: Member, *, completes: bool) -> None:
    with RawWorker.of(pool.site_of(member)) as raw:
        answer = raw.run(raw_of(pool.aside(job)).messages(pool.segments(job)))
    assert (answer.receipt is not None) is completes
    assert completes or answer.reason is Reason.ALREADY_EXISTS


def kept(pool: Pool, member: Member, job: str) -> str:
    """The receipt that the worker still has of a job."""
    with pool.site_of(member).client() as client:
        return client.get_receipt(bytes.fromhex(job))


def exchanged(pool: Pool, desk: Desk, first: Member, second: Member) -> None:
    """What one worker and its submitter begin, those of the other version end."""
    an_end_is_published(pool, first, second)
    an_attempt_is_taken_over(pool, first, second)
    first.start_fleet()
    sealed, fetched = (desk.earlier, desk.ours) if first.release is WORKING_TREE else (desk.ours, desk.earlier)
    desk.by_reference(sealed_by=sealed, fetched_by=fetched, out=f"taken-by-{first.number}")
    first.stop_fleet()


def test_a_rolling_upgrade_and_its_roll_back(pool: Pool, desk: Desk, before: Release) -> None:
    one, two = pool.members
    job = an_id_is_used_once(pool, one, two)
    receipt = kept(pool, one, job)
    desk.run(desk.ours, one, "ours-to-earlier")

    one.become(WORKING_TREE)
    runs_once(pool, job, one, completes=False)
    assert kept(pool, one, job) == receipt
    an_id_is_used_once(pool, two, one)
    later = an_id_is_used_once(pool, one, two)
    desk.run(desk.earlier, one, "earlier-to-ours")
    desk.verify(desk.ours, "earlier-to-ours")
    desk.verify(desk.earlier, "ours-to-earlier")
    for first, second in ((one, two), (two, one)):
        exchanged(pool, desk, first, second)

    receipt = kept(pool, one, later)
    one.become(before, WORKER)
    for known in (job, later):
        runs_once(pool, known, one, completes=False)
    assert kept(pool, one, later) == receipt
    an_id_is_used_once(pool, one, two)

    one.become(WORKING_TREE)
    an_id_is_used_once(pool, one, two)
    started = [event.code_sha384 for event in one.events if isinstance(event, WorkerStarted)]
    assert len(started) == 4
    assert started[:2] == started[2:]
    assert len(set(started)) == 2
    pool.close()
    pool.check()
