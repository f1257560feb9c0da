"""The pre-operational self-test: whole jobs in the zygote, before any key exists.

It runs the cell's own code on the made-up rows of every operation, with stand-ins for front and keyholder. A zygote
that fails one does not start. The self-test also loads whatever Python, numpy, pyarrow and OpenSSL load lazily: a cell
cannot open files, so all of it must be there before the fork.
"""

import contextlib
import os
import secrets
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric import rsa

from worker.cell.channels import CellChannels
from worker.cell.job import run_job
from worker.compute.operation import Case, Operation
from worker.compute.registry import OPERATIONS
from worker.compute.tables import Tables
from worker.envelope import DEK_BYTES, FLOE_HEADER_BYTES, SEGMENT_BYTES, Sealer, input_aad, sha384
from worker.ipc import Channel, ChannelClosed, KeySlot, Ring
from worker.ipc.messages import (
    CellFromFront,
    CellFromKeyholder,
    Finish,
    FrontFromCell,
    InputReady,
    KeyholderFromCell,
    OpenJob,
    OutputFreed,
    OutputReady,
    OutputsDone,
)
from worker.job import InputPart, Recipient, SizeClass, new_header, new_job_id
from worker.jose import key_id, public_jwk
from worker.memory import ALIGNMENT, Region
from worker.records import END_OF_STREAM, SCHEMAS, StreamWriter, tagged
from worker.wire.v1 import worker_pb2 as pb


def self_test(window: memoryview, key_slot: KeySlot, tables: Tables) -> None:
    """Run the self-test of every operation; raises RuntimeError when a job does not come out whole."""
    fd = os.memfd_create("cji-self-test", os.MFD_CLOEXEC)
    os.ftruncate(fd, ALIGNMENT)
    reference_slot = Region(fd)
    for operation in OPERATIONS.values():
        for case in operation.self_test:
            _run_case(operation, case, window=window, key_slot=key_slot, reference_slot=reference_slot, tables=tables)
    reference_slot.unmap()


def _run_case(
    operation: Operation[Any],
    case: Case,
    *,
    window: memoryview,
    key_slot: KeySlot,
    reference_slot: Region,
    tables: Tables,
) -> None:
    """One job in a second thread of this process."""
    control, cell_control = Channel.pair()
    data, cell_data = Channel.pair()
    ring = Ring.create()
    channels = CellChannels(
        control=Channel(cell_control, CellFromKeyholder), data=Channel(cell_data, CellFromFront), ring=ring
    )
    status: list[int] = []
    signature = operation.signature(case.parameters)
    reference_slots = [] if signature.reference is None else [reference_slot]
    inputs = {**case.sides, "records": (case.schema, case.row)}

    def cell() -> None:
        try:
            status.append(
                run_job(channels, key_slot=key_slot, window=window, reference_slots=reference_slots, tables=tables)
            )
        finally:
            channels.close()

    schemas = {name: schema for name, (schema, _) in inputs.items()}
    header = _header(operation.message(case.parameters), schemas)
    keys = [secrets.token_bytes(DEK_BYTES) for _ in range(1 if signature.project is None else 2)]
    key_slot.put(keys)
    keyholder: Channel[KeyholderFromCell, CellFromKeyholder] = Channel(control, KeyholderFromCell)
    front: Channel[FrontFromCell, CellFromFront] = Channel(data, FrontFromCell)
    sealed = [_sealed(part, *one, dek=keys[0], header=header) for part, one in enumerate(inputs.values())]
    for part, segment in enumerate(sealed):
        ring.input(part)[: len(segment)] = segment
    thread = threading.Thread(target=cell)
    thread.start()
    opening = OpenJob(header=header, worker_id="self-test", reference_slot=len(reference_slots) - 1)
    with contextlib.suppress(ChannelClosed):
        _serve(opening, keyholder, front, [len(segment) for segment in sealed])
    thread.join()
    keyholder.close()
    front.close()
    if status != [0]:
        raise RuntimeError(f"the self-test of {operation.name} failed")


def _serve(
    opening: OpenJob,
    keyholder: Channel[KeyholderFromCell, CellFromKeyholder],
    front: Channel[FrontFromCell, CellFromFront],
    lengths: Sequence[int],
) -> None:
    """Keyholder and front to a cell whose sealed inputs, one segment each of these lengths, are in the ring."""
    keyholder.send(opening)
    for part, length in enumerate(lengths):
        front.send(InputReady(slot=part, part=part, length=length))
    front.send(Finish())
    while not isinstance(message := front.receive()[0], OutputsDone):
        if isinstance(message, OutputReady):
            front.send(OutputFreed(slot=message.slot))
    keyholder.receive()


def _sealed(part: int, schema_id: str, row: Mapping[str, str | None], *, dek: bytes, header: bytes) -> bytes:
    schema = tagged(schema_id, [pa.field(name, SCHEMAS[schema_id].columns[name].types[0]) for name in row])
    columns = [pa.array([value], field.type) for field, value in zip(schema, row.values(), strict=True)]
    batch = pa.RecordBatch.from_arrays(columns, schema=schema)
    writer = StreamWriter(schema, max_batch_bytes=SEGMENT_BYTES)
    messages = [writer.schema_message(), *writer.batch_messages(batch), END_OF_STREAM]
    sealer = Sealer(dek, input_aad(sha384(header), part))
    plain = b"".join(bytes(m) for m in messages)
    sealed = sealer.header + sealer.seal(plain, last=True)
    assert len(sealed) > FLOE_HEADER_BYTES  # noqa: S101 - a header and a segment
    return sealed


def _header(operation: pb.Operation, schemas: Mapping[str, str]) -> bytes:
    # a modulus nobody can factor or decrypt for; making a real key would take a second
    modulus = int.from_bytes(os.urandom(384), "big") | 1 << 3071 | 1
    public = rsa.RSAPublicNumbers(65537, modulus).public_key()
    now = datetime.now(UTC)
    return new_header(
        job_id=new_job_id(),
        audience="self-test",
        originating_ori="VA0000000",
        requesting_ori="VA0000000",
        operator_id="self-test",
        requestor="self-test",
        reason="self-test",
        purpose_code="C",
        inputs=[InputPart(name=name, schema=schema) for name, schema in schemas.items()],
        operations=[operation],
        kek_id="https://self-test.invalid/keys/self-test/" + "0" * 32,
        wrapped_dek=os.urandom(384),
        recipients=[Recipient(key_id=key_id(public), jwk=public_jwk(public))],
        created=now,
        not_after=now + timedelta(hours=1),
        size_class=SizeClass.POWER_OF_TWO,
    )
