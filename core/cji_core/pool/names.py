"""The names of blobs. `job` and `attempt` have 32 hexadecimal digits each; nothing else of a peer is in a name.

container  name
jobs       {job}/header, {job}/parts/{part:05d}, {job}/cancel
results    {job}/{attempt}/result-header, {job}/{attempt}/parts/{part:05d}
           {job}/{attempt}/sources, {job}/progress, {job}/receipt, {job}/failure
           {job}/evidence/{token}
shuffle    {job}/{plan}/{stage}/{task:05d}, the same with .{attempt} and .{attempt}.statement, {job}/plan
floors     {number:08d}; operators create, keyholders read
ledger     {job}/attempts/{number}, {job}/end, {job}/end.{number}; keyholders alone write there
"""


def floor(number: int) -> str:
    """An entry of the pool's floors: 1, 2, and so on without a gap."""
    return f"{number:08d}"


def header(job: str) -> str:
    """The submission: header, signature, submitter."""
    return f"{job}/header"


def part(job: str, number: int) -> str:
    """One input part, the whole stream as it was sealed."""
    return f"{job}/parts/{number:05d}"


def cancel(job: str) -> str:
    """Present if the submitter asks for an end."""
    return f"{job}/cancel"


def result_header(job: str, attempt: str) -> str:
    """The result header of an attempt."""
    return f"{job}/{attempt}/result-header"


def output(job: str, attempt: str, number: int) -> str:
    """One output part of an attempt, the whole stream."""
    return f"{job}/{attempt}/parts/{number:05d}"


def progress(job: str) -> str:
    """How far the last attempt came."""
    return f"{job}/progress"


def receipt(job: str) -> str:
    """The receipt, and the attempt that has the outputs: created once."""
    return f"{job}/receipt"


def failure(job: str) -> str:
    """The signed failure receipt of a job that was given up: created once."""
    return f"{job}/failure"


def sources(job: str, attempt: str) -> str:
    """Of a job in parts: the attempt of each output part, which is the name under which that part is."""
    return f"{job}/{attempt}/sources"


def plan(job: str) -> str:
    """The plan of a job in parts, and the statement of the task that made it: created once."""
    return f"{job}/plan"


def task(job: str, plan_name: str, stage: str, number: int) -> str:
    """The attempts of a task that are published, the newest first."""
    return f"{job}/{plan_name}/{stage}/{number:05d}"


def streams(job: str, plan_name: str, stage: str, number: int, attempt: str) -> str:
    """All shuffle streams that an attempt of a task wrote."""
    return f"{task(job, plan_name, stage, number)}.{attempt}"


def statement(job: str, plan_name: str, stage: str, number: int, attempt: str) -> str:
    """The signed statement of an attempt of a task."""
    return f"{streams(job, plan_name, stage, number, attempt)}.statement"


def evidence(job: str, token_sha384: str) -> str:
    """The evidence of a worker with this attestation token, which its receipt names: protobuf AttestResponse."""
    return f"{job}/evidence/{token_sha384}"


def attempt(job: str, number: int) -> str:
    """An attempt entry of the pool ledger: created once."""
    return f"{job}/attempts/{number}"


def end(job: str, number: int = 0) -> str:
    """The end of a job in the pool ledger: created once. Another number follows only behind a foreign blob."""
    return f"{job}/end.{number}" if number else f"{job}/end"
