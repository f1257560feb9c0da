"""A worker and an echo side by side, both connected, to run jobs with their pair.

The worker is the real one, with all its processes, against the simulation of Azure, over mTLS on loopback.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from benchmarks.echo import EchoServer
from benchmarks.processes import CpuClock, PeakMemory, require_root
from benchmarks.wire import Connection, Prepared, prepare, verify, verify_echo
from cji_attestation.attested import AttestedWorker
from cji_core.operations.deidentify import Deidentify, Transform
from cji_core.suites import Suite
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site
from cji_simulator.worker import PROGRAM

__all__ = ["Stand", "Usage", "open_stand"]

_LIMITS: Final = '\n[limits]\nconnections_counted_by = "firewall"\n'
"""As in the image. The rules themselves, which cost each connection once, are not loaded here."""
_WARM_S: Final = 0.25
"""Pause after a job: its cell is wiped and waited for, and another is warm."""


@dataclass(slots=True, kw_only=True)
class Usage:
    """CPU seconds by process over some calls, the MB of input that they sent, and the sealed bytes that came back."""

    seconds: Counter[str] = field(default_factory=Counter)
    megabytes: float = 0.0
    returned: int = 0

    def add(self, other: "Usage") -> None:
        """Add the calls of another."""
        self.seconds.update(other.seconds)
        self.megabytes += other.megabytes
        self.returned += other.returned

    def per_gb(self) -> dict[str, float]:
        """CPU seconds per GB (10^9 bytes), by process."""
        return {name: seconds / self.megabytes * 1000 for name, seconds in self.seconds.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """One worker, one echo behind a door, one with gRPC's `own` TLS.

    Times cover the call alone; its results are checked afterwards.
    """

    site: Site
    echo: EchoServer
    to_worker: Connection
    to_echo: Connection
    own: EchoServer
    to_own: Connection
    attested: AttestedWorker

    def prepare(
        self,
        table: pa.Table,
        columns: Mapping[str, Transform],
        *,
        batch: int = 16_384,
        suite: Suite = Suite.CLASSICAL_1,
    ) -> Prepared:
        """A new sealed job that applies these rules; its input comes in batches of at most `batch` rows."""
        spec = self.site.hybrid_spec if suite is Suite.HYBRID_1 else self.site.spec
        return prepare(self.site, spec(Deidentify(project="bench", columns=dict(columns))), table, batch=batch)

    def job(self, prepared: Prepared, usage: Usage | None = None) -> float:
        """Seconds of one job, from the first message to the end of the call after the receipt, which was verified."""
        worker, usage = self.site.worker, usage or Usage()
        pids = {**worker.pids, "door": worker.door.process.pid}
        seconds = _timed(self.to_worker, prepared, pids, usage)
        with verify(self.to_worker, prepared, self.attested) as result:
            usage.returned += sum(output.length for output in result.outputs)
        return seconds

    def echoed(self, prepared: Prepared, usage: Usage | None = None) -> float:
        """Seconds of one echo of the same messages; every byte came back."""
        seconds = _timed(self.to_echo, prepared, self.echo.pids, usage or Usage())
        verify_echo(self.to_echo, prepared)
        return seconds

    def echoed_by_own_tls(self, prepared: Prepared, usage: Usage) -> None:
        """The same once more without a door."""
        _timed(self.to_own, prepared, self.own.pids, usage)
        verify_echo(self.to_own, prepared)

    def opened(self, prepared: Prepared) -> dict[str, pa.Table]:
        """The outputs of another job, as its recipient reads them."""
        self.job(prepared)
        with verify(self.to_worker, prepared, self.attested) as result:
            return self.site.open(result)

    def peak_mib(self, prepared: Prepared) -> float:
        """Peak resident memory of front and cell over one job, in MiB."""
        pids = self.site.worker.pids
        with PeakMemory(front=pids["front"], zygote=pids["zygote"]) as memory:
            self.job(prepared)
        return memory.mib


def _timed(connection: Connection, prepared: Prepared, pids: Mapping[str, int], usage: Usage) -> float:
    clock, own = CpuClock(pids), time.process_time()
    before = clock.read()
    seconds = connection.call(prepared)
    own = time.process_time() - own
    time.sleep(_WARM_S)
    usage.seconds.update({name: now - before[name] for name, now in clock.read().items()} | {"client": own})
    usage.megabytes += prepared.megabytes
    return seconds


@contextmanager
def open_stand(
    *,
    room: int,
    cells: int = 2,
    cell_mib: int = 160,
    reference_mib: int = 32,
    program: Sequence[str] = PROGRAM,
    settings: str = "",
) -> Iterator[Stand]:
    """Start everything, the worker by `program` with more lines of worker.toml; an answer may have `room` bytes."""
    require_root()
    with (
        tempfile.TemporaryDirectory(prefix="cji-bench-") as folder,
        Simulation(Path(folder) / "azure", release_limit=1000, report_period=0) as simulation,
        open_site(
            Path(folder) / "site",
            simulation,
            cells=cells,
            cell_mib=cell_mib,
            reference_mib=reference_mib,
            program=program,
            settings=f"{_LIMITS}{settings}",
        ) as site,
        EchoServer(site.worker.config) as echo,
        Connection(site.profile.target, site.profile.tls(), room=room) as to_worker,
        Connection(echo.target, site.profile.tls(), room=room) as to_echo,
        EchoServer(site.worker.config, side="tls") as own,
        Connection(own.target, site.profile.tls(), room=room) as to_own,
        site.client() as client,
    ):
        yield Stand(
            site=site,
            echo=echo,
            to_worker=to_worker,
            to_echo=to_echo,
            own=own,
            to_own=to_own,
            attested=client.attest(),
        )
