"""The result header: the output parts, and the result key wrapped for each recipient.

The result key is 32 fresh random bytes, used for the outputs of one job.
"""

import os
from collections.abc import Sequence

from worker.envelope import DEK_BYTES, wrap_dek
from worker.job import Header
from worker.jose import parse_rsa
from worker.wire.v1 import worker_pb2 as pb


def make_result_header(header: Header, *, worker_id: str, outputs: Sequence[tuple[str, str]]) -> tuple[bytes, bytes]:
    """(header bytes, result key). `outputs` are (name, schema id) in part order."""
    key = os.urandom(DEK_BYTES)
    message = pb.ResultHeader(
        version=1,
        job_id=header.job_id,
        job_header_sha384=header.sha384,
        worker_id=worker_id,
        outputs=[pb.OutputPart(name=name, schema=schema) for name, schema in outputs],
        recipients=[
            pb.WrappedKey(key_id=r.key_id, wrapped_dek=wrap_dek(parse_rsa(r.jwk), key)) for r in header.recipients
        ],
    )
    return message.SerializeToString(deterministic=True), key
