"""A TPM that is busy, full or wrong, through the real client: what is retried, what comes out, what stays loaded."""

import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tpm2_pytss import ESAPI
from tpm2_pytss.constants import TPM2_ALG, TPM2_CAP, TPM2_HC, TPMA_NV
from tpm2_pytss.types import TPM2B_NV_PUBLIC, TPMS_NV_PUBLIC

from cji_attestation import AZURE_US, Fault
from cji_attestation.evidence import qualifying_data
from cji_attestation.evidence.collect import QUOTE_ATTEMPTS, collect, ephemeral_salt
from cji_attestation.evidence.pcs import IntelPcs
from cji_attestation.evidence.tpm import AK_CERT_INDEX, HCL_INDEX, MAX_NV_BYTES, MAX_QUALIFYING, EphemeralKey, Tpm
from cji_attestation.evidence.tpm_response import ATTEMPTS
from cji_attestation.evidence.tpm_templates import USER_DATA_BYTES, USER_DATA_INDEX
from cji_simulator import tpm_wire as wire
from cji_simulator.faults import Kind, Service
from cji_simulator.simulation import Simulation
from tests.support.refusals import rejected

BOUND = qualifying_data(b"r" * 32, b"n" * 32)
SALT = ephemeral_salt(BOUND)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSS2_LOG", "all+NONE")


def loaded(simulation: Simulation) -> list[int]:
    """Handles of transient objects and of sessions."""
    found: list[int] = []
    with ESAPI(simulation.trust.tcti) as tpm:
        for first in (TPM2_HC.TRANSIENT_FIRST, TPM2_HC.LOADED_SESSION_FIRST):
            _, answer = tpm.get_capability(TPM2_CAP.HANDLES, first, 64)
            found += [int(handle) for handle in answer.data.handles]  # a view: `answer` has to outlive it
    return found


def made(simulation: Simulation) -> tuple[tuple[bytes, ...], EphemeralKey]:
    with Tpm(simulation.trust.tcti) as tpm:
        pcrs = tpm.pcr_values()
        return pcrs, tpm.ephemeral_key(salt=SALT, pcrs=pcrs)


def refusal(act: Callable[[], Any]) -> tuple[Fault, str]:
    with rejected() as caught:
        act()
    return caught.value.fault, caught.value.check


@pytest.mark.parametrize("kind", [Kind.RETRY, Kind.YIELDED, Kind.OBJECT_MEMORY])
def test_a_busy_tpm_is_asked_again(simulation: Simulation, kind: Kind) -> None:
    simulation.fault(Service.TPM, kind, times=ATTEMPTS - 1)
    evidence = simulation.collect(BOUND)
    assert simulation.faults() == []  # all of them struck
    assert evidence.quote
    assert loaded(simulation) == []


@pytest.mark.parametrize("kind", [Kind.RETRY, Kind.YIELDED])
def test_a_tpm_that_stays_busy_is_no_verdict(simulation: Simulation, kind: Kind) -> None:
    pcrs, key = made(simulation)
    simulation.fault(Service.TPM, kind)
    with Tpm(simulation.trust.tcti) as tpm:

        def decrypt() -> bytearray:
            return tpm.rsa_decrypt(bytes(256), padding="rsaes", salt=SALT, pcrs=pcrs, public=key.public)

        assert refusal(tpm.pcr_values) == (Fault.EVIDENCE_UNAVAILABLE, "pcr-read")
        assert refusal(tpm.clock) == (Fault.EVIDENCE_UNAVAILABLE, "clock")
        assert refusal(lambda: tpm.quote(BOUND)) == (Fault.EVIDENCE_UNAVAILABLE, "quote")
        assert refusal(decrypt) == (Fault.EVIDENCE_UNAVAILABLE, "tpm")
    simulation.clear_faults()
    assert loaded(simulation) == []


def test_a_tpm_that_is_gone_is_no_verdict() -> None:
    assert refusal(Tpm("swtpm:path=/nowhere/tpm.sock").__enter__) == (Fault.EVIDENCE_UNAVAILABLE, "tpm-open")
    assert refusal(Tpm("swtpm:path=/nowhere/tpm.sock").__enter__) == (Fault.EVIDENCE_UNAVAILABLE, "tpm-open")


def test_nothing_stays_loaded_whatever_comes_of_a_decryption(simulation: Simulation) -> None:
    pcrs, key = made(simulation)
    other = (bytes(32), *pcrs[1:])
    with Tpm(simulation.trust.tcti) as tpm:

        def decrypt(**changes: Any) -> bytearray:
            given: dict[str, Any] = {"padding": "oaep-sha256", "salt": SALT, "pcrs": pcrs, "public": key.public}
            return tpm.rsa_decrypt(bytes(255) + b"\2", **(given | changes))

        assert refusal(decrypt) == (Fault.RELEASE_INVALID, "tpm-decrypt")
        assert refusal(lambda: decrypt(pcrs=other)) == (Fault.EVIDENCE_INVALID, "ephemeral-key")
        again = tpm.ephemeral_key(salt=SALT, pcrs=other)
        assert refusal(lambda: decrypt(pcrs=other, public=again.public)) == (Fault.EVIDENCE_INVALID, "pcr-changed")
    assert loaded(simulation) == []


NV_WRITE, PCR_READ, READ_PUBLIC = 0x137, 0x17E, 0x173
RC_FAILURE, RC_NV_AUTHORIZATION = 0x101, 0x149


class Between:
    """The simulation's TPM behind a socket of its own, some of whose responses a test replaces by command code."""

    def __init__(self, path: Path, behind: str) -> None:
        self.tcti = f"swtpm:path={path}"
        self.replaced: dict[int, Callable[[bytes], bytes]] = {}  # from the true response
        self.asked: list[int] = []  # command codes
        between = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.socket(socket.AF_UNIX) as tpm:
                    tpm.connect(behind)
                    while command := message(self.request):
                        between.asked.append(wire.code(command))
                        tpm.sendall(command)
                        response = message(tpm)
                        self.request.sendall(between.replaced.get(wire.code(command), bytes)(response))

        class Control(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                while self.request.recv(256):
                    self.request.sendall(bytes(4))

        self._servers = [
            socketserver.ThreadingUnixStreamServer(str(path), Handler),
            socketserver.ThreadingUnixStreamServer(f"{path}.ctrl", Control),
        ]
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


def message(peer: socket.socket) -> bytes:
    """One command or response, or nothing at the end."""
    head = peer.recv(wire.HEADER, socket.MSG_WAITALL)
    return head and head + peer.recv(wire.header_size(head) - wire.HEADER, socket.MSG_WAITALL)


@pytest.fixture
def between(simulation: Simulation, tmp_path: Path) -> Iterator[Between]:
    found = Between(tmp_path / "tpm", simulation.trust.tcti.partition("=")[2])
    yield found
    found.close()


def refused(between: Between, act: Callable[[Tpm], Any]) -> tuple[Fault, str]:
    with Tpm(between.tcti) as tpm:
        return refusal(lambda: act(tpm))


def test_the_tpm_in_between_changes_nothing_by_itself(simulation: Simulation, between: Between) -> None:
    with Tpm(between.tcti) as tpm:
        through = tpm.pcr_values(), tpm.ak_public(), tpm.nv_read(AK_CERT_INDEX)
    with Tpm(simulation.trust.tcti) as tpm:
        assert through == (tpm.pcr_values(), tpm.ak_public(), tpm.nv_read(AK_CERT_INDEX))


@pytest.mark.parametrize(
    ("index", "rc", "expected"),
    [
        (HCL_INDEX, wire.RC_HANDLE, (Fault.NOT_CONFIDENTIAL, "hcl-report")),
        (HCL_INDEX, wire.RC_NV_UNINITIALIZED, (Fault.EVIDENCE_UNAVAILABLE, "nv-01400001")),
        (HCL_INDEX, RC_NV_AUTHORIZATION, (Fault.EVIDENCE_UNAVAILABLE, "nv-01400001")),
        (AK_CERT_INDEX, wire.RC_HANDLE, (Fault.EVIDENCE_UNAVAILABLE, "nv-01c101d0")),
        (AK_CERT_INDEX, wire.RC_NV_UNINITIALIZED, (Fault.EVIDENCE_UNAVAILABLE, "ak-cert-pending")),
        (AK_CERT_INDEX, RC_NV_AUTHORIZATION, (Fault.EVIDENCE_UNAVAILABLE, "nv-01c101d0")),
    ],
)
def test_what_an_index_that_cannot_be_read_means(
    between: Between, index: int, rc: int, expected: tuple[Fault, str]
) -> None:
    for command in (wire.NV_READ_PUBLIC, wire.NV_READ):
        between.replaced = {command: lambda _: wire.error(rc)}
        assert refused(between, lambda tpm: tpm.nv_read(index)) == expected


@pytest.mark.parametrize("command", [wire.NV_READ_PUBLIC, NV_WRITE])
def test_user_data_that_cannot_be_written(between: Between, command: int) -> None:
    between.replaced[command] = lambda _: wire.error(RC_NV_AUTHORIZATION)
    found = refused(between, lambda tpm: tpm.write_user_data(bytes(USER_DATA_BYTES)))
    assert found == (Fault.EVIDENCE_UNAVAILABLE, f"nv-{USER_DATA_INDEX:08x}")


@pytest.mark.parametrize("size", [USER_DATA_BYTES // 2, 2 * USER_DATA_BYTES])
def test_an_index_of_another_size_is_defined_anew(simulation: Simulation, size: int) -> None:
    """As another program left it."""
    tcti = simulation.trust.tcti
    with Tpm(tcti) as tpm:
        tpm.write_user_data(bytes(USER_DATA_BYTES))
    public = TPMS_NV_PUBLIC(
        nvIndex=USER_DATA_INDEX,
        nameAlg=TPM2_ALG.SHA256,
        attributes=TPMA_NV.OWNERREAD | TPMA_NV.OWNERWRITE,
        authPolicy=b"",
        dataSize=size,
    )
    with ESAPI(tcti) as esapi:
        esapi.nv_undefine_space(esapi.tr_from_tpmpublic(USER_DATA_INDEX))
        esapi.nv_define_space(b"", TPM2B_NV_PUBLIC(nvPublic=public))
    with Tpm(tcti) as tpm:
        tpm.write_user_data(bytes(range(USER_DATA_BYTES)))
        assert tpm.nv_read(USER_DATA_INDEX) == bytes(range(USER_DATA_BYTES))


@pytest.mark.parametrize("length", [0, USER_DATA_BYTES - 1, USER_DATA_BYTES + 1])
def test_user_data_have_their_length(simulation: Simulation, length: int) -> None:
    with Tpm(simulation.trust.tcti) as tpm:
        tpm.write_user_data(bytes(range(USER_DATA_BYTES)))
        assert refusal(lambda: tpm.write_user_data(b"x" * length)) == (Fault.CONFIG_INVALID, "user-data-length")
        assert tpm.nv_read(USER_DATA_INDEX) == bytes(range(USER_DATA_BYTES))


def test_qualifying_data_that_azures_tpm_would_not_take(simulation: Simulation) -> None:
    with Tpm(simulation.trust.tcti) as tpm:
        assert tpm.quote(b"x" * MAX_QUALIFYING)
        assert refusal(lambda: tpm.quote(b"x" * (MAX_QUALIFYING + 1))) == (Fault.CONFIG_INVALID, "qualifying-length")


def test_an_index_of_any_size_is_not_read(between: Between) -> None:
    between.replaced[wire.NV_READ_PUBLIC] = lambda _: wire.nv_public(HCL_INDEX, MAX_NV_BYTES + 1)
    assert refused(between, lambda tpm: tpm.nv_read(HCL_INDEX)) == (Fault.EVIDENCE_INVALID, "nv-01400001")


@pytest.mark.parametrize("length", [0, 1023, 1025])
def test_a_part_of_another_length(between: Between, length: int) -> None:
    between.replaced[wire.NV_READ] = lambda _: wire.nv_read_response(bytes(length))
    assert refused(between, lambda tpm: tpm.nv_read(HCL_INDEX)) == (Fault.EVIDENCE_UNAVAILABLE, "nv-01400001")


def pcrs_of(response: bytes, *, bank: int = 0x0B, selected: bytes = b"\xff\0\0", count: int = 8) -> bytes:
    """A response of TPM2_PCR_Read with another selection, or the first `count` of its digests."""
    digests = response[28 : 28 + 34 * count]
    body = response[10:14] + struct.pack(">IHB", 1, bank, 3) + selected + struct.pack(">I", count) + digests
    return struct.pack(">HII", 0x8001, 10 + len(body), 0) + body


@pytest.mark.parametrize(
    "changes", [{"count": 7}, {"count": 0}, {"selected": b"\x7f\0\0"}, {"selected": b"\0\xff\0"}, {"bank": 0x04}]
)
def test_other_pcrs_than_were_asked_for(between: Between, changes: dict[str, Any]) -> None:
    between.replaced[PCR_READ] = pcrs_of
    with Tpm(between.tcti) as tpm:
        assert len(tpm.pcr_values()) == 8
    between.replaced[PCR_READ] = lambda response: pcrs_of(response, **changes)
    assert refused(between, Tpm.pcr_values) == (Fault.EVIDENCE_INVALID, "pcr-read")


def test_pcrs_that_never_stand_still(between: Between) -> None:
    """Not a second attempt only: what is read is never what is quoted."""
    wrong = msgspec.structs.replace(AZURE_US, tcti=between.tcti)
    between.replaced[PCR_READ] = lambda response: response[:-1] + bytes([response[-1] ^ 1])
    with rejected("pcr-moving", fault=Fault.EVIDENCE_UNAVAILABLE):
        collect(trust=wrong, qualifying_data=BOUND, pcs=IntelPcs(wrong), ak_issuers=())
    assert between.asked.count(wire.QUOTE) == QUOTE_ATTEMPTS


@pytest.mark.parametrize(
    ("command", "act", "check"),
    [
        (PCR_READ, Tpm.pcr_values, "pcr-read"),
        (READ_PUBLIC, Tpm.ak_public, "ak"),
        (wire.QUOTE, lambda tpm: tpm.quote(BOUND), "quote"),
        (wire.CERTIFY, lambda tpm: tpm.ephemeral_key(salt=SALT, pcrs=tpm.pcr_values()), "ephemeral-key"),
    ],
)
def test_a_tpm_that_fails_at_one_thing(
    simulation: Simulation, between: Between, command: int, act: Callable[[Tpm], Any], check: str
) -> None:
    between.replaced[command] = lambda _: wire.error(RC_FAILURE)
    assert refused(between, act) == (Fault.EVIDENCE_UNAVAILABLE, check)
    assert between.asked.count(command) == 1
    assert loaded(simulation) == []
