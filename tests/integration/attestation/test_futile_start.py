"""`futile-start`, compiled and run against the simulated vTPM: only the exact value of PCR 15 makes a start futile."""

import contextlib
import os
import socket
import subprocess
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cji_attestation.evidence.event_log import START_PCR
from cji_attestation.evidence.tpm import Tpm
from cji_simulator import Simulation
from cji_worker.keyholder.start_value import keep_start
from tests.support.host_profile import build, missing
from tests.support.paths import ROOT

SOURCE = ROOT / "deploy/futile-start/futile-start.c"
FUTILE, START = 0, 1
needs_compiler = pytest.mark.skipif(bool(missing("gcc")), reason=f"not installed: {missing('gcc')}")
Answer = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("futile") / "futile-start", SOURCE)


@contextlib.contextmanager
def device(answer: Answer) -> Iterator[str]:
    """A file that answers a command, as /dev/tpmrm0 does."""
    ours, theirs = os.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)

    def serve() -> None:
        with contextlib.suppress(OSError):
            os.write(ours, answer(os.read(ours, 4096)))

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield os.ttyname(theirs)
    finally:
        os.close(theirs)
        os.close(ours)


def of_tpm(simulation: Simulation) -> Answer:
    def answer(command: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(simulation.trust.tcti.rpartition("path=")[2])
            connection.sendall(command)
            return connection.recv(4096)

    return answer


def status(program: Path, answer: Answer, file: Path) -> int:
    with device(answer) as path:
        done = subprocess.run([program, path, file], check=False, capture_output=True, timeout=60)
    return done.returncode


def late(_: bytes) -> bytes:
    time.sleep(0.5)
    return b""


def pcr(simulation: Simulation) -> bytes:
    with Tpm(simulation.trust.tcti) as tpm:
        return tpm.pcr_values((START_PCR,))[0]


@needs_compiler
def test_a_start_after_a_start_is_futile(simulation: Simulation, program: Path, tmp_path: Path) -> None:
    """The value is announced before the PCR has it: a worker that dies in between may start again."""
    cmk, announced = simulation.create_cmk("futile"), list[tuple[bytes, bytes]]()
    attester = simulation.attester(announce=lambda value: announced.append((value, pcr(simulation))))
    attester.release_into(attester.attest(receipt_key=bytes(32)), cmk.spec, memoryview(bytearray(4096)))
    ((value, before),) = announced
    assert before != value == pcr(simulation)
    keep_start(value, folder=tmp_path)
    assert status(program, of_tpm(simulation), tmp_path / "pcr15") == FUTILE
    keep_start(before, folder=tmp_path)
    assert status(program, of_tpm(simulation), tmp_path / "pcr15") == START


@needs_compiler
def test_what_is_not_known_is_not_futile(simulation: Simulation, program: Path, tmp_path: Path) -> None:
    file, good = tmp_path / "pcr15", of_tpm(simulation)
    keep_start(pcr(simulation), folder=tmp_path)
    assert status(program, good, file) == FUTILE, "the cases below differ in one thing from this one"
    assert status(program, good, tmp_path / "none") == START
    for text in ("", "00", file.read_text() + "0", file.read_text().upper()[:63], "0" * 64):
        (tmp_path / "other").write_text(text)
        assert status(program, good, tmp_path / "other") == START, text
    (tmp_path / "link").symlink_to(file)
    assert status(program, good, tmp_path / "link") == START
    for bad in (
        lambda _: b"",
        lambda _: bytes.fromhex("80010000000a00000922"),  # TPM_RC_RETRY
        lambda command: good(command)[:-1],
        lambda command: good(command) + b"\0",
        lambda command: good(command).replace(b"\x00\x0b\x03", b"\x00\x0c\x03"),  # another bank
        late,
    ):
        assert status(program, bad, file) == START
    assert subprocess.run([program, tmp_path / "no device", file], check=False).returncode == START
    assert subprocess.run([program], check=False).returncode == START


def test_a_machine_without_the_folder_keeps_no_value(tmp_path: Path) -> None:
    keep_start(bytes(32), folder=tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
    keep_start(bytes(32), folder=tmp_path)
    assert (tmp_path / "pcr15").read_text() == "0" * 64
    assert (tmp_path / "pcr15").stat().st_mode & 0o777 == 0o644
