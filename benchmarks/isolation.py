"""`isolation`: a job in a cell as the worker makes it, against the same code in a process without any isolation.

Both run the worker's own `run_job` on the same records, with this process as their keyholder and front. The isolated
side is the worker's zygote with its cells: secret memory, secret heap, sandbox, everything that a cell gets. The other
side is a new Python process with ordinary memory and every right. The worker has no switch for that: it is the
simulator's `ordinary_cell`, which no worker can start.
"""

import contextlib
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from benchmarks.corpus import people, rows_of
from benchmarks.harness import Paired, Result, paired
from benchmarks.machine import at_most_cores, facts
from benchmarks.pipeline import COPY, DEIDENTIFY
from benchmarks.report import Report
from cji_client.seal import SealedJob, seal
from cji_client.spec import InputSpec, JobSpec
from cji_core.format.configuration.table_files import read_table_files
from cji_core.format.configuration.worker import load
from cji_core.format.envelope import unwrap_dek
from cji_core.format.job import LIMITS
from cji_core.format.keys import PinnedKey
from cji_core.jose import key_id, public_jwk
from cji_core.operations.deidentify import Deidentify, Transform
from cji_simulator.launch import worker_config
from cji_simulator.simulation import Simulation
from cji_simulator.worker import working_tree
from cji_worker.ipc import SLOT_PAGE_BYTES, Boot, Channel, ChannelClosed, KeySlot, Ring, send_boot
from cji_worker.ipc.messages import (
    CellFromFront,
    CellFromKeyholder,
    CellReady,
    Finish,
    FrontFromCell,
    InputFreed,
    InputReady,
    KeyholderFromCell,
    KeyholderFromZygote,
    KeysReady,
    Opened,
    OpenJob,
    OutputFreed,
    OutputReady,
    OutputsDone,
    Summary,
    SupervisorFromChild,
    Up,
    ZygoteFromKeyholder,
)
from cji_worker.ipc.ring import SLOTS
from cji_worker.launch import command
from cji_worker.memory import heap_environment, secret_fd
from cji_worker.rights import can_become_users

__all__ = ["run"]

_JOBS: Final[Mapping[str, Mapping[str, Transform]]] = {"copy": COPY, "deidentify": DEIDENTIFY}
_CELL_MIB: Final = 160
_FAULT_IN_S: Final = 4.0
"""A new zygote faults its regions in, as it does in a worker before the first job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """Our ends of a cell that waits for its job."""

    control: Channel[KeyholderFromCell, CellFromKeyholder]
    data: Channel[FrontFromCell, CellFromFront]
    ring: Ring
    key_slot: KeySlot

    def close(self) -> None:
        self.control.close()
        self.data.close()
        self.ring.close()


class _Sealing:
    """Jobs of one table, sealed to a key of our own."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._private = rsa.generate_private_key(65537, 3072)
        self._signing = ec.generate_private_key(ec.SECP384R1())
        jwk = public_jwk(self._private.public_key())
        self._kek = PinnedKey.check(
            f"https://bench.vault.azure.net/keys/k/{'0' * 32}", jwk, expected=key_id(self._private.public_key())
        )
        self._recipient = public_jwk(rsa.generate_private_key(65537, 3072).public_key())

    def job(self, columns: Mapping[str, Transform]) -> tuple[SealedJob, list[bytes], bytes]:
        """A new job, its sealed segments, and its data key."""
        spec = JobSpec(
            audience="bench",
            originating_ori="GA0600000",
            requesting_ori="GA0600000",
            operator_id="bench",
            requestor="bench",
            reason="bench",
            purpose_code="C",
            kek_id=self._kek.kek_id,
            kek_thumbprint=self._kek.thumbprint,
            recipients=(self._recipient,),
            input=InputSpec(schema="person/1"),
            valid_hours=1,
            operations=(Deidentify(project="bench", columns=dict(columns)),),
        )
        job = seal(spec, kek=self._kek, signing_key=self._signing, rows=self._table.num_rows)
        return job, list(job.seal_part(0, self._table)), unwrap_dek(self._private, job.header.wrapped_dek)


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; one minute."""
    machine, size, pairs = facts(), 32_000_000 if quick else 128_000_000, 3 if quick else 7
    report.heading("isolation", machine)
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}
    lines = []
    with at_most_cores(2), _zygote() as zygote:
        sealing = _Sealing(people(rows_of(size)))
        for name, columns in _JOBS.items():
            with report.doing(f"{name}, {pairs} pairs"):
                found = _pair(sealing, columns, zygote, pairs=pairs)
            suffix = "" if name == "deidentify" else f"_{name}"
            lines.append((name, found.subject.text(), found.peer.text(), found.ratio.text(places=2)))
            figures |= {f"on_mb_per_s{suffix}": found.subject.middle, f"off_mb_per_s{suffix}": found.peer.middle}
            ratios[f"isolation{suffix}"] = found.ratio.middle
    report.table("MB/s of sealed input in a cell alone", ("", "isolated", "not", "on / off"), lines)
    return Result(name="isolation", machine=machine, figures=figures, ratios=ratios)


def _pair(sealing: _Sealing, columns: Mapping[str, Transform], zygote: "_Zygote", *, pairs: int) -> Paired:
    def isolated() -> float:
        job, segments, key = sealing.job(columns)
        return _rate(zygote.take(), job, segments, key)

    def ordinary() -> float:
        job, segments, key = sealing.job(columns)
        with _ordinary() as cell:
            return _rate(cell, job, segments, key)

    return paired(isolated, ordinary, pairs=pairs)


def _rate(cell: _Cell, job: SealedJob, segments: list[bytes], key: bytes) -> float:
    """MB/s from the moment at which the cell has opened the job to its last output segment."""
    cell.control.send(OpenJob(header=job.header.data, worker_id="bench", max_rows=1 << 53, max_bytes=LIMITS.job_bytes))
    cell.key_slot.put([key])
    cell.control.send(KeysReady())
    message, _ = cell.data.receive()
    assert isinstance(message, Opened)
    began = time.perf_counter()
    _serve(cell, segments)
    seconds = time.perf_counter() - began
    cell.close()
    return sum(map(len, segments)) / 1e6 / seconds


def _serve(cell: _Cell, segments: list[bytes]) -> None:
    """Front and keyholder until the outputs are done; an output segment is copied out, as a front does."""
    free, waiting, finished = list(range(SLOTS)), iter(segments), False
    poll = select.poll()
    for channel in (cell.control, cell.data):
        poll.register(channel.fileno(), select.POLLIN)
    while True:
        while free and not finished:
            segment = next(waiting, None)
            if segment is None:
                cell.data.send(Finish())
                finished = True
                break
            slot = free.pop()
            cell.ring.input(slot)[: len(segment)] = segment
            cell.data.send(InputReady(slot=slot, part=0, length=len(segment)))
        for fd, _ in poll.poll():
            if fd == cell.control.fileno():
                answer, _ = cell.control.receive()
                assert isinstance(answer, Summary)
                poll.unregister(fd)
                continue
            message, _ = cell.data.receive()
            match message:
                case InputFreed(slot=slot):
                    free.append(slot)
                case OutputReady(slot=slot, length=length):
                    bytes(cell.ring.output(slot)[:length])
                    with contextlib.suppress(ChannelClosed):  # a cell that has ended does not wait
                        cell.data.send(OutputFreed(slot=slot))
                case OutputsDone():
                    return


class _Zygote:
    """The worker's zygote with one cell at a time."""

    def __init__(self, channel: Channel[KeyholderFromZygote, ZygoteFromKeyholder], key_slot: KeySlot) -> None:
        self._channel, self._key_slot = channel, key_slot

    def take(self) -> _Cell:
        """The next warm cell; the one before has ended and its region is wiped."""
        while True:
            message, fds = self._channel.receive()
            if isinstance(message, CellReady):
                control, data, ring = fds
                return _Cell(
                    control=Channel(control, KeyholderFromCell),
                    data=Channel(_blocking(data), FrontFromCell),
                    ring=Ring(ring),
                    key_slot=self._key_slot,
                )


def _blocking(fd: int) -> int:
    os.set_blocking(fd, True)
    return fd


@contextmanager
def _zygote() -> Iterator[_Zygote]:
    ours, theirs = Channel.pair()
    supervisor, supervised = Channel.pair()
    region, slot = secret_fd(_CELL_MIB << 20), secret_fd(SLOT_PAGE_BYTES)
    with tempfile.TemporaryDirectory() as name, Simulation(Path(name) / "azure") as azure:
        files = worker_config(Path(name) / "site", simulation=azure, keys=[azure.create_cmk("bench")], cells=1)
        config = load(files.config)
    boot = Boot(
        config=config,
        code=working_tree(),
        zygote=theirs.fileno(),
        supervisor=supervised.fileno(),
        regions=(region,),
        slots=(slot,),
        tables=read_table_files(config.tables_folder),
        users=can_become_users(),
    )
    boot_fd = send_boot(boot)
    inherited = (boot_fd, boot.zygote, boot.supervisor, region, slot)
    with subprocess.Popen(
        command("cji_worker.cell.zygote", str(boot_fd)),
        pass_fds=inherited,
        env=heap_environment(),
        stdin=subprocess.DEVNULL,
    ) as process:
        for fd in (boot_fd, region):
            os.close(fd)
        theirs.close()
        supervised.close()
        up: Channel[SupervisorFromChild, Up] = Channel(supervisor, SupervisorFromChild)
        while not isinstance(up.receive()[0], Up):
            pass
        time.sleep(_FAULT_IN_S)
        channel: Channel[KeyholderFromZygote, ZygoteFromKeyholder] = Channel(ours, KeyholderFromZygote)
        try:
            yield _Zygote(channel, KeySlot(slot))
        finally:
            channel.close()
            process.kill()
            up.close()


@contextmanager
def _ordinary() -> Iterator[_Cell]:
    """A cell of the simulator: the code of a cell, in an ordinary process."""
    control, cell_control = Channel.pair()
    data, cell_data = Channel.pair()
    ring, slot = Ring.create(), secret_fd(SLOT_PAGE_BYTES)
    inherited = [cell_control.fileno(), cell_data.fileno(), ring.fd, slot]
    with (
        subprocess.Popen(
            [sys.executable, "-m", "cji_simulator.ordinary_cell", *map(str, inherited)],
            pass_fds=inherited,
            stdin=subprocess.DEVNULL,
        ) as process,
        ExitStack() as ends,
    ):
        ends.callback(process.kill)
        cell_control.close()
        cell_data.close()
        key_slot = KeySlot(slot)
        ends.callback(key_slot.unmap)
        yield _Cell(
            control=Channel(control, KeyholderFromCell),
            data=Channel(data, FrontFromCell),
            ring=ring,
            key_slot=key_slot,
        )
