"""The vTPM of a machine in QEMU, used as QEMU uses it: requests, commands on a passed descriptor, a power cycle."""

import array
import hashlib
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from tpm2_pytss import ESAPI
from tpm2_pytss.types import TPML_PCR_SELECTION

from cji_simulator import Simulation, tpm_wire

DIGEST = hashlib.sha256(b"a boot").digest()


@contextmanager
def as_qemu(path: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """(control, commands) of a machine that was just switched on."""
    near, far = socket.socketpair()
    with socket.socket(socket.AF_UNIX) as control, near:
        control.connect(path)
        assert ask(control, 1, size=8) == struct.pack(">Q", 0b11010010101111)
        control.sendmsg(
            [struct.pack(">I", 16)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [far.fileno()]))]
        )
        far.close()
        assert control.recv(4) == bytes(4)
        assert ask(control, 17, struct.pack(">I", 0), size=16)[4:8] == struct.pack(">I", 4096)
        assert ask(control, 2, bytes(4)) == bytes(4)
        yield control, near


def ask(control: socket.socket, request: int, body: bytes = b"", *, size: int = 4) -> bytes:
    control.sendall(struct.pack(">I", request) + body)
    return control.recv(size, socket.MSG_WAITALL)


def pcr_4(simulation: Simulation) -> bytes:
    with ESAPI(simulation.machine.tcti) as tpm:
        _, _, values = tpm.pcr_read(TPML_PCR_SELECTION.parse("sha256:4"))
        return bytes(values[0])


def extend(commands: socket.socket) -> None:
    commands.sendall(tpm_wire.pcr_extend(4, DIGEST))
    assert tpm_wire.succeeded(commands.recv(4096))


def test_what_a_machine_measures_is_seen_from_outside(simulation: Simulation) -> None:
    machine = simulation.machine_in_qemu()
    with as_qemu(machine.machine.socket) as (control, commands):
        assert pcr_4(machine) == bytes(32)  # nothing was measured for it
        extend(commands)
        assert pcr_4(machine) == hashlib.sha256(bytes(32) + DIGEST).digest()
        assert ask(control, 2, bytes(4)) == bytes(4)
        assert pcr_4(machine) == bytes(32)
        extend(commands)
        assert pcr_4(machine) == hashlib.sha256(bytes(32) + DIGEST).digest()
        assert ask(control, 99) == struct.pack(">I", 0xA)


def test_the_machine_reads_azures_report_from_its_own_tpm(simulation: Simulation) -> None:
    machine = simulation.machine_in_qemu()
    with as_qemu(machine.machine.socket) as (_, commands):
        commands.sendall(tpm_wire.nv_read_command(0x01400001, 0x01400001, 64))
        response = commands.recv(4096)
        assert tpm_wire.succeeded(response)
        assert b"HCLA" in response
