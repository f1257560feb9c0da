"""The result header: the output parts of a job, and its result key wrapped for each recipient.

The cell makes it. The keyholder makes it again, from its own knowledge and the cell's wrapped keys, and compares.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cji_core.format.job.header import Header
from cji_core.wire.v1 import worker_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPart:
    """One output table, in `shards` parts, which are read in order. On one machine every output is one part."""

    name: str
    schema: str
    shards: int = 1


def result_header(
    header: Header, *, worker_id: str, outputs: Sequence[OutputPart], wrapped_keys: Sequence[bytes]
) -> bytes:
    """The canonical bytes of a ResultHeader; `outputs` are in part order.

    `wrapped_keys` are in the order of the header's recipients. Raises ValueError if there is not one for each.
    """
    message = worker_pb2.ResultHeader(
        version=1,
        job_id=header.job_id,
        job_header_sha384=header.sha384,
        worker_id=worker_id,
        outputs=[
            worker_pb2.OutputPart(name=part.name, schema=part.schema, shards=0 if part.shards == 1 else part.shards)
            for part in outputs
        ],
        recipients=[
            worker_pb2.WrappedKey(key_id=recipient.key_id, wrapped_dek=key)
            for recipient, key in zip(header.recipients, wrapped_keys, strict=True)
        ],
    )
    return message.SerializeToString(deterministic=True)
