"""The two witnesses of a job: the front for the bytes, the cell for what is inside them. A receipt needs both.

    front   SHA-256, bytes, segments and tags of every part; the result header that the caller received
    cell    bytes, segments and tags of every part; the result header; rows
    job     parts, recipients, declared rows: from the signed header and its plan

Everything that two of them state is compared. The result header is made again from the job; the keys in it are the
cell's, wrapped for recipients whose keys only they have, so only their number and lengths are checked. Rows are the
cell's alone: each count must be possible in the bytes of its part, and the counts must fit each other. Beyond that a
false count is found out by who opens the output.

Neither alone can make a false receipt about bytes: a cell states no digest, and a front that states a wrong one is
found out by the client, which has the bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from cji_core.format.envelope import FLOE_HEADER_BYTES, OVERHEAD_BYTES, sha384, wrapped_result_key_bytes
from cji_core.format.job import Header, OutputPart
from cji_core.format.job.result_header import result_header
from cji_core.jose import parse_recipient
from cji_core.operations.registry import SCHEMAS, Plan
from cji_core.operations.volumes import counts_of
from cji_core.trail import DisagreementAbout, PartDigest, Volumes
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.errors import WorkerError
from cji_worker.ipc.messages import CountedPart, SealedPart, Summary, Witnessed

_ROW_STATUS = 1  # part number


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """The facts that both witnesses vouch for. Parts are in the order of their numbers."""

    inputs: tuple[PartDigest, ...]
    outputs: tuple[PartDigest, ...]
    result_header_sha384: bytes
    volumes: Volumes


class Disagreement(WorkerError):  # noqa: N818 - what was found, not a fault of this process
    """The statements contradict each other or the job. `about` contains fixed words only."""

    code = "witnesses-disagree"
    remedy = "Keep the trail, and investigate the machine."

    def __init__(self, about: tuple[DisagreementAbout, ...]) -> None:
        super().__init__(about)
        self.about = about


def agree(header: Header, plan: Plan, *, worker_id: str, cell: Summary, front: Witnessed) -> Agreed:
    """The facts about this job. Raises Disagreement."""
    about = tuple(_differences(header, plan, worker_id, cell, front))
    if about:
        raise Disagreement(about)
    schemas = {part.name: part.schema.schema_id for part in plan.outputs}
    return Agreed(
        inputs=_digests([part.name for part in header.parts], front.inputs),
        outputs=_digests([part.name for part in plan.outputs], front.outputs),
        result_header_sha384=front.result_header_sha384,
        volumes=Volumes(
            bytes_in=sum(part.counted.bytes for part in front.inputs),
            bytes_out=sum(part.counted.bytes for part in front.outputs),
            **counts_of(schemas, dict(zip(schemas, cell.rows_out, strict=True)), withheld=bool(header.column_keys)),
        ),
    )


def _differences(
    header: Header, plan: Plan, worker_id: str, cell: Summary, front: Witnessed
) -> Iterator[DisagreementAbout]:
    listed = [OutputPart(name=part.name, schema=part.schema.schema_id) for part in plan.outputs]
    own = own_result_header(header, listed, worker_id, cell.result_header)
    if own is None or own != cell.result_header or sha384(own) != front.result_header_sha384:
        yield "result_header"
    inputs = _same(len(header.parts), cell.inputs, front.inputs)
    outputs = _same(len(plan.outputs), cell.outputs, front.outputs)
    if not inputs:
        yield "inputs"
    if not outputs:
        yield "outputs"
    if inputs and outputs and not _possible(header, plan, cell):
        yield "rows"


def _same(parts: int, cell: Sequence[CountedPart], front: Sequence[SealedPart]) -> bool:
    return len(cell) == parts and list(cell) == [part.counted for part in front]


def own_result_header(header: Header, outputs: Sequence[OutputPart], worker_id: str, theirs: bytes) -> bytes | None:
    """The result header of this job around the wrapped keys of the cell's; None if they cannot be that."""
    try:
        keys = [each.wrapped_dek for each in pb.ResultHeader.FromString(theirs).recipients]
    except DecodeError:
        return None
    recipients = [parse_recipient(each.jwk, header.suite) for each in header.recipients]
    if [len(key) for key in keys] != [wrapped_result_key_bytes(each) for each in recipients]:
        return None
    return result_header(header, worker_id=worker_id, outputs=outputs, wrapped_keys=keys)


def _possible(header: Header, plan: Plan, cell: Summary) -> bool:
    """Whether the counts of rows fit the job, each other, and the bytes of their parts."""
    if len(cell.rows_out) != len(plan.outputs) or cell.rows_out[_ROW_STATUS] != cell.rows_in:
        return False
    if header.inputs[-1].rows_declared not in {None, cell.rows_in}:
        return False
    schemas = [SCHEMAS[header.inputs[-1].schema], *(part.schema for part in plan.outputs)]
    shards = cell.inputs[len(header.inputs) - 1 :]
    counts, rows = (shards, *((part,) for part in cell.outputs)), (cell.rows_in, *cell.rows_out)
    return all(
        n * schema.least_row_bits <= 8 * plain_bytes(parts)
        for n, schema, parts in zip(rows, schemas, counts, strict=True)
    )


def plain_bytes(parts: Sequence[CountedPart]) -> int:
    """Bytes of plaintext in the parts of a table."""
    return sum(part.bytes - FLOE_HEADER_BYTES - OVERHEAD_BYTES * part.segments for part in parts)


def _digests(names: Sequence[str], parts: Sequence[SealedPart]) -> tuple[PartDigest, ...]:
    return tuple(
        PartDigest(name=name, sha256=part.sha256.hex(), bytes=part.counted.bytes)
        for name, part in zip(names, parts, strict=True)
    )
