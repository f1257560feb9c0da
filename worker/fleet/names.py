"""The names of blobs. `job` and `attempt` have 32 hexadecimal digits each; nothing else of a peer is in a name.

container  name
jobs       {job}/header, {job}/parts/{part:05d}, {job}/cancel
results    {job}/{attempt}/result-header, {job}/{attempt}/parts/{part:05d}
           {job}/progress, {job}/receipt, {job}/failure, {job}/evidence/{token}
"""


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


def evidence(job: str, token_sha384: str) -> str:
    """The evidence of a worker with this attestation token, which its receipt names: protobuf AttestResponse."""
    return f"{job}/evidence/{token_sha384}"
