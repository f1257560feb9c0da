"""While an admission waits for the disk, its cell may end, its caller may leave, and its call may come again."""

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from cji_attestation import AZURE_US
from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job import new_job_id, parse
from cji_core.operations.registry import OPERATIONS
from cji_core.operations.screen import Screen
from cji_core.trail import JobEnded
from cji_worker.ipc import KeySlot
from cji_worker.ipc.keyslot import SLOT_PAGE_BYTES
from cji_worker.ipc.messages import Admit, Ended
from cji_worker.keyholder.admission import AdmissionControl
from cji_worker.keyholder.admissions import Admissions
from cji_worker.keyholder.cells import Cells
from cji_worker.keyholder.delivery import DeliveryWatch
from cji_worker.keyholder.entra import KeySets, SecondIdentity
from cji_worker.keyholder.finishing import Finishes
from cji_worker.keyholder.jobs import Jobs
from cji_worker.keyholder.lifecycle import Done
from cji_worker.keyholder.policy import PolicyInForce
from cji_worker.keyholder.refusals import Refusals
from cji_worker.memory import secret_fd
from tests.support.contexts import TABLES
from tests.support.job_headers import make
from tests.support.keyholder_bench import KEK, Bench, bench, finish_order, sealed_to
from tests.support.task_statements import DEK, Honest

HONEST = Honest()
LEFT = Refusal(Reason.INCOMPLETE, stage=Stage.COMPUTE)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as found:
        yield found


@pytest.fixture
def slot() -> KeySlot:
    """The only one: each cell is the next of the same slot."""
    return KeySlot(secret_fd(SLOT_PAGE_BYTES))


@pytest.fixture
def cells(slot: KeySlot) -> Cells:
    return Cells([slot])


@pytest.fixture
def jobs(desk: Bench, cells: Cells) -> Jobs:
    config: Any = SimpleNamespace(worker=SimpleNamespace(cells=1), limits=SimpleNamespace(queue_seconds=0))
    policy = PolicyInForce(desk.policy)
    return Jobs(
        config=config,
        policy=policy,
        audit=desk.audit,
        admission=AdmissionControl(
            audience="pool-1",
            policy=policy,
            audit=desk.audit,
            tables=TABLES,
            second=SecondIdentity(audience=None, keys=KeySets(AZURE_US)),
            admissions=Admissions(desk.signer.thumbprint),
            clock=lambda: 0.0,
        ),
        custody=desk.custody,
        cells=cells,
        references=desk.references,
        host=desk.host,
        delivery=DeliveryWatch(None, trail=desk.path, audit=desk.audit),
        effects=desk.effects,
        refusals=Refusals(policy, lambda event: isinstance(desk.effects.write(event), Done)),
        finishes=Finishes(effects=desk.effects, signer=desk.signer, custody=desk.custody),
    )


def whole_job(call: int, **changes: Any) -> Admit:
    now, members = datetime.now(UTC).replace(microsecond=0), {**sealed_to(DEK), **changes}
    header = parse(make(job_id=new_job_id(), created=now, not_after=now + timedelta(hours=1), **members))
    return replace(finish_order(header, HONEST.plan, call=call), finish=None)


def next_cell(cells: Cells, number: int) -> socket.socket:
    """Announce a cell; return the cell's end of its control channel."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    cells.add(number, cell_slot=0, fds=[ours.detach(), os.dup(0), os.dup(0)])
    return theirs


async def test_a_job_without_its_reference_costs_no_cell(desk: Bench, cells: Cells, jobs: Jobs) -> None:
    """It is refused before it has the cell, whose channel and descriptors nobody else would close."""
    screened = OPERATIONS["screen"].message(Screen(preset="ncic_qw", resident_reference="00" * 32))
    with next_cell(cells, 1):
        jobs.admit(whole_job(7, operations=[screened]))
        assert [each.reason for each in desk.messages() if isinstance(each, Ended)] == [Reason.UNKNOWN_REFERENCE]
        assert cells.count == 1
        jobs.admit(whole_job(8))
        assert (cells.count, jobs.running) == (0, 1)
        jobs.end_all()


async def test_a_call_that_comes_again_keeps_its_new_job(desk: Bench, cells: Cells, jobs: Jobs) -> None:
    """The first job of the call is over before its line was delivered. The second one still ends with its key."""
    with next_cell(cells, 1), next_cell(cells, 2):
        jobs.admit(whole_job(7))
        jobs.abort(7, LEFT)
        jobs.admit(whole_job(7))
        assert jobs.running == 1
        desk.audit.settle()
        desk.audit.deliver()
        assert jobs.running == 1
        jobs.end_of_key(KEK, Reason.KEY_RELEASE_DENIED)
        assert jobs.running == 0
    ends = [event.reason for event in desk.events if isinstance(event, JobEnded)]
    assert ends == [Reason.INCOMPLETE, Reason.KEY_RELEASE_DENIED]
    assert [message.reason for message in desk.messages() if isinstance(message, Ended)] == ends


async def test_the_next_cell_sees_no_keys_of_the_one_before(
    desk: Bench, cells: Cells, jobs: Jobs, slot: KeySlot
) -> None:
    """A job's cell ended while its admission waited, and the next cell of the slot has the keys of another job."""
    first = next_cell(cells, 1)
    jobs.admit(whole_job(7))
    first.close()
    cells.remove(1)
    with next_cell(cells, 2):
        slot.put([b"of the second job"])
        desk.audit.settle()
        desk.audit.deliver()
        assert slot.take() == [b"of the second job"]
        jobs.end_all()
