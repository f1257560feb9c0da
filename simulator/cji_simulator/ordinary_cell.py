"""The code of a cell on an ordinary heap: what a scanner must be able to find, so that its "nothing" means something.

`python -m cji_simulator.ordinary_cell CONTROL DATA RING SLOT` runs the worker's own `run_job` with plain memory; the
arguments are inherited descriptors. `OrdinaryCell` starts it and plays keyholder and front.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from cji_client.seal import SealedJob
from cji_core.format.job import LIMITS
from cji_core.operations.tables import load as load_tables
from cji_worker.cell.channels import CellChannels
from cji_worker.cell.job import run_job
from cji_worker.ipc import SLOT_PAGE_BYTES, Channel, KeySlot, Ring
from cji_worker.ipc.messages import (
    CellFromFront,
    CellFromKeyholder,
    FrontFromCell,
    InputReady,
    KeyholderFromCell,
    KeysReady,
    OpenJob,
    OutputReady,
)
from cji_worker.memory import secret_fd

__all__ = ["OrdinaryCell", "main"]

_WINDOW: Final = 32 << 20


class OrdinaryCell:
    """A context manager; `feed` hands over segments until the cell has sealed its first output segment."""

    def __init__(self, job: SealedJob, keys: Sequence[bytes]) -> None:
        control, theirs = Channel.pair()
        data, data_theirs = Channel.pair()
        self._ring = Ring.create()
        slot_fd = secret_fd(SLOT_PAGE_BYTES)
        KeySlot(os.dup(slot_fd)).put(keys)
        inherited = [theirs.fileno(), data_theirs.fileno(), self._ring.fd, slot_fd]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cji_simulator.ordinary_cell", *map(str, inherited)], pass_fds=inherited
        )
        self._control: Channel[KeyholderFromCell, CellFromKeyholder] = Channel(control, KeyholderFromCell)
        self._data: Channel[FrontFromCell, CellFromFront] = Channel(data, FrontFromCell)
        self._control.send(
            OpenJob(header=job.header.data, worker_id="ordinary", max_rows=1 << 53, max_bytes=LIMITS.job_bytes)
        )
        self._control.send(KeysReady())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def feed(self, segments: Sequence[bytes]) -> None:
        """One slot after the other; outputs are never freed, so the cell stops with its hands full."""
        for slot, segment in enumerate(segments[:4]):
            self._ring.input(slot)[: len(segment)] = segment
            self._data.send(InputReady(slot=slot, part=0, length=len(segment)))
        while not isinstance(self._data.receive()[0], OutputReady):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()


def main(control: int, data: int, ring: int, slot: int) -> int:
    """Body of the process."""
    channels = CellChannels(
        control=Channel(control, CellFromKeyholder), data=Channel(data, CellFromFront), ring=Ring(ring)
    )
    window = memoryview(bytearray(_WINDOW))
    return run_job(channels, key_slot=KeySlot(slot), window=window, reference_slots=[], tables=load_tables())


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
