"""The vTPM as a guest meets it, through tpm2-pytss."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tpm2_pytss import ESAPI, TSS2_Exception
from tpm2_pytss.constants import ESYS_TR, TPM2_ALG, TPMA_NV
from tpm2_pytss.types import TPM2B_DATA, TPM2B_NV_PUBLIC, TPM2B_SENSITIVE_CREATE, TPMS_NV_PUBLIC

from cji_attestation.evidence import parse_hcl, qualifying_data
from cji_attestation.evidence.binding import report_user_data
from cji_simulator import Simulation, measured_boot
from tests.support.simulations import simulated

HCL, USER_DATA, AK_CERT, AK = 0x01400001, 0x01400002, 0x01C101D0, 0x81000003
PCRS = "sha256:0,1,2,3,4,5,6,7"


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSS2_LOG", "all+NONE")


def read(tpm: Any, index: int, *, chunk: int = 1024) -> bytes:
    handle = tpm.tr_from_tpmpublic(index)
    size = tpm.nv_read_public(handle)[0].nvPublic.dataSize
    return b"".join(bytes(tpm.nv_read(handle, min(chunk, size - at), at)) for at in range(0, size, chunk))


def write_user_data(tpm: Any, data: bytes) -> None:
    try:
        handle = tpm.tr_from_tpmpublic(USER_DATA)
    except TSS2_Exception:
        attributes = TPMA_NV.OWNERWRITE | TPMA_NV.OWNERREAD | TPMA_NV.NO_DA
        public = TPMS_NV_PUBLIC(nvIndex=USER_DATA, nameAlg=TPM2_ALG.SHA256, attributes=attributes, dataSize=64)
        handle = tpm.nv_define_space(b"", TPM2B_NV_PUBLIC(nvPublic=public))
    tpm.nv_write(handle, data, 0, ESYS_TR.OWNER)


def test_report_binds_its_claims_and_chunks_agree(simulation: Simulation) -> None:
    with ESAPI(simulation.trust.tcti) as tpm:
        data = read(tpm, HCL)
        assert read(tpm, HCL, chunk=512)[:32] == data[:32]
    assert data[:4] == b"HCLA"
    size = int.from_bytes(data[1232:1236], "little")
    assert data[32 + 0x50 : 32 + 0x70] == hashlib.sha256(data[1236 : 1236 + size]).digest()


def test_a_report_is_renewed_at_most_every_two_seconds(tmp_path: Path) -> None:
    first, second = os.urandom(64), os.urandom(64)
    with simulated(tmp_path) as own, ESAPI(own.trust.tcti) as tpm:
        write_user_data(tpm, first)
        assert first.hex().upper().encode() in read(tpm, HCL)
        write_user_data(tpm, second)
        assert first.hex().upper().encode() in read(tpm, HCL)
        time.sleep(2.1)
        assert second.hex().upper().encode() in read(tpm, HCL)


def test_evidence_waits_for_a_report_that_is_fresh(tmp_path: Path) -> None:
    with simulated(tmp_path) as own:
        for nonce in (b"1" * 32, b"2" * 32):  # the second comes within the two seconds
            bound = qualifying_data(bytes(32), nonce)
            found = parse_hcl(own.collect(bound).hcl_report)
            assert found.user_data.lower() == report_user_data(bound).hex()


def test_ak_certificate_is_padded_and_of_the_ak(simulation: Simulation) -> None:
    with ESAPI(simulation.trust.tcti) as tpm:
        data = read(tpm, AK_CERT)
        public, *_ = tpm.read_public(tpm.tr_from_tpmpublic(AK))
    assert len(data) == 4096
    length = 4 + int.from_bytes(data[2:4], "big")
    certificate = x509.load_der_x509_certificate(data[:length])
    assert not any(data[length:])
    assert certificate.public_key().public_numbers().n == int.from_bytes(  # type: ignore[union-attr]
        bytes(public.publicArea.unique.rsa), "big"
    )


@pytest.mark.parametrize(("length", "fits"), [(32, True), (48, True), (50, True), (51, False), (64, False)])
def test_qualifying_data_is_limited_to_50_bytes(simulation: Simulation, length: int, fits: bool) -> None:
    with ESAPI(simulation.trust.tcti) as tpm:
        ak = tpm.tr_from_tpmpublic(AK)
        if fits:
            tpm.quote(ak, PCRS, TPM2B_DATA(bytes(length)))
        else:
            with pytest.raises(TSS2_Exception, match="wrong size"):
                tpm.quote(ak, PCRS, TPM2B_DATA(bytes(length)))


def test_reads_beyond_limits_are_refused_with_the_tpms_codes(simulation: Simulation) -> None:
    with ESAPI(simulation.trust.tcti) as tpm:
        handle = tpm.tr_from_tpmpublic(HCL)
        with pytest.raises(TSS2_Exception) as over:
            tpm.nv_read(handle, 1025, 0)
        with pytest.raises(TSS2_Exception) as beyond:
            tpm.nv_read(handle, 1024, 2000)
    assert (over.value.rc, beyond.value.rc) == (0x1C4, 0x146)


def pcrs(simulation: Simulation) -> list[bytes]:
    with ESAPI(simulation.trust.tcti) as tpm:
        _, _, values = tpm.pcr_read(PCRS)
    return [bytes(value) for value in values]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    """A machine that may be rebooted."""
    with simulated(tmp_path_factory.mktemp("own"), report_period=0) as running:
        yield running


def test_pcrs_are_what_the_boot_log_leads_to(own: Simulation) -> None:
    own.reboot()  # what other tests extended is gone
    log = Path(own.trust.firmware_log).read_bytes()
    assert pcrs(own) == [measured_boot.replay(log)[pcr] for pcr in range(8)]


def test_another_image_is_another_boot_application(own: Simulation) -> None:
    own.reboot()
    booted = pcrs(own)
    own.reboot("2")
    log = Path(own.trust.firmware_log).read_bytes()
    assert [at for at, value in enumerate(pcrs(own)) if value != booted[at]] == [4]
    assert pcrs(own) == [measured_boot.replay(log)[pcr] for pcr in range(8)]
    own.reboot()
    assert pcrs(own) == booted


def test_a_reboot_resets_what_a_reboot_resets(own: Simulation) -> None:
    """TPM 2.0 Library part 1, "Startup": PCRs and NULL seed are new and resetCount rises; keys and indices stay."""

    def look() -> tuple[bytes, bytes, int, bytes]:
        with ESAPI(own.trust.tcti) as tpm:
            ak, *_ = tpm.read_public(tpm.tr_from_tpmpublic(AK))
            transient, primary, *_ = tpm.create_primary(TPM2B_SENSITIVE_CREATE(), "rsa2048", ESYS_TR.NULL)
            tpm.flush_context(transient)
            clock = tpm.read_clock().clockInfo
            report_id = read(tpm, HCL)[32 + 0x140 : 32 + 0x160]
            return bytes(ak.marshal()), bytes(primary.marshal()), int(clock.resetCount), report_id

    booted, (ak, primary, resets, report_id) = pcrs(own), look()
    assert look() == (ak, primary, resets, report_id)
    own.extend_pcr(4)
    assert [at for at, value in enumerate(pcrs(own)) if value != booted[at]] == [4]
    own.reboot()
    assert pcrs(own) == booted
    again = look()
    assert (again[0], again[2]) == (ak, resets + 1)
    assert again[1] != primary
    assert again[3] != report_id


LEAK = """
import os, sys
from tpm2_pytss import ESAPI
tpm = ESAPI(sys.argv[1])
tpm.__enter__()
for _ in range(2):
    tpm.load_external(tpm.read_public(tpm.tr_from_tpmpublic(0x81000003))[0])
os._exit(7)
"""


def test_objects_of_a_killed_process_are_flushed(simulation: Simulation) -> None:
    for _ in range(4):  # two objects each: without cleaning, the three slots are full at the second round
        done = subprocess.run([sys.executable, "-c", LEAK, simulation.trust.tcti], capture_output=True, check=False)
        assert done.returncode == 7, done.stderr.decode()


HOLD = """
import sys
from tpm2_pytss import ESAPI
with ESAPI(sys.argv[1]) as tpm:
    tpm.load_external(tpm.read_public(tpm.tr_from_tpmpublic(0x81000003))[0])
    print(flush=True)
    sys.stdin.read()
    __import__("os")._exit(0)
"""


def test_handles_from_before_a_reboot_are_not_flushed_after_it(own: Simulation) -> None:
    """Its handle is another process's by then."""
    program = [sys.executable, "-c", HOLD, own.trust.tcti]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        own.reboot()
        with ESAPI(own.trust.tcti) as tpm:
            mine = tpm.load_external(tpm.read_public(tpm.tr_from_tpmpublic(AK))[0])
            other.communicate()
            for _ in range(10):  # the proxy hears of the end in its own time
                tpm.read_public(mine)
                time.sleep(0.02)
            tpm.flush_context(mine)
