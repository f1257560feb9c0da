"""An admission and the job that it started, as the keyholder keeps them until the job is over."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from cji_core.errors import Refusal
from cji_core.format.job import Attribution, Grant, Header, JobPlan
from cji_core.jose import VerifyingKey
from cji_core.operations.registry import Plan
from cji_core.operations.stages.streams import TaskStreams
from cji_core.trail import JobCompleted
from cji_worker.ipc.messages import Admit, CountedPart, SealedPart, Summary, Witnessed
from cji_worker.keyholder.cells import Cell
from cji_worker.keyholder.entra import VerifiedToken
from cji_worker.keyholder.holdings import HeldKey
from cji_worker.keyholder.lifecycle import Phase
from cji_worker.keyholder.references import Owner, Tenancy
from cji_worker.keyholder.tasks import AdmittedTask
from cji_worker.keyholder.witnesses import Agreed
from cji_worker.trail.waiting import Line


class Proven(NamedTuple):
    """Results of a check about the bytes of a request, which do not change: who signed them, what they ask for."""

    signing_key: VerifyingKey
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A job that passed all checks of `AdmissionControl`."""

    header: Header
    grant: Grant
    plan: Plan
    key: HeldKey
    proven: Proven | None = None
    """For another check of the same request."""
    token: VerifiedToken | None = None
    """The second identity of its submitter."""
    task: AdmittedTask | None = None
    """The task of the job that is admitted, in place of the whole job."""
    finish: tuple[TaskStreams, JobPlan] | None = None
    """The tasks and the plan of a job in parts that is to be finished."""

    @property
    def owner(self) -> Owner:
        """Owner of its resident reference."""
        return Owner(self.grant.submitter, self.header.kek_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The opened secrets of a job: its keys, in the order of a key slot (`cji_worker.ipc.keyslot`), and attribution."""

    keys: list[bytes] = field(repr=False)
    attribution: Attribution


@dataclass(slots=True, kw_only=True)
class Attempt:
    """A job that was admitted, or a task of one."""

    request: Admit
    admission: Admission
    started: float
    """time.monotonic"""
    admitted_at: datetime
    entry: int | None = None
    """The number of its attempt entry in the pool ledger."""
    completed: JobCompleted | None = None
    """The event with its receipt, once it is on disk."""
    opened: Opened | Refusal | None = None
    """Known before the admission is written, and used up once it is on disk."""

    @property
    def call(self) -> int:
        """Number of its call."""
        return self.request.call

    @property
    def correlation_id(self) -> str:
        """Id of its call in logs and error details."""
        return self.request.correlation_id

    @property
    def source(self) -> str:
        """Address of the submitter."""
        return self.request.source


@dataclass(slots=True, kw_only=True)
class AdmittedJob(Attempt):
    """A job, or a task of one, with a cell of its own. Only `cji_worker.keyholder.jobs` changes it."""

    cell: Cell
    reference: Tenancy | None
    """Of a slot for its resident reference, if it uses one."""
    phase: Phase = Phase.ADMITTING
    admission_line: Line | None = None
    """Of the trail; it may wait, and be lost."""
    awaited: bool = False
    """Whether a task waits for its cell."""
    statement_key: bytes = field(default=b"", repr=False)
    """Of a task: the key of its statement's proof."""
    cell_streams: tuple[list[CountedPart], list[CountedPart]] = field(default_factory=lambda: ([], []))
    """Of a task: the streams in and out that the cell has stated so far."""
    front_streams: tuple[list[SealedPart], list[SealedPart]] = field(default_factory=lambda: ([], []))
    cell_statement: Summary | None = None
    front_statement: Witnessed | None = None
    agreed: Agreed | None = None
    """Once its receipt is on disk, as `receipt`."""
    receipt: str = ""
    result_header: bytes = field(default=b"", repr=False)
    response: bytes = field(default=b"", repr=False)
    """Of a task: the answer to its caller, once its statement is signed and its event on disk."""
