"""Faults of sinks and of the deliverer, counted: `python -m tests.support.sink_faults --faults 900 --kills 100`.

A trail grows while a deliverer takes it to an endpoint that fails in every way (`sink_server`), to a journal and to a
file. The deliverer is killed at named points and started again. At the end every sink must have every event of the
trail, and no other id.

Three processes: the endpoint; the deliverer, forked for each of its lives from this one, which has loaded the libraries
and has one thread; this one, which writes the trail and is the journal. Nothing in the product knows of it.
"""

import argparse
import itertools
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from azure.core.credentials import AccessToken

from cji_core.errors import Reason
from cji_core.trail import GENESIS, CallsRefused, append_record
from cji_core.trail.chain import read
from cji_core.trail.delivered import read_position
from cji_core.trail.delivery import load_delivery
from cji_core.trail.event_id import event_id
from cji_worker.deliverer.deliverer import Deliverer
from cji_worker.deliverer.sinks import Azure, Cloud, sinks
from cji_worker.deliverer.sinks import sink as sink_module
from cji_worker.deliverer.sinks.event_hubs import EventHubs
from cji_worker.deliverer.sinks.file import FileLines
from cji_worker.deliverer.sinks.journald import Journald
from cji_worker.deliverer.sinks.monitor import Monitor
from tests.support.sink_server import TOKEN, Certificates, SinkServer, script

__all__ = ["CLOUD", "POINTS", "Outcome", "Trail", "azure_of", "run"]

POINTS: Final = ("before-send", "after-send", "before-position", "position-on-disk", "after-position")
CLOUD: Final = Cloud(
    monitor_host="localhost",
    monitor_scope="https://monitor.azure.com//.default",
    event_hubs_host="localhost",
    event_hubs_scope="https://eventhubs.azure.net//.default",
)
_NAMES: Final = ("sentinel", "siem", "journal", "shipper")
_CARRIERS: Final = (Monitor, EventHubs, Journald, FileLines)
_BATCH: Final = 5
"""Events in a batch of the test, so that there are many batches."""
_ROUND: Final = 60
"""Events that are new in each life of the deliverer."""
_PATIENCE_S: Final = 1800.0


class _Credential:
    """A token that never expires."""

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken(TOKEN, 2**40)


def azure_of(roots: Path, *, seconds: float = 0.4) -> Azure:
    """Azure, as the deliverer of a test sees it."""
    return Azure(clouds={"azure-us": CLOUD}, roots=str(roots), credential=lambda _: _Credential(), seconds=seconds)


class Trail:
    """A trail that grows, and the ids of its events."""

    def __init__(self, path: Path) -> None:
        self.path, self.ids, self._head = path, list[str](), GENESIS
        path.touch()

    def grow(self, count: int, *, time: str = "2026-11-24T15:00:00.12Z") -> None:
        """Append lines."""
        with self.path.open("ab") as file:
            for number in range(count):
                event = CallsRefused(reason=Reason.OVERLOADED, count=number, seconds=10, source="ipv4:10.0.0.7:50000")
                self._head, line = append_record(event, head=self._head, time=time, worker="worker-1")
                file.write(line)
                self.ids.append(event_id(read(line)))


@dataclass(kw_only=True)
class Outcome:
    """Faults and kills by kind; for each sink, events that it lacks, that are unknown, that came again or too early."""

    faults: Counter[str]
    kills: Counter[str]
    events: int
    seconds: float
    lost: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)
    early: dict[str, int] = field(default_factory=dict)

    @property
    def injected(self) -> int:
        """All faults."""
        return self.faults.total() + self.kills.total()

    @property
    def clean(self) -> bool:
        """Whether every sink has the ids of the trail, in its order, and no other."""
        return not any(sum(found.values()) for found in (self.lost, self.unknown, self.early))


class _Bench:
    """The parts of one run."""

    def __init__(self, folder: Path, *, faults: int, seed: int) -> None:
        self.folder, self.deeds, self.state = folder, folder / "deeds.jsonl", folder / "state"
        self.deeds.touch()
        self.state.mkdir()
        self.certificates = Certificates.make(folder)
        self.trail = Trail(folder / "audit.log")
        self.server = SinkServer(self.certificates, self.deeds, next_fault=script(faults, seed=seed))
        self.config = folder / "audit.toml"
        self.config.write_text(_CONFIGURATION.format(url=self.server.url, folder=folder))
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.journal.bind(str(folder / "journal.sock"))
        self.journal.settimeout(0.02)
        self.entries: list[str] = []

    def live(self, *, kill: tuple[str, int] | None = None) -> int:
        """One life of the deliverer, until everything is delivered or it is killed; its status, or minus its signal."""
        pid = _forked(lambda: self._deliver(kill), self.folder / "deliverer.log")
        while True:
            self._receive()
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                while self._receive():
                    pass
                return os.waitstatus_to_exitcode(status)

    def _receive(self) -> bool:
        try:
            entry = self.journal.recv(1 << 20)
        except TimeoutError:
            return False
        self.entries += [line[13:].decode() for line in entry.split(b"\n") if line.startswith(b"CJI_EVENT_ID=")]
        return True

    def _deliver(self, kill: tuple[str, int] | None) -> None:
        for carrier in _CARRIERS:
            carrier.max_events = _BATCH
        destinations = sinks(load_delivery(self.config), azure_of(self.certificates.roots))
        if kill is not None:
            _kill_at(*kill)
        deliverer = Deliverer(destinations, first_s=0.005, most_s=0.05)
        head = len(self.trail.ids)

        def stop_when_done() -> None:
            while not all((read_position(self.state, name) or _NOWHERE).seq == head for name in _NAMES):
                time.sleep(0.01)
            deliverer.stop()

        threading.Thread(target=stop_when_done, daemon=True).start()
        deliverer.run()

    def faults(self) -> Counter[str]:
        """Those of the endpoint so far."""
        return Counter(deed["fault"] for deed in self._read() if "fault" in deed)

    def received(self) -> dict[str, list[str]]:
        """The ids that each sink accepted, in order."""
        deeds = [deed for deed in self._read() if "ids" in deed]
        by_hub = [
            list(itertools.chain(*(d["ids"] for d in deeds if d["path"].endswith("/messages") is hub)))
            for hub in (False, True)
        ]
        lines = (self.folder / "shipper.jsonl").read_text().splitlines()
        return dict(zip(_NAMES, (*by_hub, self.entries, [json.loads(line)["event_id"] for line in lines]), strict=True))

    def _read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.deeds.read_text().splitlines()]


@dataclass(frozen=True)
class _Nowhere:
    seq: int = -1


_NOWHERE: Final = _Nowhere()
_CONFIGURATION: Final = """
trail = "audit.log"
state = "state"
[[sinks]]
name = "sentinel"
kind = "monitor"
endpoint = "{url}"
rule = "dcr-0123456789abcdef0123456789abcdef"
stream = "Custom-CjiAudit"
[[sinks]]
name = "siem"
kind = "event_hubs"
namespace = "{url}"
hub = "cji-audit"
[[sinks]]
name = "journal"
kind = "journald"
socket = "{folder}/journal.sock"
[[sinks]]
name = "shipper"
kind = "file"
path = "{folder}/shipper.jsonl"
"""


def run(folder: Path, *, faults: int, kills: int, seed: int) -> Outcome:
    """Deliver a trail under this many faults of the endpoint and of the deliverer."""
    started = time.monotonic()
    bench = _Bench(folder, faults=faults, seed=seed)
    endpoint = _forked(bench.server.serve, folder / "endpoint.log")
    bench.server.leave()
    killed: Counter[str] = Counter()
    try:
        while killed.total() < kills or bench.faults().total() < faults:
            bench.trail.grow(_ROUND)
            number = killed.total()
            kill = (POINTS[number % len(POINTS)], 1 + number % 11) if number < kills else None
            status = bench.live(kill=kill)
            if kill is not None and status == -signal.SIGKILL:
                killed[kill[0]] += 1
            else:
                assert status == 0, f"the deliverer ended with {status}"
            assert time.monotonic() - started < _PATIENCE_S
        assert bench.live() == 0
    finally:
        os.kill(endpoint, signal.SIGKILL)
        os.waitpid(endpoint, 0)
        bench.journal.close()
    ids = bench.trail.ids
    outcome = Outcome(faults=bench.faults(), kills=killed, events=len(ids), seconds=time.monotonic() - started)
    for name, found in bench.received().items():
        _judge(outcome, name, found, ids)
    return outcome


def _judge(outcome: Outcome, name: str, found: list[str], ids: list[str]) -> None:
    known, place = set(found), {uid: number for number, uid in enumerate(ids)}
    outcome.lost[name] = len(set(ids) - known)
    outcome.unknown[name] = len(known - set(ids))
    outcome.again[name] = len(found) - len(known)
    firsts = [place[uid] for uid in dict.fromkeys(found) if uid in place]
    outcome.early[name] = sum(after < before for before, after in itertools.pairwise(firsts))


def _kill_at(point: str, count: int) -> None:
    """End this process without warning when it comes to a point for the `count`-th time."""
    left, lock = itertools.count(count - 1, -1), threading.Lock()

    def at(here: str) -> None:
        if here == point:
            with lock:
                if next(left) == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

    def around(owner: Any, name: str, before: str, after: str) -> None:
        inner = getattr(owner, name)

        def outer(*args: Any, **options: Any) -> Any:
            at(before)
            result = inner(*args, **options)
            at(after)
            return result

        setattr(owner, name, outer)

    for carrier in _CARRIERS:
        around(carrier, "send", "before-send", "after-send")
    around(sink_module, "write_position", "before-position", "after-position")
    around(Path, "replace", "position-on-disk", "")


def _forked(body: Callable[[], None], log_file: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 2)
        body()
        status = 0
    finally:
        os._exit(status)


def main() -> int:
    """Print the figures; the status is 1 if an event was lost or doubled."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--faults", type=int, default=900, help="of the endpoint")
    parser.add_argument("--kills", type=int, default=100, help="of the deliverer")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cji-sinks-") as folder:
        outcome = run(Path(folder), faults=chosen.faults, kills=chosen.kills, seed=chosen.seed)
    print(f"{outcome.injected} faults, {outcome.events} events, {outcome.seconds:.0f} s, seed {chosen.seed}")
    for kind, count in sorted((outcome.faults + outcome.kills).items()):
        print(f"{count:7}  {kind}")
    for name in _NAMES:
        print(
            f"{name:9} lost {outcome.lost[name]}, unknown {outcome.unknown[name]}, out of order {outcome.early[name]}, "
            f"sent again under its id {outcome.again[name]}"
        )
    return 0 if outcome.clean else 1


if __name__ == "__main__":
    sys.exit(main())
