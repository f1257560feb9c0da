"""Header bytes for submitters: typed values in, the one canonical encoding out.

Invariant: `parse` accepts every header that `new_header` returns; equal values give equal bytes. The bytes are encoded
once, then signed, authenticated and sent as they are.
"""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.columns.build import column_keys_message
from cji_core.format.columns.statement import ColumnKeys
from cji_core.format.job.fields import SUITE_VALUES, timestamp
from cji_core.format.job.header import (
    JOB_ID_BYTES,
    VERSION,
    InputPart,
    JobId,
    Recipient,
    SealedOutput,
    SizeClass,
    parse,
)
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2


def new_job_id() -> JobId:
    """16 random bytes."""
    return JobId(secrets.token_bytes(JOB_ID_BYTES))


def new_header(
    *,
    job_id: JobId,
    audience: str,
    originating_ori: str,
    requesting_ori: str,
    sealed_attribution: bytes,
    submitter: bytes,
    purpose_code: str,
    inputs: Sequence[InputPart],
    operations: Sequence[worker_pb2.Operation],
    kek_id: str,
    wrapped_dek: bytes,
    recipients: Sequence[Recipient],
    created: datetime,
    not_after: datetime,
    size_class: SizeClass = SizeClass.EXACT,
    suite: Suite = Suite.CLASSICAL_1,
    send_key: bytes = b"",
    column_keys: Sequence[ColumnKeys] = (),
    sealed_outputs: Iterable[SealedOutput] = (),
) -> bytes:
    """Return the canonical bytes of a JobHeader. Raises MALFORMED_HEADER for values that break docs/format.md §1."""
    try:
        message = worker_pb2.JobHeader(
            version=VERSION,
            job_id=job_id,
            audience=audience,
            originating_ori=originating_ori,
            requesting_ori=requesting_ori,
            sealed_attribution=sealed_attribution,
            suite=SUITE_VALUES[suite],
            submitter=submitter,
            send_key=send_key,
            purpose_code=purpose_code,
            inputs=[_input(part) for part in inputs],
            operations=operations,
            kek_id=kek_id,
            wrapped_dek=wrapped_dek,
            recipients=[worker_pb2.Recipient(key_id=each.key_id, jwk=each.jwk) for each in recipients],
            created=timestamp(created),
            not_after=timestamp(not_after),
            size_class=worker_pb2.SizeClass.Name(size_class),
            column_keys=[column_keys_message(each) for each in column_keys],
            sealed_outputs=[_output(each) for each in sorted(sealed_outputs, key=lambda o: (o.output, o.column))],
        )
        data = message.SerializeToString(deterministic=True)
    except (ValueError, TypeError) as error:
        raise Refusal(Reason.MALFORMED_HEADER, stage=Stage.OPEN) from error
    return parse(data).data


def _input(part: InputPart) -> worker_pb2.InputPart:
    shards = 0 if part.shards == 1 else part.shards
    return worker_pb2.InputPart(
        name=part.name,
        schema=part.schema,
        rows_declared=part.rows_declared,
        shards=shards,
        sealed_columns=sorted(part.sealed_columns),
        column_keys=part.column_keys,
    )


def _output(output: SealedOutput) -> worker_pb2.SealedOutput:
    return worker_pb2.SealedOutput(
        output=output.output, column=output.column, column_keys=output.column_keys, as_column=output.as_column
    )
