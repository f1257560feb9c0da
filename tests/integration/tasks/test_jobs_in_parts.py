"""Jobs in parts over two workers: the result of one machine, one receipt, and everything that a fleet may not do.

One pool serves all tests. What a fleet alters is refused by a worker that then goes on with the honest job.
"""

import json
import secrets
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
from click.testing import CliRunner

from cji_client.errors import Unverified
from cji_client.seal import INPUT_NAME
from cji_client.statements import verify_statements
from cji_core.command import build
from cji_core.errors import Reason, Stage
from cji_core.format.configuration.worker import load
from cji_core.format.envelope import sign_header
from cji_core.format.job import encode_plan, parse_plan, plan_facts
from cji_core.format.keys import load_signing_key
from cji_core.operations.deidentify import Deidentify, Mask
from cji_core.operations.link import Link
from cji_core.operations.parameters import Parameters
from cji_core.operations.stages.stage import Stage as StageOfJob
from cji_core.suites import Suite
from cji_core.trail import (
    JobAdmitted,
    JobCompleted,
    JobEnded,
    JobRefused,
    StatementsRefused,
    TaskAdmitted,
    TaskCompleted,
    TaskEnded,
    read_statement,
    receipt_sha384,
)
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.raw import RawWorker, until
from cji_simulator.site import people
from cji_worker.ipc.status import ask
from tests.support.parts_bench import plain
from tests.support.task_driver import Node, PartsJob, Refused, sharded

ROWS = 3000
MASKED = Deidentify(columns={"last": "keep", "first": Mask(keep_first=1, with_="*"), "SOC": "drop"})


def table(rows: int = ROWS) -> dict[str, pa.Table]:
    return {INPUT_NAME: people(rows)}


def persons(rows: int = 400) -> dict[str, pa.Table]:
    """Records of which many are of the same person."""
    who = [i % 150 for i in range(rows)]
    columns = {
        "record_id": [f"R{i}" for i in range(rows)],
        "last": [f"NAME{n % 37:02d}" for n in who],
        "first": [f"FIRST{n % 23:02d}" for n in who],
        "DOB": [f"19{50 + n % 50:02d}{1 + n % 12:02d}{1 + n % 28:02d}" for n in who],
    }
    return {INPUT_NAME: pa.table(columns)}


def keys_opened(node: Node) -> int:
    """The worker's own counter, from a report that knows the trail as it is now."""
    socket = load(node.site.files.config).control_socket
    assert socket is not None
    lines = node.site.files.audit.read_bytes().count(b"\n")

    def report() -> tuple[int] | None:
        status = json.loads(ask(socket, "status", timeout=60))
        return (status["keys_opened"],) if status["audit"]["line"] >= lines else None

    return until(report)[0]


def about(node: Node, job: PartsJob) -> list[Any]:
    """What the trail of a node has about a job, but refusals for want of a cell."""
    found = [event for event in node.events if getattr(event, "job_id", None) == job.job.header.job_id.hex()]
    return [each for each in found if not (isinstance(each, JobRefused) and each.reason is Reason.OVERLOADED)]


def refusal(call: Any) -> tuple[Reason, Stage | None]:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.reason, caught.value.stage


@pytest.mark.parametrize(
    ("operation", "tables", "shards"),
    [(MASKED, table(), 3), (Link(random_pairs=20_000), persons(), 2)],
    ids=["deidentify", "link"],
)
def test_the_result_is_that_of_one_machine(
    pool: list[Node], operation: Parameters, tables: dict[str, pa.Table], shards: int
) -> None:
    site = pool[0].site
    one = site.open(site.run(tables[INPUT_NAME], site.spec(operation)))
    job = sharded(pool[0], tables, operation, shards=shards)
    job.run(*pool)
    result = job.result(pool[1], job.finish(pool[1]))
    found = site.open(result)
    assert {name: plain(out) for name, out in found.items()} == {name: plain(out) for name, out in one.items()}
    claims, tasks = result.receipt.claims, result.receipt.claims.tasks
    assert {node.worker for node in tasks.nodes} == {"worker-1", "worker-2"}  # type: ignore[union-attr]
    assert claims.worker == "worker-2"
    assert [part.name for part in claims.inputs] == [INPUT_NAME]
    assert claims.volumes.rows_in == tables[INPUT_NAME].num_rows
    statements = job.ordered()
    assert len(verify_statements(result.receipt, statements, dek=job.job._dek)) == len(statements)
    for wrong in (statements[:-1], statements[::-1], [*statements, statements[0]]):
        with pytest.raises(Unverified):
            verify_statements(result.receipt, wrong)
    with pytest.raises(Unverified, match="data key"):
        verify_statements(result.receipt, statements, dek=bytes(32))


def test_a_receipt_and_its_statements_verify_years_later(pool: list[Node], tmp_path: Path) -> None:
    node = pool[0]
    job = sharded(node, table(60), MASKED, shards=2)
    job.run(*pool)
    result = job.result(node, job.finish(node))
    statements = job.ordered()
    (tmp_path / "receipt.jws").write_text(result.receipt.compact)
    (tmp_path / "statements.jws").write_text("\n".join(statements))
    (tmp_path / "fewer.jws").write_text("\n".join(statements[1:]))
    (tmp_path / "evidence.json").write_bytes(result.attested.to_file())

    def cji(*arguments: str) -> tuple[int, str]:
        files = [str(tmp_path / "receipt.jws"), "--evidence", str(tmp_path / "evidence.json")]
        profile = ["--profile", str(node.site.files.profile)]
        command = ["receipt", "verify", *files, *profile, *arguments]
        ran = CliRunner().invoke(build(node.site.simulation.trust), command, catch_exceptions=False)
        return ran.exit_code, ran.output

    code, text = cji("--statements", str(tmp_path / "statements.jws"))
    assert code == 0
    assert f"{len(statements)} statements, root " in text
    assert "worker-1 (snp, " in text
    assert "worker-2 (snp, " in text
    assert "the statements of its tasks" not in text
    code, text = cji()
    assert code == 0
    assert "the statements of its tasks: give --statements" in text
    code, text = cji("--statements", str(tmp_path / "fewer.jws"))
    assert code == 3
    assert "statements" in text


def test_every_attempt_is_in_the_trail_and_the_job_once(pool: list[Node]) -> None:
    job = sharded(pool[0], table(300), MASKED, shards=2)
    job.run(*pool)
    stage = job.stage("apply")
    job.keep(stage, 1, job.attempt(pool[0], stage, 1))  # an attempt more, on the other node
    receipt = job.finish(pool[0])
    events = [each for node in pool for each in about(node, job)]
    admitted = [each for each in events if isinstance(each, TaskAdmitted)]
    completed = [each for each in events if isinstance(each, TaskCompleted)]
    assert len(admitted) == len(completed) == 4
    assert {each.attempt for each in admitted} == {read_statement(text).attempt for text in job.ordered()}
    assert {each.statement_sha384 for each in completed} == {receipt_sha384(text) for text in job.ordered()}
    assert all(each.attribution is not None and each.attribution.requestor == "detective 7" for each in admitted)
    assert [type(each) for each in events if isinstance(each, JobAdmitted | JobCompleted)] == [
        JobAdmitted,
        JobCompleted,
    ]
    (done,) = (each for each in events if isinstance(each, JobCompleted))
    assert (done.receipt, done.volumes.rows_in) == (receipt, 300)
    assert job.result(pool[0], receipt).receipt.claims.tasks.statements == 4  # type: ignore[union-attr]
    stub = pool[0].stub
    unsigned = f"{receipt.rpartition('.')[0]}.AA"
    assert stub.GetReceipt(pb.GetReceiptRequest(job_id=job.job.header.job_id), timeout=60).receipt == unsigned
    assert refusal(lambda: job.attempt(pool[0], stage, 0)) == (Reason.ALREADY_EXISTS, Stage.ADMIT)
    assert refusal(lambda: job.finish(pool[0])) == (Reason.ALREADY_EXISTS, Stage.ADMIT)


def test_a_task_that_is_not_of_the_job_opens_no_key(pool: list[Node]) -> None:
    node = pool[0]
    job, other = (sharded(node, table(50), MASKED, shards=2) for _ in range(2))
    for each in (job, other):
        each.run_stage(each.stage("plan"), node)
    apply, before = job.stage("apply"), keys_opened(node)
    plan = parse_plan(job.plan)
    tasks = {**plan.tasks, "apply": 1}
    fewer = encode_plan(plan_facts(plan.header_sha384, tasks, plan.result_header), plan.sealed_result_key)
    for changes in (
        {"stage": "other"},
        {"stage": ""},
        {"stage": "x" * 2000},
        {"task": 2},
        {"streams": 2},
        {"plan": b""},
        {"plan": other.plan},
        {"plan": fewer},
        {"plan": job.plan + b"\0"},
        {"plan": b"\xff" * 60_000},
        {"stage": "plan"},
    ):
        assert refusal(lambda: job.attempt(node, apply, 0, **changes)) == (Reason.BAD_PARAMETERS, Stage.ADMIT)  # noqa: B023
    forged = bytes(len(job.job.signature))
    assert refusal(lambda: job.attempt(node, apply, 0, signature=forged))[0] is Reason.HEADER_SIGNATURE_INVALID
    stranger: dict[str, Any] = {"submitter": "spiffe://cji.example/agency/other"}
    assert refusal(lambda: job.attempt(node, apply, 0, **stranger))[0] is Reason.POLICY_DENIED
    assert refusal(lambda: job.attempt(node, apply, 0, attempt=b"short"))[0] is Reason.MALFORMED_HEADER
    assert keys_opened(node) == before


def test_a_plan_that_was_altered_since_reaches_no_cell(pool: list[Node]) -> None:
    """Its form is right, so that only the data key tells: the wrapped keys of its recipients are others."""
    node = pool[0]
    job = sharded(node, table(50), MASKED, shards=2)
    job.run_stage(job.stage("plan"), node)
    plan = parse_plan(job.plan)
    header = pb.ResultHeader.FromString(plan.result_header)
    header.recipients[0].wrapped_dek = secrets.token_bytes(len(header.recipients[0].wrapped_dek))
    facts = plan_facts(plan.header_sha384, plan.tasks, header.SerializeToString(deterministic=True))
    for altered in (
        encode_plan(facts, plan.sealed_result_key),
        encode_plan(plan.facts, secrets.token_bytes(60)),
    ):
        found = refusal(lambda: job.attempt(node, job.stage("apply"), 0, plan=altered))  # noqa: B023
        assert found == (Reason.BAD_PARAMETERS, Stage.ADMIT)
        assert isinstance(about(node, job)[-1], TaskEnded)
    job.run_stage(job.stage("apply"), node)
    job.finish(node)


def test_a_header_of_another_job_under_its_id(pool: list[Node]) -> None:
    node = pool[0]
    job = sharded(node, table(50), MASKED, shards=2)
    job.run_stage(job.stage("plan"), node)
    header = pb.JobHeader.FromString(job.job.header.data)
    header.not_after.seconds -= 60
    data = header.SerializeToString(deterministic=True)
    key = load_signing_key(Path(node.site.profile.signing_key))
    signature = sign_header(key, data, Suite.CLASSICAL_1)
    before = keys_opened(node)
    changes: dict[str, Any] = {"header": data, "signature": signature}
    assert refusal(lambda: job.attempt(node, job.stage("plan"), 0, **changes))[0] is Reason.REPLAYED
    assert keys_opened(node) == before


def flipped(segments: list[bytes], at: int) -> list[bytes]:
    first = bytearray(segments[0])
    first[at] ^= 1
    return [bytes(first), *segments[1:]]


def ends_of_tasks(node: Node, job: PartsJob) -> list[TaskEnded]:
    return [event for event in about(node, job) if isinstance(event, TaskEnded)]


def test_streams_that_a_fleet_altered(pool: list[Node]) -> None:
    """To a stage behind the plan, and to one that gets the pairs and records of others."""
    node = pool[0]
    job = sharded(node, persons(), Link(random_pairs=20_000), shards=2)
    stages = job.streams.stages.in_order
    attacked = {stages[job.streams.planning + 2].name, "list"}
    before = len(ends_of_tasks(node, job))
    for stage in stages[: [each.name for each in stages].index("list") + 1]:
        if stage.name in attacked:
            refuse_altered(node, job, stage, before)
            before = len(ends_of_tasks(node, job))
        job.run_stage(stage, *pool)


def refuse_altered(node: Node, job: PartsJob, stage: StageOfJob, before: int) -> None:
    inputs = job.inputs(stage, 0)
    edge = len(inputs) - 1
    for number, altered in enumerate(
        (
            flipped(inputs[edge], -1),
            flipped(inputs[edge], 20),
            inputs[edge - 1],
            inputs[edge] * 2,
            [inputs[edge][0][:-1]],
        ),
        before,
    ):
        found, _ = refusal(lambda: job.attempt(node, stage, 0, inputs=[*inputs[:edge], altered]))  # noqa: B023
        assert found is Reason.SEGMENT_INVALID
        ends = until(lambda: ends_of_tasks(node, job)[number:])  # noqa: B023
        assert [(end.reason, end.stage_name) for end in ends] == [(Reason.SEGMENT_INVALID, stage.name)]


def test_statements_that_do_not_make_the_job(pool: list[Node]) -> None:
    node = pool[1]
    job, other = (sharded(node, table(50), MASKED, shards=2) for _ in range(2))
    for each in (job, other):
        each.run(*pool)
    own = job.ordered()
    at = own[1].index(".") + 100
    altered = own[1][:at] + ("A" if own[1][at] != "A" else "B") + own[1][at + 1 :]
    for statements, reason, fault in (
        (own[:-1], Reason.INCOMPLETE, "missing"),
        ([*own[:1], *own[2:]], Reason.INCOMPLETE, "missing"),
        ([own[0], altered, own[2]], Reason.SEGMENT_INVALID, "form"),
        ([own[0], "x", own[2]], Reason.SEGMENT_INVALID, "form"),
        ([*own, own[2]], Reason.SEGMENT_INVALID, "order"),
        ([own[0], own[2], own[1]], Reason.INCOMPLETE, "missing"),
        ([own[0], own[1], other.ordered()[2]], Reason.SEGMENT_INVALID, "proof"),
    ):
        assert refusal(lambda: job.finish(node, statements)) == (reason, Stage.COMMIT)  # noqa: B023
        found = about(node, job)[-2:]
        assert isinstance(found[0], StatementsRefused)
        assert isinstance(found[1], JobEnded)
        assert found[0].about == fault
    before = keys_opened(node)
    assert refusal(lambda: job.finish(node, plan=other.plan)) == (Reason.BAD_PARAMETERS, Stage.ADMIT)
    assert refusal(lambda: job.finish(node, plan=b"")) == (Reason.BAD_PARAMETERS, Stage.ADMIT)
    assert keys_opened(node) == before
    job.result(node, job.finish(node))


def test_an_attempt_of_any_age_and_worker_is_as_good(pool: list[Node]) -> None:
    job = sharded(pool[0], persons(), Link(random_pairs=20_000), shards=2)
    for stage in job.streams.stages.in_order:
        job.run_stage(stage, *pool)
        if stage.records and not stage.outputs:  # a second attempt, which half of the readers get
            older = dict(job.shuffled)
            job.run_stage(stage, *reversed(pool))
            for number, stream in enumerate(sorted(older, key=repr)):
                if number % 2:
                    job.shuffled[stream] = older[stream]
    job.result(pool[0], job.finish(pool[0]))


def test_only_the_fleet_has_these_calls(pool: list[Node]) -> None:
    with RawWorker.of(pool[0].site) as raw:
        for call in (raw.stub.RunTask, raw.stub.FinishTasks):
            with pytest.raises(grpc.RpcError) as caught:
                list(call(iter(()), timeout=60))
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
