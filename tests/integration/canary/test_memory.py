"""Nothing of records or keys can be read in the memory of any process of the worker, by root, at any time.

One job is held twice in the middle: once while its cell waits for input, once while it waits for a slow reader with a
batch half written. That the cell really holds plaintext then is shown by what it has sealed, and by a look inside its
region through a descriptor that only the simulation's launcher keeps. The same code on an ordinary heap, and the same
key in an ordinary process, are found.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from cji_client.errors import Unverified
from cji_client.received import ResultHeader, parse_result_header
from cji_client.seal import SealedJob
from cji_core.format.configuration.worker import load
from cji_core.format.envelope import Unsealer, output_aad, unwrap_dek, unwrap_result_key, unwrap_seed
from cji_core.pairs import ML_KEM_BYTES
from cji_core.strict import b64url_decode
from cji_simulator.canary import Planted, key_patterns, prime_patterns, seed_patterns
from cji_simulator.launch import AUDIENCE
from cji_simulator.ordinary_cell import OrdinaryCell
from cji_simulator.processes import each_process, until_idle
from cji_simulator.raw import settled
from cji_simulator.scan import (
    Canaries,
    ProcessScan,
    copy_inside,
    look_inside,
    scan_file,
    scan_process,
    scan_worker,
)
from cji_simulator.site import Site
from cji_simulator.stepwise import Stepwise

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="reading the memory of other processes needs root"),
    pytest.mark.timeout(600),  # every byte of every process is looked at, three times
]

ROWS = 120_000
CELL_REGION, KEYHOLDER_REGION = 160 << 20, 96 << 20
CONTROL = "an ordinary text of the configuration"
PROCESSES = {"supervisor", "zygote", "keyholder", "front", "control"}
"""Beside the cells, one of which has the job."""


@dataclass(slots=True, kw_only=True)
class Seen:
    """Everything that was looked at, by moment."""

    scans: dict[str, list[ProcessScan]] = field(default_factory=dict)
    cells: dict[str, set[str]] = field(default_factory=dict)
    keyholder: set[str] = field(default_factory=set)
    sealed_plaintext: bytes = b""
    tokens: list[str] = field(default_factory=list)
    cores: dict[str, set[str]] = field(default_factory=dict)
    canaries: Canaries
    visible: Canaries
    """The canaries, and an ordinary text that every process has."""


@pytest.fixture(scope="module")
def cmk(site: Site) -> rsa.RSAPrivateKey:
    """The customer's key itself: released on another machine as it was to the worker."""
    attester = site.simulation.another_vm().attester()
    buffer = bytearray(8192)
    released = attester.release_into(attester.attest(receipt_key=bytes(32)), site.cmk.spec, memoryview(buffer))
    private = load_der_private_key(bytes(buffer[: released.length]), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    return private


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted.new(ROWS)


@pytest.fixture(scope="module")
def seed(site: Site, cmk: rsa.RSAPrivateKey) -> bytes:
    """The seed of the worker's ML-KEM half, which exists after a release only."""
    file = load(site.files.config).keys[0].ml_kem_seed_file
    assert file is not None
    return unwrap_seed(cmk, site.cmk.kek_id, b64url_decode(Path(file).read_text().strip()))


def _half_patterns(job: SealedJob, cmk: rsa.RSAPrivateKey, seed: bytes) -> dict[str, bytes]:
    """The two secrets that the data key was combined from."""
    wrapped, ml_kem = job.header.wrapped_dek, mlkem.MLKEM1024PrivateKey.from_seed_bytes(seed)
    return {
        "ML-KEM shared secret": ml_kem.decapsulate(wrapped[:ML_KEM_BYTES]),
        "RSA half": unwrap_dek(cmk, wrapped[ML_KEM_BYTES:]),
    }


@pytest.fixture(scope="module")
def seen(
    site: Site, planted: Planted, cmk: rsa.RSAPrivateKey, seed: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Seen:
    job = planted.seal(site)
    segments = list(job.seal_part(0, planted.table))
    patterns = planted.patterns() | key_patterns(planted, job, segments[0]) | prime_patterns(cmk)
    patterns |= planted.person_patterns() | seed_patterns(seed) | _half_patterns(job, cmk, seed)
    with Stepwise(site, job, segments) as run:
        run.send(6)
        run.read_until("accepted")
        header = _result_header(site, job)
        (wrapped,) = header.wrapped.values()
        result_key = unwrap_result_key(site.hybrid_recipient, wrapped, job.header.sha384)
        patterns["result key"] = result_key
        control = {CONTROL: AUDIENCE.encode()}
        seen = Seen(canaries=Canaries(patterns), visible=Canaries(patterns | control), tokens=planted.tokens())
        first = run.read_until("segment").segment.data
        unsealer = Unsealer(result_key, output_aad(header.sha384, 0), first[:74])
        plaintext = memoryview(bytearray(len(first)))
        seen.sealed_plaintext = bytes(plaintext[: unsealer.unseal_into(plaintext, memoryview(first)[74:])])
        until_idle(site.worker.pids)  # the cell has processed what it was given, and waits
        _look(site, seen, "waiting for input")
        run.send()
        until_idle(site.worker.pids)  # nobody reads: the cell is stopped by a full ring
        _look(site, seen, "waiting for the reader")
        seen.cores = _cores(site, seen.visible, tmp_path_factory.mktemp("cores"))
        run.finish()
        run.read_all()
        assert run.receipt
        outputs = sum(len(data) for data in run.output(0))
        assert outputs > 8 << 20, "the output would have fitted into the windows: nothing was held"
    settled(site)  # the cell of the job is gone, its region wiped and a new one forked into it
    _look(site, seen, "after the job")
    return seen


def _result_header(site: Site, job: SealedJob) -> ResultHeader:
    """That of the running job, out of its cell: nobody else has it before the receipt."""
    beginning = b"\x08\x01\x12\x10" + job.header.job_id + b"\x1a\x30" + job.header.sha384
    found = copy_inside(site.worker.pids["supervisor"], beginning, size=CELL_REGION, length=4096)
    for length in range(len(beginning), len(found)):
        with contextlib.suppress(Unverified):
            return parse_result_header(found[:length], job.header)
    raise AssertionError("no result header")


def _look(site: Site, seen: Seen, moment: str) -> None:
    seen.scans[moment] = scan_worker(site.worker.pids, seen.visible)
    supervisor = site.worker.pids["supervisor"]
    seen.cells[moment] = set().union(*look_inside(supervisor, seen.canaries, size=CELL_REGION))
    (seen.keyholder,) = look_inside(supervisor, seen.canaries, size=KEYHOLDER_REGION)


def _cores(site: Site, visible: Canaries, folder: Path) -> dict[str, set[str]]:
    """What is in a core of the keyholder and of the busy cell, taken by a debugger with root's rights."""
    gcore = shutil.which("gcore")
    if gcore is None:
        return {}
    ran = each_process(site.worker.pids, lambda name, pid: (_ticks(pid), pid))
    busy, (_, cell) = max(((name, one) for name, one in ran.items() if name.startswith("cell")), key=itemgetter(1))
    cores = {}
    for name, pid in (("keyholder", site.worker.pids["keyholder"]), (busy, cell)):
        command = [gcore, "-o", str(folder / "core"), str(pid)]
        subprocess.run(command, capture_output=True, check=False, timeout=60)
        core = folder / f"core.{pid}"
        cores[name] = scan_file(core, visible)
        core.unlink()
    return cores


def _ticks(pid: int) -> int:
    """Processor time of a process so far (proc(5), utime)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def test_the_cell_held_plaintext_while_it_was_looked_at(seen: Seen, planted: Planted) -> None:
    assert planted.marks["last"].encode() in seen.sealed_plaintext
    assert sum(token.encode() in seen.sealed_plaintext for token in seen.tokens) > 10
    for moment in ("waiting for input", "waiting for the reader"):
        inside = seen.cells[moment]
        assert {"last utf-8", "first utf-8", "SOC utf-8", "OLN utf-8", "data key", "project key"} <= inside
        assert any(label.startswith("token ") for label in inside)
        assert any(label.startswith("DOB row") for label in inside)
    assert {"p little-endian", "q little-endian", "ML-KEM d", "ML-KEM z"} <= seen.keyholder


@pytest.mark.parametrize("moment", ["waiting for input", "waiting for the reader", "after the job"])
def test_k14_l08_no_canary_in_the_memory_of_any_process(seen: Seen, moment: str) -> None:
    scans = seen.scans[moment]
    assert {scan.process for scan in scans if not scan.process.startswith("cell")} == PROCESSES
    found = [hit for scan in scans for hit in scan.hits if hit.label != CONTROL]
    assert not found, found[:20]
    for scan in scans:
        assert any(hit.label == CONTROL for hit in scan.hits), f"the scan of {scan.process} sees nothing"
        assert not scan.refused, scan.refused
        secret = {"supervisor": False, "front": False, "control": False}.get(scan.process, True)
        assert (scan.secret_bytes > 0) is secret


def test_recycled_regions_hold_nothing_of_the_job(seen: Seen) -> None:
    assert seen.cells["after the job"] == set()


def test_l06_no_canary_in_a_core_taken_by_root(seen: Seen) -> None:
    if not seen.cores:
        pytest.skip("gdb is not installed: no core can be taken of a living process")
    assert len(seen.cores) == 2
    for name, found in seen.cores.items():
        assert found == {CONTROL}, name


@pytest.fixture
def ordinary(site: Site, planted: Planted) -> Iterator[tuple[OrdinaryCell, Canaries]]:
    job = planted.seal(site)
    segments = list(job.seal_part(0, planted.table))
    canaries = Canaries(planted.patterns() | key_patterns(planted, job, segments[0]))
    with OrdinaryCell(job, [job._dek, planted.project_key.key]) as cell:
        cell.feed(segments)
        yield cell, canaries


def test_the_same_job_on_an_ordinary_heap_is_found(ordinary: tuple[OrdinaryCell, Canaries]) -> None:
    cell, canaries = ordinary
    found = {hit.label for hit in scan_process(cell.pid, canaries, name="ordinary").hits}
    assert {f"{name} utf-8" for name in ("last", "first", "SOC", "OLN", "SMT", "SID")} <= found
    assert {"data key", "project key"} <= found
    for kind in ("token ", "DOB row", "OLY row", "postcode row"):
        assert any(label.startswith(kind) for label in found), kind


def test_a_private_key_in_an_ordinary_process_is_found(cmk: rsa.RSAPrivateKey) -> None:
    program = (
        "import sys; from cryptography.hazmat.primitives.serialization import load_der_private_key as load;"
        "key = load(sys.stdin.buffer.read(), None); print('loaded', flush=True); import time; time.sleep(60)"
    )
    der = cmk.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(der)
        child.stdin.close()
        child.stdout.readline()
        found = {hit.label for hit in scan_process(child.pid, Canaries(prime_patterns(cmk)), name="ordinary").hits}
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert {"p little-endian", "q little-endian", "d big-endian"} <= found
