"""Revoked and removed callers lose what they have within one reload; files that cannot be used change nothing."""

import hashlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cji_core.errors import Reason, Stage
from cji_core.trail import FilesReloaded, JobAdmitted, JobCompleted, JobEnded, JobRefused, ReloadRefused, WorkerStarted
from cji_core.trail.claims import Claims
from cji_core.trail.receipts import claims_unverified
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.certificates import authority, leaf, pem, private_pem
from cji_simulator.raw import RawJob, RawStream, events, forge, settled, until
from cji_simulator.site import people
from tests.adversarial.peers.stopped_process import stopped
from tests.support.neighbours import FIRST, SECOND, STRANGER, Neighbours, neighbours, san
from tests.support.privileges import sees_processes
from tests.support.revocation import crl

SERVICE = "cji.worker.v1.CjiWorker"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    with neighbours(tmp_path_factory.mktemp("rl"), cells=2, revocable=True, queue_seconds=30) as found:
        yield found


@pytest.fixture(autouse=True)
def as_it_was(town: Neighbours) -> Iterator[None]:
    """Every test leaves the files, and what is in force, as it found them; nothing was restarted."""
    names = ("policy.toml", "client-roots.pem", "client-crl.pem")
    before = {name: (town.site.files.folder / name).read_bytes() for name in names}
    pids = town.site.worker.pids
    yield
    for name, data in before.items():
        (town.site.files.folder / name).write_bytes(data)
    until(lambda: town.cji("reload")[0] == 0)  # one that a signal asked for may still run
    town.site.worker.door.reload(town.site.worker.config)
    assert works_for(town, FIRST)
    assert works_for(town, SECOND)
    assert town.site.worker.process.poll() is None
    assert all(Path(f"/proc/{pid}").exists() for pid in pids.values())


def job_of(town: Neighbours, name: str) -> RawJob:
    return forge(town.site, signing_key=town.signing[name])


def works_for(town: Neighbours, name: str) -> bool:
    job = job_of(town, name)
    with town.raw(name) as raw:
        return raw.run(job.messages(job.stream(people(2))), timeout=20).receipt is not None


def begin(stream: RawStream, job: RawJob) -> None:
    assert stream.begin(job.open()).WhichOneof("message") == "accepted"


def end_of(town: Neighbours, job: RawJob) -> Reason:
    """The reason in the line about the end of a job."""
    digest = hashlib.sha384(job.header).hexdigest()

    def found() -> Reason | None:
        ends = (e for e in events(town.site) if isinstance(e, JobEnded | JobRefused) and e.header_sha384 == digest)
        return next((end.reason for end in ends), None)

    return until(found)


def reason_of(call: Callable[[], object]) -> str:
    with pytest.raises(grpc.RpcError) as error:
        call()
    return (error.value.details() or "").partition(":")[0]


def without(town: Neighbours, name: str) -> None:
    """Take a submitter out of the policy file."""
    path = town.site.files.policy
    head, *blocks = path.read_text().split("[[submitters]]\n")
    path.write_text("[[submitters]]\n".join([head, *(block for block in blocks if name not in block)]))


# ------------------------------------------------------------------ revoked certificates


def test_k08_a_revoked_certificate_loses_its_next_call(town: Neighbours) -> None:
    """On the connection that it has, and on a new one; health included. The other submitter notices nothing."""
    with town.raw(FIRST) as raw:
        assert raw.stub.Describe(pb.DescribeRequest(), timeout=60).operations
        town.revoke(FIRST)
        assert raw.stub.Describe(pb.DescribeRequest(), timeout=60).operations  # not before the reload
        town.reload()
        assert reason_of(lambda: raw.stub.Describe(pb.DescribeRequest(), timeout=60)) == Reason.CERTIFICATE_REFUSED
        health = health_pb2_grpc.HealthStub(raw.channel)
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        assert reason_of(lambda: health.Check(request, timeout=60)) == Reason.CERTIFICATE_REFUSED
    with town.raw(FIRST) as raw:
        job = job_of(town, FIRST)
        answer = raw.run_once(job.messages(job.stream(people(2))))
        assert (answer.reason, answer.stage) == (Reason.CERTIFICATE_REFUSED, Stage.OPEN)
    assert works_for(town, SECOND)


def test_k08_the_running_jobs_of_a_revoked_certificate_end(town: Neighbours) -> None:
    job, other = job_of(town, FIRST), job_of(town, SECOND)
    with town.raw(FIRST) as one, town.raw(SECOND) as two, one.stream() as stream, two.stream() as kept:
        begin(stream, job)
        begin(kept, other)
        watch = health_pb2_grpc.HealthStub(one.channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        town.revoke(FIRST)
        town.reload()
        answer = stream.answer()
        assert (answer.reason, answer.stage, answer.receipt) == (Reason.CERTIFICATE_REFUSED, Stage.COMPUTE, None)
        assert reason_of(lambda: next(watch)) == Reason.CERTIFICATE_REFUSED
        kept.send(*other.messages(other.stream(people(2)))[1:])
        kept.half_close()
        assert kept.answer().receipt
    assert end_of(town, job) is Reason.CERTIFICATE_REFUSED


def test_k08_a_removed_authority_takes_its_callers_along(town: Neighbours) -> None:
    """On an open connection too, which no handshake will look at again."""
    folder, ca = town.site.files.folder, authority("Third Agency CA", ec.generate_private_key(ec.SECP256R1()))
    key = ec.generate_private_key(ec.SECP256R1())
    with town.raw(FIRST) as old:
        assert old.stub.Describe(pb.DescribeRequest(), timeout=60).operations
        (folder / "client-roots.pem").write_bytes(pem(ca.certificate))
        (folder / "client-crl.pem").write_bytes(crl(ca))
        town.reload()
        assert reason_of(lambda: old.stub.Describe(pb.DescribeRequest(), timeout=60)) == Reason.CERTIFICATE_REFUSED
    town.site.worker.door.reload(town.site.worker.config)
    mine = town.folder(SECOND) / "client.pem", town.folder(SECOND) / "client.key"
    before = [path.read_bytes() for path in mine]
    try:
        mine[0].write_bytes(pem(leaf(SECOND, key, ca, uris=[san(SECOND)]).certificate))
        mine[1].write_bytes(private_pem(key))
        assert works_for(town, SECOND)
    finally:
        for path, data in zip(mine, before, strict=True):
            path.write_bytes(data)


def test_o02_a_list_that_expires_stops_the_worker_by_name(town: Neighbours) -> None:
    """Every call is refused, health is withdrawn; a new list brings both back."""
    end = datetime.now(UTC) + timedelta(seconds=4)
    (town.site.files.folder / "client-crl.pem").write_bytes(crl(town.ca, end=end))
    town.reload()
    with town.raw(FIRST) as raw:
        assert raw.stub.Describe(pb.DescribeRequest(), timeout=60).operations
        until(lambda: datetime.now(UTC) > end or None)
        assert reason_of(lambda: raw.stub.Describe(pb.DescribeRequest(), timeout=60)) == Reason.REVOCATION_UNKNOWN
        until(lambda: town.cji("status")[0] == 1)
        (town.site.files.folder / "client-crl.pem").write_bytes(crl(town.ca))
        town.reload()
        assert raw.stub.Describe(pb.DescribeRequest(), timeout=60).operations
        until(lambda: town.cji("status")[0] == 0)


# ------------------------------------------------------------------ removed submitters


def test_p03_a_removed_submitter_loses_its_jobs(town: Neighbours) -> None:
    """Those that run and those that wait for a cell; the receipts of others name the policy of their admission."""
    settled(town.site)
    running, waiting, kept = job_of(town, FIRST), job_of(town, FIRST), job_of(town, SECOND)
    old = hashlib.sha384(town.site.files.policy.read_bytes()).hexdigest()
    with town.raw(FIRST) as one, town.raw(SECOND) as two, ExitStack() as stack:
        first, second, third = (stack.enter_context(raw.stream()) for raw in (one, two, one))
        begin(first, running)
        begin(second, kept)
        third.send(waiting.open())
        until(lambda: '"jobs_waiting": 1' in town.cji("status", "--json")[1])
        without(town, FIRST)
        town.reload()
        ended, refused = first.answer(), third.answer()
        assert (ended.reason, ended.stage) == (Reason.POLICY_DENIED, Stage.COMPUTE)
        assert (refused.reason, refused.accepted) == (Reason.POLICY_DENIED, False)
        second.send(*kept.messages(kept.stream(people(2)))[1:])
        second.half_close()
        receipt = second.answer().receipt
        assert receipt is not None
        assert reason_of(lambda: one.stub.Describe(pb.DescribeRequest(), timeout=60)) == Reason.POLICY_DENIED
    claims: Claims = claims_unverified(receipt)
    assert claims.policy_sha384 == old
    assert {end_of(town, job) for job in (running, waiting)} == {Reason.POLICY_DENIED}
    assert works_for(town, SECOND)
    new = hashlib.sha384(town.site.files.policy.read_bytes()).hexdigest()
    assert [e for e in events(town.site) if isinstance(e, JobAdmitted)][-1].policy_sha384 == new


def test_p03_a_right_that_is_withdrawn_ends_the_jobs_that_use_it(town: Neighbours) -> None:
    """The submitter stays; its signing key, by which the running job was admitted, does not."""
    job = job_of(town, FIRST)
    path = town.site.files.policy
    head, *blocks = path.read_text().split("[[submitters]]\n")
    other = job_of(town, SECOND)
    with town.raw(FIRST) as raw, raw.stream() as stream, town.raw(SECOND) as two, two.stream() as kept:
        begin(stream, job)
        begin(kept, other)
        fresh = ec.generate_private_key(ec.SECP384R1()).public_key()
        text = fresh.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        changed = [
            f"signing_key = {json.dumps(text)}\n{block.partition(chr(10))[2]}" if FIRST in block else block
            for block in blocks
        ]
        path.write_text("[[submitters]]\n".join([head, *changed]))
        town.reload()
        assert stream.answer().reason is Reason.HEADER_SIGNATURE_INVALID
        kept.send(*other.messages(other.stream(people(2)))[1:])
        kept.half_close()
        assert kept.answer().receipt


def test_p04_every_policy_in_force_is_in_the_trail(town: Neighbours) -> None:
    before = hashlib.sha384(town.site.files.policy.read_bytes()).hexdigest()
    without(town, FIRST)
    after = hashlib.sha384(town.site.files.policy.read_bytes()).hexdigest()
    lists = hashlib.sha384((town.site.files.folder / "client-crl.pem").read_bytes()).hexdigest()
    town.reload()
    last = [event for event in events(town.site) if isinstance(event, FilesReloaded)][-1]
    assert (last.by, last.uid) == ("command", os.getuid())
    assert (last.before.policy_file, last.after.policy_file) == (before, after)
    assert last.before.client_crl == last.after.client_crl == lists


# ------------------------------------------------------------------ files that cannot be used

BROKEN: dict[str, Callable[[Path], object]] = {
    "policy.toml": lambda path: path.write_text(path.read_text().replace("operations", "operation")),
    "client-roots.pem": lambda path: path.write_bytes(b""),
    "client-crl.pem": lambda path: path.write_bytes(b""),
}
KEYS = {
    "policy.toml": "policy_file",
    "client-roots.pem": "client_roots",
    "client-crl.pem": "client_crl",
}


def policy_of(town: Neighbours) -> str:
    """The digest of the policy in force by the trail, which the worker states too, within a beat or two."""
    (first,) = (event.policy_sha384 for event in events(town.site) if isinstance(event, WorkerStarted))
    reloads = [event.after.policy_file for event in events(town.site) if isinstance(event, FilesReloaded)]
    found = [first, *reloads][-1]
    until(lambda: json.loads(town.cji("status", "--json")[1])["policy_sha384"] == found)
    return found


@pytest.mark.parametrize("how", ["broken", "absent", "a folder", "without end"])
@pytest.mark.parametrize("name", BROKEN)
def test_p02_one_broken_file_changes_nothing(town: Neighbours, name: str, how: str) -> None:
    """A new policy and a new list stand beside it; neither counts. The fault is named, with a remedy."""
    folder = town.site.files.folder
    town.revoke(SECOND)
    without(town, SECOND)
    path = folder / name
    if how == "broken":
        BROKEN[name](path)
    else:
        path.unlink()
    if how == "a folder":
        path.mkdir()
    if how == "without end":
        path.symlink_to("/dev/zero")
    before = policy_of(town)
    try:
        status, output = town.cji("reload")
    finally:
        if path.is_symlink():
            path.unlink()
        if path.is_dir():
            path.rmdir()
    assert status == 1
    assert f"nothing was reloaded. {KEYS[name]}: " in output
    assert len(output.splitlines()) == 2  # the fault, the remedy
    assert works_for(town, SECOND)
    last = [e for e in events(town.site) if isinstance(e, FilesReloaded | ReloadRefused)][-1]
    assert isinstance(last, ReloadRefused)
    assert (last.file, last.by, last.uid) == (KEYS[name], "command", os.getuid())
    until(lambda: f"refused. {KEYS[name]}: " in town.cji("status")[1])
    assert policy_of(town) == before


def test_a_list_of_another_authority_changes_nothing(town: Neighbours) -> None:
    false = authority("Second Agency CA", ec.generate_private_key(ec.SECP256R1()))  # the name of the true one
    (town.site.files.folder / "client-crl.pem").write_bytes(crl(false))
    status, output = town.cji("reload")
    assert (status, "no authority of client_roots signed" in output) == (1, True)


# ------------------------------------------------------------------ beside load, signals and crowds


@contextmanager
def load(town: Neighbours, threads: int) -> Iterator[list[str | None]]:
    """Both submitters send one job after the other, each of which takes a while; the receipts, None for a loss."""
    receipts: list[str | None] = []
    stop = threading.Event()

    def submit(name: str) -> None:
        with town.raw(name) as raw:
            while not stop.is_set():
                job = job_of(town, name)
                receipts.append(raw.run(job.messages(job.stream(people(5000))), timeout=60).receipt)

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(submit, (FIRST, SECOND)[n % 2]) for n in range(threads)]
        try:
            yield receipts
        finally:
            stop.set()
            for each in running:
                each.result()


def test_a_reload_under_load_loses_no_job(town: Neighbours) -> None:
    """Policy and list change five times while four streams are busy."""
    folder = town.site.files.folder
    text = town.site.files.policy.read_text()
    with load(town, 4) as receipts:
        for number in range(5):
            until(lambda: len(receipts) >= 2 * (number + 1))  # noqa: B023 - used at once
            town.site.files.policy.write_text(f"{text}\n# {number}\n")
            town.revoke(STRANGER)
            town.reload()
        until(lambda: len(receipts) >= 14)
    assert all(receipts), receipts
    digests = {claims_unverified(receipt).policy_sha384 for receipt in receipts if receipt}
    assert len(digests) > 1
    assert folder.exists()


def test_a_signal_reloads_and_its_sender_is_recorded(town: Neighbours) -> None:
    town.revoke(FIRST)
    count = len([e for e in events(town.site) if isinstance(e, FilesReloaded)])
    os.kill(town.site.worker.pids["supervisor"], signal.SIGHUP)

    def new() -> FilesReloaded | None:
        found = [e for e in events(town.site) if isinstance(e, FilesReloaded)]
        return found[-1] if len(found) > count else None

    last = until(new)
    assert (last.by, last.uid) == ("signal", os.getuid())
    with town.raw(FIRST) as raw:
        until(lambda: reason_of(lambda: raw.stub.Describe(pb.DescribeRequest(), timeout=60)) or None)


def test_signals_and_commands_at_once_all_end(town: Neighbours) -> None:
    """Each command gets one answer, and the last state is that of the files."""

    def command(_: int) -> int:
        return town.cji("reload")[0]

    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            os.kill(town.site.worker.pids["supervisor"], signal.SIGHUP)
            statuses = list(pool.map(command, range(4)))
            assert 0 in statuses or 1 in statuses
            assert set(statuses) <= {0, 1}
    until(lambda: town.cji("reload")[0] == 0)


@sees_processes
def test_a_crowd_at_the_control_socket_costs_nobody(town: Neighbours) -> None:
    """Forty connections that are silent or do not read, again and again: status, jobs and reloads go on."""
    path = str(town.site.files.folder / "control.sock")
    stop, made = threading.Event(), [0]

    def crowd() -> None:
        while not stop.is_set():
            with ExitStack() as stack:
                for number in range(40):
                    peer = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                    peer.settimeout(0.2)
                    try:
                        peer.connect(path)
                        peer.send(b"status\n"[: 7 * (number % 2)])
                    except OSError:
                        continue
                    made[0] += 1
                stop.wait(0.05)

    control = town.site.worker.pids["control"]
    before = len(os.listdir(f"/proc/{control}/fd"))
    thread = threading.Thread(target=crowd)
    thread.start()
    try:
        until(lambda: made[0] > 100)
        assert works_for(town, SECOND)
        assert town.cji("status")[0] == 0
        town.reload()
        assert len(os.listdir(f"/proc/{control}/fd")) <= before + 17
    finally:
        stop.set()
        thread.join()
    until(lambda: len(os.listdir(f"/proc/{control}/fd")) <= before)


def test_x08_a_stopped_control_process_delays_nobody(town: Neighbours) -> None:
    with stopped(town.site.worker.pids["control"]):
        time.sleep(3)
        assert works_for(town, FIRST)
    until(lambda: town.cji("status")[0] == 0)


def test_x08_a_stopped_checker_ends_the_reload_or_the_worker(town: Neighbours) -> None:
    """Whichever comes first; here the keyholder goes on in time, and the reload is done."""
    with ThreadPoolExecutor(1) as pool, stopped(town.site.worker.pids["keyholder"]):
        asked = pool.submit(town.cji, "reload")
        time.sleep(1)
        assert not asked.done()
        os.kill(town.site.worker.pids["keyholder"], signal.SIGCONT)
        assert asked.result()[0] == 0


@sees_processes
def test_x03_the_control_process_has_no_right_but_to_read(town: Neighbours) -> None:
    """No socket of a network, no capability, no file to write to; the policy's folder is all that it may read."""
    pid = town.site.worker.pids["control"]
    status = Path(f"/proc/{pid}/status").read_text()
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    links = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
    assert all(link.startswith(("socket:", "/dev/null", "pipe:", "/")) for link in links)
    assert not Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()


def test_no_job_is_lost_or_doubled_in_the_trail(town: Neighbours) -> None:
    """The last: every admitted job of this file has one end."""
    found = events(town.site)
    admitted = [e.header_sha384 for e in found if isinstance(e, JobAdmitted)]
    ends = [e.header_sha384 for e in found if isinstance(e, JobCompleted | JobEnded)]
    assert sorted(admitted) == sorted(ends)
