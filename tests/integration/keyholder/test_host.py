"""The keyholder on its own, with a supervisor and a front made here: a front cannot admit on an unfit machine."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cji_core.errors import Reason
from cji_core.format.configuration.table_files import read_table_files
from cji_core.format.configuration.worker import load
from cji_simulator.launch import worker_config
from cji_simulator.simulation import Simulation
from cji_simulator.worker import working_tree
from cji_worker.host import HostReport
from cji_worker.ipc import SLOT_PAGE_BYTES, Boot, Channel, send_boot
from cji_worker.ipc.messages import (
    Admit,
    Beat,
    ChildFromSupervisor,
    Ended,
    FrontFromKeyholder,
    HostConditions,
    Identities,
    KeyholderFromFront,
    NotReady,
    SupervisorFromChild,
)
from cji_worker.launch import command
from cji_worker.memory import heap_environment, secret_fd
from tests.support.connections import TRANSPORT
from tests.support.privileges import locks_memory

FIT = HostReport(not_held=(), profile="cji-host-1")
SWAPS = HostReport(not_held=("swap",), profile="cji-host-1")


class Alone:
    """A running keyholder and our ends of its channels."""

    def __init__(self, folder: Path, azure: Simulation) -> None:
        files = worker_config(folder, simulation=azure, keys=[azure.create_cmk("cji-alone")])
        ends = [Channel.pair() for _ in range(3)]
        (supervisor, *_), (front, *_), (self.zygote, *_) = ends
        theirs = [pair[1].fileno() for pair in ends]
        region, slot = secret_fd(96 << 20), secret_fd(SLOT_PAGE_BYTES)
        boot = send_boot(
            Boot(
                config=load(files.config),
                code=working_tree(),
                trust=msgspec.json.encode(azure.trust),
                tables=read_table_files(None),
                host=FIT,
                supervisor=theirs[0],
                parent=os.getpid(),
                fronts=(theirs[1],),
                zygote=theirs[2],
                regions=(region,),
                slots=(slot,),
            )
        )
        self.process = subprocess.Popen(
            command("cji_worker.keyholder", str(boot)),
            pass_fds=(boot, *theirs, region, slot),
            env={"PATH": "/usr/bin:/bin", **heap_environment()},
        )
        for pair in ends:
            pair[1].close()
        self.supervisor: Channel[SupervisorFromChild, ChildFromSupervisor] = Channel(supervisor, SupervisorFromChild)
        self.front: Channel[FrontFromKeyholder, KeyholderFromFront] = Channel(front, FrontFromKeyholder)
        self.supervisor.receive()

    def admit(self, call: int) -> Reason:
        """The answer to a header that is no header: it is read only if the machine is fit."""
        self.front.send(
            Admit(
                call=call,
                submitter="x",
                source="y",
                transport=TRANSPORT,
                correlation_id="z",
                header=b"?",
                signature=b"?",
            )
        )
        while True:
            match self.front.receive()[0]:
                case Ended(call=ended, reason=reason) if ended == call:
                    return reason
                case other:
                    assert isinstance(other, NotReady | Identities | Beat)


@pytest.fixture
def alone(azure: Simulation, tmp_path: Path) -> Iterator[Alone]:
    running = Alone(tmp_path, azure)
    yield running
    running.process.kill()
    running.process.wait()


@locks_memory
def test_a_lying_front_admits_nothing_on_an_unfit_machine(alone: Alone) -> None:
    assert alone.admit(1) is Reason.MALFORMED_HEADER
    answers: list[Reason] = []
    for report in (SWAPS, FIT):
        alone.supervisor.send(HostConditions(report=report))
        for call in range(2, 200):
            if (answer := alone.admit(call)) is not (answers or [Reason.MALFORMED_HEADER])[-1]:
                break
        answers.append(answer)
    assert answers == [Reason.NOT_READY, Reason.MALFORMED_HEADER]
