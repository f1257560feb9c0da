"""How many fronts a worker has, and what belongs to each by its number."""

import itertools
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from cji_core.errors import Reason, Stage
from cji_worker import fronts
from cji_worker.fronts import FRONT_NAMES, call_numbers, cores_counted, front_count, front_of, socket_of, usable_cores
from cji_worker.ipc import Channel, ChannelClosed
from cji_worker.ipc.messages import (
    Attest,
    Drained,
    Ended,
    FrontFromKeyholder,
    KeyholderFromFront,
    NotReady,
    RefusedCalls,
)
from cji_worker.keyholder.fronts import Fronts


def machine(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


V2 = {"proc/self/cgroup": "0::/a/b\n"}
V1 = {"proc/self/cgroup": "4:memory:/a\n3:cpu,cpuacct:/a/b\n0::/\n"}
HERE = float(len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, HERE),
        (V2, HERE),
        ({**V2, "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, HERE),
        ({**V2, "sys/fs/cgroup/a/b/cpu.max": "50000 100000\n"}, 0.5),
        ({**V2, "sys/fs/cgroup/a/b/cpu.max": "90000 100000\n", "sys/fs/cgroup/a/cpu.max": "20000 100000\n"}, 0.2),
        ({**V2, "sys/fs/cgroup/a/c/cpu.max": "20000 100000\n"}, HERE),
        ({**V2, "sys/fs/cgroup/a/b/cpu.max": "x 0\n"}, HERE),
        ({**V1, "sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1\n"}, HERE),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "25000\n",
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
            },
            0.25,
        ),
    ],
)
def test_quotas_of_both_versions_bound_the_cores(tmp_path: Path, files: Mapping[str, str], cores: float) -> None:
    assert usable_cores(machine(tmp_path, files)) == cores


@pytest.mark.parametrize(("cores", "count"), [(0.2, 1), (2, 1), (3, 1), (4, 2), (8, 3), (16, 6), (48, 16), (400, 16)])
def test_auto_is_a_front_for_every_three_cores(monkeypatch: pytest.MonkeyPatch, cores: float, count: int) -> None:
    monkeypatch.setattr(fronts, "usable_cores", lambda: cores)
    assert (front_count("auto"), cores_counted("auto")) == (count, cores)
    assert (front_count(5), cores_counted(5)) == (5, None)


def test_sockets_and_calls_are_of_one_front_each() -> None:
    assert [socket_of("/run/x/front.sock", n) for n in (0, 1, 15)] == [
        "/run/x/front.sock",
        "/run/x/front.sock.1",
        "/run/x/front.sock.15",
    ]
    numbers = {front: list(itertools.islice(call_numbers(front), 1000)) for front in range(len(FRONT_NAMES))}
    assert len({number for found in numbers.values() for number in found}) == 16_000
    assert all(front_of(number) == front for front, found in numbers.items() for number in found)


def pairs(count: int) -> tuple[Fronts, list[Channel[FrontFromKeyholder, KeyholderFromFront]]]:
    ends = [Channel.pair() for _ in range(count)]
    ours = [Channel[KeyholderFromFront, FrontFromKeyholder](one, KeyholderFromFront) for one, _ in ends]
    return Fronts(ours), [Channel(other, FrontFromKeyholder) for _, other in ends]


async def test_a_front_speaks_of_its_own_calls_alone() -> None:
    keyholder, theirs = pairs(3)
    for front, channel in enumerate(theirs):
        for number in range(3):
            call = next(call_numbers(number))
            channel.send(Attest(call=call, nonce=bytes(32)))
            if number == front:
                assert await keyholder.receive(front) == Attest(call=call, nonce=bytes(32))
                continue
            with pytest.raises(ChannelClosed):
                await keyholder.receive(front)
    for call in (-1, (1 << 63) - 1):
        theirs[0].send(Attest(call=call, nonce=bytes(32)))
        with pytest.raises(ChannelClosed):
            await keyholder.receive(0)


async def test_an_answer_goes_to_the_front_of_its_call() -> None:
    keyholder, theirs = pairs(2)
    answer = Ended(call=next(call_numbers(1)), reason=Reason.OVERLOADED, stage=Stage.ADMIT)
    keyholder.send(answer)
    assert theirs[1].receive()[0] == answer
    with pytest.raises(BlockingIOError):
        theirs[0].receive(flags=socket.MSG_DONTWAIT)


async def test_a_front_that_drained_gets_nothing() -> None:
    keyholder, theirs = pairs(2)
    theirs[0].send(Drained())
    assert await keyholder.receive(0) is None
    theirs[0].close()
    keyholder.broadcast(NotReady(reason=Reason.NOT_READY, condition="keys"))
    assert isinstance(theirs[1].receive()[0], NotReady)
    refused = RefusedCalls(reason=Reason.OVERLOADED, count=1, source="", identity="")
    theirs[1].send(refused)
    assert await keyholder.receive(1) == refused
