"""Watchers of the machine: its evidence, the keys that it holds, and the conditions that must hold."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from cji_audit.packet.watch.step import Endless, Fault, Step
from cji_core.trail.events import Attested, JobAdmitted, KeyDropped, KeyReleased
from cji_core.trail.worker_events import HostChanged, WorkerStarted

MAX_EVIDENCE: Final = 65_536


class Machines(Endless):
    """Keys are released to, and receipts are made on, machines whose evidence the trail has."""

    topic = "attested-machines"

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()

    def see(self, step: Step) -> Iterator[Fault]:
        """Each release and each receipt with other evidence."""
        event = step.event
        if isinstance(event, Attested):
            self._known[event.evidence_sha384] = None
            if len(self._known) > MAX_EVIDENCE:
                self._known.popitem(last=False)
        elif isinstance(event, KeyReleased) and event.evidence_sha384 not in self._known:
            yield step.line, "the key was released for evidence that was not attested"
        if step.receipt is not None and step.receipt[0].evidence_sha384 not in self._known:
            yield step.line, "the receipt names evidence that was not attested"


class Keys(Endless):
    """Jobs are admitted under keys that were released and not dropped."""

    topic = "released-keys"

    def __init__(self) -> None:
        self._held: set[str] = set()

    def see(self, step: Step) -> Iterator[Fault]:
        """Each job under another key."""
        event = step.event
        if isinstance(event, WorkerStarted):
            self._held.clear()
        elif isinstance(event, KeyReleased):
            self._held.add(event.kek_id)
        elif isinstance(event, KeyDropped):
            self._held.discard(event.kek_id)
        elif isinstance(event, JobAdmitted) and event.kek_id not in self._held:
            yield step.line, "the job was admitted under a key that was not held"


class Host(Endless):
    """No job is admitted while a condition of the machine is unmet."""

    topic = "host-profile"

    def __init__(self) -> None:
        self._unmet = 0

    def see(self, step: Step) -> Iterator[Fault]:
        """Each job at such a time."""
        event = step.event
        if isinstance(event, WorkerStarted):
            self._unmet = 0
        elif isinstance(event, HostChanged):
            self._unmet = len(event.unmet)
        elif isinstance(event, JobAdmitted) and self._unmet:
            yield step.line, f"the job was admitted while {self._unmet} conditions of the machine were unmet"
