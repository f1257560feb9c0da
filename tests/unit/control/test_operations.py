"""The supervisor's part: files pass through it, each child can say only what is its own, and no child blocks it."""

import os
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from cji_core.format.configuration.worker import Config
from cji_worker.control.operations import Operations, WorkerMustEnd
from cji_worker.control.reload import DRAINING
from cji_worker.control.status import ProcessStatus
from cji_worker.fronts import FRONT_NAMES
from cji_worker.host import NOTHING_HELD
from cji_worker.ipc import Channel, ChannelClosed, hand_over, take_over
from cji_worker.ipc.messages import (
    SUPERVISOR_FROM,
    ClientDigests,
    ClientsChange,
    CommitClients,
    CommitPolicy,
    Committed,
    ControlFromSupervisor,
    EverywhereInForce,
    FrontFromSupervisor,
    KeyholderFromSupervisor,
    NewFiles,
    NotRead,
    PrepareClients,
    Prepared,
    PreparePolicy,
    Reloaded,
    Snapshot,
    reload_fault,
)
from tests.support.worker_configs import WORKER_CONFIG

CONFIG = msgspec.convert(msgspec.toml.decode(WORKER_CONFIG), Config)
DIGESTS = ClientDigests(client_roots=bytes(48), client_crl=None)
CLIENTS = ClientsChange(before=DIGESTS, after=DIGESTS)
PROCESSES = [ProcessStatus(name="front", pid=7, age=0.1, silent=False)]
HEARD = {
    "front": FrontFromSupervisor,
    "front-1": FrontFromSupervisor,
    "keyholder": KeyholderFromSupervisor,
    "control": ControlFromSupervisor,
}


class Family:
    """A supervisor's part, and the far ends of its channels."""

    def __init__(self) -> None:
        self.children: dict[str, Channel[Any, Any]] = {}
        near: dict[str, Channel[Any, Any]] = {}
        for name, heard in HEARD.items():
            ours, theirs = Channel.pair()
            near[name] = Channel(ours, SUPERVISOR_FROM[name])
            self.children[name] = Channel(theirs, heard)
        self.near, self.operations = near, Operations(CONFIG, near, FRONT_NAMES[:2])

    def say(self, child: str, message: Any, fds: list[int] | None = None) -> None:
        self.children[child].send(message, fds or [])
        for fd in fds or []:
            os.close(fd)
        self.operations.take(child, *self.near[child].receive())

    def hear(self, child: str) -> tuple[Any, list[int]]:
        return self.children[child].receive()

    def beat(self, *, draining: bool = False) -> None:
        self.operations.beat(NOTHING_HELD, PROCESSES, draining=draining)


@pytest.fixture
def family() -> Iterator[Family]:
    made = Family()
    yield made
    for channel in (*made.near.values(), *made.children.values()):
        channel.close()


def files() -> list[int]:
    return [hand_over(b"policy"), hand_over(b"clients")]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_front_that_drained_holds_up_no_reload(family: Family) -> None:
    """Of a worker that drains, one front has no call any more: the others switch, and their jobs go on."""
    family.say("control", NewFiles(by="command", uid=7), files())
    family.hear("front-1")
    for name, clients in (("keyholder", None), ("front", CLIENTS), ("front-1", CLIENTS)):
        family.say(name, Prepared(number=1, clients=clients))
    family.children["front"].close()
    family.say("keyholder", Committed(number=1))
    assert family.hear("front-1")[0] == CommitClients(number=1)
    family.operations.drained("front")
    family.say("front-1", Committed(number=1))
    assert family.hear("control")[0] == Reloaded(fault=None)
    family.operations.drained("front-1")  # the last one, between reloads


def test_files_go_to_their_checkers_and_none_is_kept(family: Family) -> None:
    before = descriptors()
    family.say("control", NewFiles(by="command", uid=7), files())
    policy, (one,) = family.hear("keyholder")
    assert (policy, take_over(one, most=100)) == (PreparePolicy(number=1), b"policy")
    for front in ("front", "front-1"):
        clients, (two,) = family.hear(front)
        assert (clients, take_over(two, most=100)) == (PrepareClients(number=1), b"clients")
    assert descriptors() == before
    assert set(family.operations.service_state()) == {"RELOADING", "MONOTONIC_USEC", "STATUS"}
    family.say("keyholder", Prepared(number=1))
    family.say("front", Prepared(number=1, clients=CLIENTS))
    family.say("front-1", Prepared(number=1, clients=CLIENTS))
    assert family.hear("keyholder")[0] == CommitPolicy(number=1, by="command", uid=7, clients=CLIENTS)
    family.say("keyholder", Committed(number=1))
    for front in ("front", "front-1"):
        assert family.hear(front)[0] == CommitClients(number=1)
        family.say(front, Committed(number=1))
    assert family.hear("keyholder")[0] == EverywhereInForce(number=1)
    assert family.hear("control")[0] == Reloaded(fault=None)
    assert family.operations.service_state() == {"READY": "1", "STATUS": "serving"}


def test_the_time_of_a_reload_is_the_one_that_systemd_reads(family: Family) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    family.say("control", NewFiles(by="signal", uid=0), files())
    told = int(family.operations.service_state()["MONOTONIC_USEC"])
    assert before <= told <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_no_reload_begins_while_the_worker_drains(family: Family) -> None:
    family.beat(draining=True)
    assert isinstance(family.hear("control")[0], Snapshot)
    before = descriptors()
    family.say("control", NewFiles(by="command", uid=7), files())
    assert family.hear("control")[0] == Reloaded(fault=DRAINING)
    assert descriptors() == before


def test_a_stopped_control_process_blocks_nobody(family: Family) -> None:
    for _ in range(2000):
        family.beat()
    family.operations.take("control", NotRead(by="signal", uid=1, fault=reload_fault("reload", "x", "y")), [])


def test_a_worker_with_an_unknown_state_ends(family: Family) -> None:
    family.say("control", NewFiles(by="command", uid=7), files())
    family.say("keyholder", Prepared(number=1))
    for front in ("front", "front-1"):
        family.say(front, Prepared(number=1, clients=CLIENTS))
    with pytest.raises(WorkerMustEnd):
        family.say("front", Committed(number=1))


@pytest.mark.parametrize("child", ["front", "keyholder", "zygote"])
def test_only_the_control_process_can_ask_for_a_reload(child: str) -> None:
    """Another process that says so, a compromised front first of all, is not understood: its channel closes."""
    ours, theirs = Channel.pair()
    liar: Channel[Any, Any] = Channel(theirs, ControlFromSupervisor)
    supervisor: Channel[Any, Any] = Channel(ours, SUPERVISOR_FROM[child])
    for message, fds in ((NewFiles(by="command", uid=0), files()), (NotRead(by="command", uid=0, fault=DRAINING), [])):
        before = descriptors()
        liar.send(message, fds)
        with pytest.raises(ChannelClosed):
            supervisor.receive()
        assert descriptors() == before
        for fd in fds:
            os.close(fd)
    supervisor.close()
    liar.close()


@pytest.mark.parametrize("text", ["", "\x1b[2J", "é", "x" * 5000, "a\nb"])
def test_a_fault_is_printable_and_bounded(text: str) -> None:
    """It is shown on the operator's terminal, and a part of it may come from a compromised front."""
    fault = reload_fault("policy_file", f"the policy {text}", f"Correct it {text}.")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(Reloaded(fault=fault)), type=Reloaded).fault == fault
    raw = msgspec.to_builtins(Reloaded(fault=fault))
    raw["fault"]["what"] = f"x{text}\x1b"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(raw, type=Reloaded)
