"""A whole job in parts against simulated workers: stage after stage, with all ciphertext in a dictionary.

`nodes` starts workers of one pool, each on a VM of its own, with the fleet's door and no fleet process. `PartsJob` does
what fleet process and engine do: it hands sealed streams from task to task and gives all statements to one worker.
Every step can be done by hand, so that a test can alter what it hands on.
"""

import hashlib
import io
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import grpc
import msgspec
import pyarrow as pa

from cji_client.errors import WorkerRefused, from_rpc
from cji_client.profile import load_profile
from cji_client.received import Output, parse_result_header
from cji_client.result import Result
from cji_client.seal import INPUT_NAME, SealedJob
from cji_client.verify import verify_result
from cji_core.errors import Reason
from cji_core.format.job import JobPlan, parse_plan
from cji_core.operations.parameters import Parameters
from cji_core.operations.stages.stage import Stage
from cji_core.operations.stages.streams import EdgeStream, PartStream, Stream, TaskStreams
from cji_core.trail import Event, PartDigest, VerifiedReceipt
from cji_core.trail.chain import read
from cji_core.wire.v1 import worker_pb2 as pb
from cji_core.wire.v1.worker_pb2_grpc import CjiWorkerStub
from cji_simulator.launch import Deployment, worker_config
from cji_simulator.patience import Patience
from cji_simulator.ports import free_port
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site
from cji_simulator.worker import PROGRAM, Worker
from tests.support.fleet_storage import pool_storage

_MESSAGE_BYTES: Final = 8 << 20
_FLEET: Final = """
[fleet]
socket = "{socket}"
blob_url = "{storage.blob_url}"
queue_url = "{storage.queue_url}"
ca_file = "{storage.ca_file}"
state = "{state}"

[ledger]
kind = "pool"
blob_url = "{storage.blob_url}"
ca_file = "{storage.ca_file}"

[limits]
idle_seconds = 600
"""

Segments = list[bytes]


@dataclass(frozen=True, kw_only=True)
class Node:
    """One worker, and its fleet's door."""

    site: Site
    stub: CjiWorkerStub
    pids: Mapping[str, int]

    @property
    def events(self) -> list[Event]:
        """Everything in its trail."""
        whole, _, _ = self.site.files.audit.read_bytes().rpartition(b"\n")
        return [read(line + b"\n").event for line in whole.split(b"\n")]


@contextmanager
def nodes(
    folder: Path, simulation: Simulation, *, count: int = 1, cells: int = 2, programs: Sequence[Sequence[str]] = ()
) -> Iterator[list[Node]]:
    """Workers of one pool, which share a key, a policy and a submitter; `programs` are what the first ones run."""
    cmk = simulation.create_cmk(f"cji-{folder.name}")
    first: Deployment | None = None
    started = list[Node]()
    with ExitStack() as stack:
        (folder / "storage").mkdir()
        storage = stack.enter_context(pool_storage(folder / "storage")).azurite
        for number in range(count):
            vm, home = simulation.another_vm(), folder / f"node-{number}"
            sockets = Path(tempfile.mkdtemp(prefix="cji-node-"))
            stack.callback(shutil.rmtree, sockets, ignore_errors=True)
            sockets.chmod(0o711)
            if first is None:
                files = first = worker_config(home, simulation=vm, keys=[cmk], cells=cells, reference_mib=0)
            else:
                files = _copied(first, home, sockets)
            text = files.config.read_text().replace('id = "worker-1"', f'id = "worker-{number + 1}"')
            door = sockets / "fleet" / "front.sock"
            files.config.write_text(text + _FLEET.format(socket=door, state=home / "fleet", storage=storage))
            program = programs[number] if number < len(programs) else PROGRAM
            worker = Worker(files.config, trust=vm.trust, log=home / "worker.log", program=program)
            stack.enter_context(worker)
            options = [("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.use_local_subchannel_pool", 1)]
            channel = stack.enter_context(grpc.insecure_channel(f"unix:{door}", options=options))
            profile = msgspec.structs.replace(load_profile(files.profile), target=files.target)
            site = Site(simulation=vm, cmk=cmk, files=files, worker=worker, profile=profile)
            started.append(Node(site=site, stub=CjiWorkerStub(channel), pids=worker.pids))
        yield started


def _copied(first: Deployment, home: Path, sockets: Path) -> Deployment:
    """The files of another worker of the pool of the first, before that had a fleet."""
    shutil.copytree(first.folder, home, ignore=shutil.ignore_patterns("state", "*.log", "*.door", "*.sock"))
    (home / "state").mkdir(mode=0o700)
    port = free_port()
    config = home / "worker.toml"
    text = config.read_text().partition("\n[fleet]")[0]
    text = re.sub(r"(?m)^port = \d+", f"port = {port}", text)
    config.write_text(re.sub(r'(?m)^socket = ".*"', f'socket = "{sockets}/door/front.sock"', text))
    return replace(
        first,
        folder=home,
        config=config,
        policy=home / "policy.toml",
        audit=home / "state" / "audit.jsonl",
        target=f"127.0.0.1:{port}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRan:
    """One attempt at a task: its statement, the segments of its output streams, the plan if it made one."""

    statement: str
    outputs: dict[Stream, Segments]
    plan: bytes


class Refused(Exception):  # noqa: N818 - what a test expects
    """The worker refused a call."""

    def __init__(self, refusal: WorkerRefused) -> None:
        super().__init__(refusal.reason, refusal.stage)
        self.reason, self.stage = refusal.reason, refusal.stage


@dataclass(kw_only=True)
class PartsJob:
    """A sealed job and everything of it that lies between the tasks, all of it ciphertext."""

    job: SealedJob
    submitter: str
    parts: dict[int, Segments]
    streams: TaskStreams
    plan: bytes = b""
    shuffled: dict[EdgeStream, Segments] = field(default_factory=dict)
    results: dict[int, Segments] = field(default_factory=dict)
    statements: dict[tuple[str, int], list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, job: SealedJob, tables: Mapping[str, pa.Table], *, submitter: str) -> "PartsJob":
        """`tables` by the name of the input."""
        parts = {
            part: list(segments)
            for number, each in enumerate(job.header.inputs)
            for part, segments in job.seal_parts(number, tables[each.name])
        }
        streams = TaskStreams.of(
            job.plan, [each.name for each in job.header.inputs], shards=job.header.inputs[-1].shards
        )
        return cls(job=job, submitter=submitter, parts=parts, streams=streams)

    @property
    def parsed_plan(self) -> JobPlan:
        """The plan."""
        return parse_plan(self.plan)

    def stage(self, name: str) -> Stage:
        """The stage of this name."""
        found = self.streams.stage(name)
        assert found is not None
        return found

    def inputs(self, stage: Stage, number: int) -> list[Segments]:
        """The segments of the input streams of a task."""
        named = self.streams.read_by(stage, number)
        return [self.parts[one.part] if isinstance(one, PartStream) else self.shuffled[one] for one in named]

    def attempt(
        self, node: Node, stage: Stage, number: int, /, *, inputs: Sequence[Segments] | None = None, **changes: Any
    ) -> TaskRan:
        """Run one task; `inputs` in place of its own, `changes` to the first message. Raises Refused."""
        inputs = self.inputs(stage, number) if inputs is None else inputs
        opened = self._opened(stage, number, streams=len(inputs))
        for name, value in changes.items():
            setattr(opened, name, value)
        answers = patiently(lambda: list(node.stub.RunTask(task_messages(opened, inputs), timeout=60)))
        return self._ran(stage, number, answers)

    @contextmanager
    def held(self, node: Node, stage: Stage, number: int) -> Iterator[Callable[[], TaskRan]]:
        """A task whose cell has all its input but the end; call what is yielded to let it end."""
        inputs, waiting = self.inputs(stage, number), SimpleQueue[pb.RunTaskRequest | None]()
        opened = self._opened(stage, number, streams=len(inputs))
        *messages, last = task_messages(opened, inputs)
        for message in messages:
            waiting.put(message)
        call = node.stub.RunTask(iter(waiting.get, None), timeout=120)
        first = next(call)

        def end() -> TaskRan:
            waiting.put(last)
            waiting.put(None)
            return self._ran(stage, number, [first, *call])

        try:
            yield end
        finally:
            waiting.put(None)
            call.cancel()

    def _opened(self, stage: Stage, number: int, *, streams: int) -> pb.OpenTask:
        return pb.OpenTask(
            header=self.job.header.data,
            signature=self.job.signature,
            submitter=self.submitter,
            plan=self.plan if self.streams.is_planned(stage) else b"",
            stage=stage.name,
            task=number,
            attempt=secrets.token_bytes(16),
            streams=streams,
        )

    def _ran(self, stage: Stage, number: int, answers: Sequence[pb.RunTaskResponse]) -> TaskRan:
        named = self.streams.written_by(stage, number)
        outputs: dict[Stream, Segments] = {stream: [] for stream in named}
        for answer in answers:
            if answer.WhichOneof("message") == "segment":
                segments = outputs[named[answer.segment.part]]
                assert answer.segment.index == len(segments)
                segments.append(answer.segment.data)
        done = answers[-1].done
        return TaskRan(statement=done.statement, outputs=outputs, plan=done.plan)

    def keep(self, stage: Stage, number: int, ran: TaskRan) -> None:
        """Let everything after it read what this attempt wrote."""
        if stage.plans:
            self.plan = ran.plan
            planned = self.parsed_plan.tasks
            self.streams = self.streams.under({name: planned[name] for name in self.streams.to_plan})
        for stream, segments in ran.outputs.items():
            if isinstance(stream, PartStream):
                self.results[stream.part] = segments
            else:
                self.shuffled[stream] = segments
        self.statements.setdefault((stage.name, number), []).insert(0, ran.statement)

    def run_stage(self, stage: Stage, *on: Node) -> None:
        """Run all tasks of a stage, on these nodes in turn."""
        for number in range(self.streams.tasks[stage.name]):
            self.keep(stage, number, self.attempt(on[number % len(on)], stage, number))

    def run(self, *on: Node) -> None:
        """Run all stages."""
        for stage in self.streams.stages.in_order:
            self.run_stage(stage, *on)

    def ordered(self) -> list[str]:
        """All statements, in the order of stages and tasks."""
        stages = [stage.name for stage in self.streams.stages.in_order]
        places = sorted(self.statements, key=lambda place: (stages.index(place[0]), place[1]))
        return [statement for place in places for statement in self.statements[place]]

    def finish(self, node: Node, statements: Sequence[str] | None = None, **changes: Any) -> str:
        """The receipt, once it is the end of the job. Raises Refused."""
        opened = pb.OpenFinish(
            header=self.job.header.data, signature=self.job.signature, submitter=self.submitter, plan=self.plan
        )
        for name, value in changes.items():
            setattr(opened, name, value)
        statements = self.ordered() if statements is None else statements
        messages = [
            pb.FinishTasksRequest(open=opened),
            *(pb.FinishTasksRequest(statement=each) for each in statements),
            pb.FinishTasksRequest(finish=pb.Finish()),
        ]
        patiently(lambda: list(node.stub.FinishTasks(iter(messages), timeout=60)))
        header = self.job.header
        stored = pb.SettleRequest(job_id=header.job_id, header_sha384=header.sha384, whole=header.job_id)
        return str(node.stub.Settle(stored, timeout=30).receipt)

    def result(self, node: Node, receipt: str) -> Result:
        """The result as its submitter has it, once the receipt has verified against the node that signed it."""
        header = parse_result_header(self.parsed_plan.result_header, self.job.header)
        outputs = list[Output]()
        for number, part in enumerate(header.parts):
            output = Output(name=part.name, schema=part.schema, file=io.BytesIO())
            for index, data in enumerate(self.results[number]):
                output.add(index, data)
            outputs.append(output)
        with node.site.client() as client:
            attested = client.attest()
        verified = self.verified(receipt, attested, header, outputs)
        return Result(job=self.job.header, header=header, outputs=tuple(outputs), receipt=verified, attested=attested)

    def verified(self, receipt: str, attested: Any, header: Any, outputs: Sequence[Output]) -> VerifiedReceipt:
        """The receipt, verified as a client does."""
        return verify_result(
            receipt, job=self.job.header, attested=attested, sent=self.sent(), header=header, outputs=outputs
        )

    def sent(self) -> list[PartDigest]:
        """The digests of the input parts."""
        return [
            PartDigest(
                name=self.job.header.parts[part].name,
                sha256=hashlib.sha256(b"".join(segments)).hexdigest(),
                bytes=sum(map(len, segments)),
            )
            for part, segments in sorted(self.parts.items())
        ]


def task_messages(opened: pb.OpenTask, inputs: Sequence[Segments]) -> Iterator[pb.RunTaskRequest]:
    """Everything that is sent for one task."""
    yield pb.RunTaskRequest(open=opened)
    for part, segments in enumerate(inputs):
        for index, data in enumerate(segments):
            yield pb.RunTaskRequest(segment=pb.Segment(part=part, index=index, data=data))
    yield pb.RunTaskRequest(finish=pb.Finish())


def patiently(call: Callable[[], list[Any]]) -> list[Any]:
    """The answers to a call that is made again while there is no cell. Raises Refused."""
    patience = Patience()
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            refused = from_rpc(error)
            if not isinstance(refused, WorkerRefused):
                raise
            if not patience.waits(refused):
                raise Refused(refused) from None


def sharded(node: Node, tables: Mapping[str, pa.Table], *operations: Parameters, shards: int, **spec: Any) -> PartsJob:
    """A job of these operations in this number of shards, sealed and not started."""
    made = node.site.spec(*operations, shards=shards, **spec)
    job = node.site.seal(made, rows=tables[INPUT_NAME].num_rows)
    return PartsJob.of(job, tables, submitter=node.site.files.agency.san)


def reason_of(call: Callable[[], object]) -> Reason:
    """The Reason with which a call is refused; AssertionError if it is not."""
    try:
        call()
    except Refused as refused:
        return refused.reason
    raise AssertionError("it was not refused")
