"""Progress through the front: a cell sends the number of a step, never a text of its own."""

import asyncio
import os
import socket
from typing import Any

import msgspec
import pytest

from cji_core.errors import Reason, Stage
from cji_core.operations.registry import OPERATIONS, STEPS
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.front.job_stream import JobStream
from cji_worker.ipc import Channel, ChannelClosed, Ring
from cji_worker.ipc.messages import Admitted, ProgressMade
from tests.support.refusals import refused


class Caller:
    """The caller's end of a call: keeps the messages that the front writes."""

    def __init__(self) -> None:
        self.written: list[pb.RunResponse] = []

    async def write(self, message: bytes) -> None:
        self.written.append(pb.RunResponse.FromString(message))


def passed_on(*messages: bytes) -> list[tuple[str, int]]:
    """(step, per cent) of each message that the caller gets when a cell sends these."""
    ours, theirs = Channel.pair()
    for message in messages:
        theirs.send(message)
    theirs.shutdown(socket.SHUT_WR)
    ring, caller, unused = Ring.create(), Caller(), Any
    admitted = Admitted(call=1, inputs=1, outputs=2, steps=("rows", "check"))
    fds = [ours.detach(), os.dup(ring.fd)]
    job = JobStream(caller, unused, unused, admitted, fds, header_sha384=bytes(48), idle_seconds=5)  # type: ignore[arg-type]
    try:
        asyncio.run(job._downstream())
    except ChannelClosed:
        if len(caller.written) != len(messages):
            raise
    finally:
        job.close()
        theirs.close()
        ring.close()
    return [(one.progress.stage, one.progress.per_cent) for one in caller.written]


def progress(step: object, per_cent: object = 50) -> bytes:
    return msgspec.msgpack.encode({"type": "ProgressMade", "step": step, "per_cent": per_cent})


def test_a_step_has_the_name_that_the_keyholder_gave_it() -> None:
    assert progress(1) == msgspec.msgpack.encode(ProgressMade(step=1, per_cent=50))
    assert passed_on(progress(1), progress(0, 100)) == [("check", 50), ("rows", 100)]


def test_a_step_without_a_name_ends_the_job() -> None:
    with refused(Reason.CELL_FAILED, stage=Stage.COMPUTE):
        passed_on(progress(2))


@pytest.mark.parametrize("message", [progress("SMITH,JOHN"), progress(-1), progress(1, 101), progress(1, "SMITH")])
def test_a_cell_cannot_send_text_as_progress(message: bytes) -> None:
    with pytest.raises(ChannelClosed):
        passed_on(message)


def test_every_step_of_every_operation_has_a_number() -> None:
    declared = {step for operation in OPERATIONS.values() for step in operation.steps}
    assert STEPS[0] == "rows"
    assert len(STEPS) == len(set(STEPS)) <= 256
    assert declared | {"rows"} == set(STEPS)
