"""How many sealed bytes the result of a job can have, from its rows, its input bytes and its operations.

A worker can be replaced by something that sends segments for ever, and they are kept until the receipt has been
verified. The bound is generous, because a job whose result exceeds it is lost: it is there to keep a disk from filling,
not to find a wrong result. `max_result_bytes` of a call replaces it.
"""

from typing import Final

from cji_client.errors import Unverified
from cji_core.format.job import Header, SizeClass
from cji_core.operations.registry import OPERATIONS, SCHEMAS

LEAST_BYTES: Final = 64 << 20
"""For what does not grow with the records: tables of totals, reports, statistics."""
HELD_BYTES: Final = 16 << 20
BYTES_PER_BYTE: Final = 8
"""Of an input byte that comes out again: as it is, in a further output, under a wider type."""


def most_result_bytes(job: Header, sent: int) -> int:
    """The most bytes that all outputs of this job can have together, after `sent` sealed bytes of its inputs."""
    records = job.inputs[-1]
    rows = records.rows_declared
    if rows is None:
        schema = SCHEMAS.get(records.schema)
        rows = 8 * sent // max(1, 1 if schema is None else schema.least_row_bits)
    per_row = sum(
        OPERATIONS[name].row_bytes(getattr(operation, name))
        for name, operation in zip(job.operation_names, job.operations, strict=True)
    )
    most = LEAST_BYTES + len(job.operations) * BYTES_PER_BYTE * sent + per_row * rows
    return most * 2 if job.size_class is SizeClass.POWER_OF_TWO else most


def held_result_bytes(job: Header, sent: int, *, most: int | None) -> int:
    """The bytes of a disk that are held for the result before the job is sent.

    Few results reach the bound; twice the input and what does not grow with it is room for nearly all. `most` is that
    of the caller, or None.
    """
    bound = most_result_bytes(job, sent) if most is None else most
    return min(bound, HELD_BYTES + 2 * sent)


def check_bytes(received: int, most: int) -> None:
    """Raise Unverified(`result_bytes`) for more bytes than may have come."""
    if received > most:
        error = Unverified("result_bytes", f"more than {most} bytes arrived, which this job cannot make")
        error.remedy = (
            "Nothing of it was opened. Either an honest worker did not send it, or the job makes unusually much of its "
            "records: then seal it again, and allow more with max_result_bytes (`--max-result-bytes`)."
        )
        raise error
