"""The pre-operational self-test: whole jobs in the zygote, before any key exists.

It runs the cell's own code on the made-up rows of every operation, with stand-ins for front and keyholder. A zygote
that fails one does not start. The self-test also loads whatever Python, numpy, pyarrow and OpenSSL load lazily: a cell
cannot open files, so all of it must be there before the fork.
"""

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric import rsa

from cji_core.format.envelope import (
    ATTRIBUTION,
    DEK_BYTES,
    FLOE_HEADER_BYTES,
    SEGMENT_BYTES,
    Sealer,
    input_aad,
    seal_box,
    sha384,
)
from cji_core.format.job import LIMITS, Attribution, InputPart, Recipient, SizeClass, new_header, new_job_id, parse
from cji_core.format.records import END_OF_STREAM, SCHEMAS, StreamWriter, tagged
from cji_core.jose import RecipientKey, key_id, public_jwk
from cji_core.operations.declaration import Operation
from cji_core.operations.deidentify import DateTo, Deidentify, Mask
from cji_core.operations.registry import OPERATIONS, operation_of, plan
from cji_core.operations.tables import Tables
from cji_core.pairs import ML_KEM_BYTES, DecryptionPair, supported
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2 as pb
from cji_operations.operation import Case, Context, Row
from cji_operations.registry import IMPLEMENTATIONS, stage_functions
from cji_worker.cell.channels import CellChannels
from cji_worker.cell.column_self_test import CASE, CEK, OUTPUTS, SEALED, check_columns, column_keys
from cji_worker.cell.job import job_context, run_job
from cji_worker.cell.parts_loop import PartsLoop, PlainRing
from cji_worker.ipc import Channel, KeySlot, Ring
from cji_worker.ipc.messages import (
    CellFromFront,
    CellFromKeyholder,
    Finish,
    FrontFromCell,
    InputReady,
    KeyholderFromCell,
    KeysReady,
    OpenJob,
    OutputFreed,
    Summary,
)
from cji_worker.ipc.ring import SLOTS
from cji_worker.memory import ALIGNMENT, Region

_ATTRIBUTION: Final = Attribution(operator_id="self-test", requestor="self-test", reason="self-test")
_OF_ALL: Final = ("result", "row_status")
"""Outputs of every job, besides the parts of its operation."""
_WARM_UP: Final = Case(
    schema="person/1",
    row={"last": "DOE", "DOB": "19700131", "postcode": "12345", "SOC": "123456789", "SEX": "U"},
    parameters=Deidentify(
        project="self-test",
        columns={
            "last": "drop",
            "DOB": DateTo(unit="year"),
            "postcode": Mask(keep_first=2),
            "SOC": "null",
            "SEX": "keep",
        },
    ),
)
"""The way that every job takes, and little of its own."""


def self_test(window: memoryview, tables: Tables, *, in_parts: bool) -> None:
    """Run the self-test of every operation, also `in_parts`; raises RuntimeError when a job does not come out whole."""
    fd = os.memfd_create("cji-self-test", os.MFD_CLOEXEC)
    os.ftruncate(fd, ALIGNMENT)
    reference_slot = Region(fd)
    for operation in OPERATIONS.values():
        for case in IMPLEMENTATIONS[operation.name].self_test:
            _run_case(operation, case, window=window, reference_slots=[reference_slot], tables=tables)
            if in_parts:
                _run_in_parts(operation, case, window=window, tables=tables)
    _run_columns(window, tables)
    reference_slot.unmap()
    if supported():
        operation = operation_of(_WARM_UP.parameters)
        _run_case(operation, _WARM_UP, window=window, reference_slots=[], tables=tables, suite=Suite.HYBRID_1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeUpJob:
    """A made-up job, as a cell gets one: no key of it opens anything else."""

    name: str
    """Of its operation."""
    opening: OpenJob
    keys: Sequence[bytes]
    segments: Sequence[bytes]
    """One for each part."""
    outputs: int

    def run(self, *, ring: Ring, window: memoryview, reference_slots: Sequence[Region], tables: Tables) -> None:
        """Run it. All messages wait in their channels before it starts. RuntimeError if it does not come out whole."""
        control, cell_control = Channel.pair()
        data, cell_data = Channel.pair()
        keyholder: Channel[KeyholderFromCell, CellFromKeyholder] = Channel(control, KeyholderFromCell)
        front: Channel[FrontFromCell, CellFromFront] = Channel(data, FrontFromCell)
        channels = CellChannels(
            control=Channel(cell_control, CellFromKeyholder), data=Channel(cell_data, CellFromFront), ring=ring
        )
        keyholder.send(self.opening)
        keyholder.send(KeysReady())
        for part, segment in enumerate(self.segments):
            ring.input(part)[: len(segment)] = segment
            front.send(InputReady(slot=part, part=part, length=len(segment)))
        front.send(Finish())
        for number in range(self.outputs):  # nobody reads them
            front.send(OutputFreed(slot=number % SLOTS))
        status = run_job(
            channels, key_slot=_Keys(self.keys), window=window, reference_slots=reference_slots, tables=tables
        )
        whole = status == 0 and isinstance(keyholder.receive()[0], Summary)
        for end in (channels.control, channels.data, keyholder, front):
            end.close()
        if not whole:
            raise RuntimeError(f"the self-test of {self.name} failed")


def warm_up_job() -> MadeUpJob:
    """Made once, by the zygote. A new cell runs it, so that its own job finds code and memory that it has touched."""
    return _made_up(operation_of(_WARM_UP.parameters), _WARM_UP, suite=Suite.CLASSICAL_1)


def _run_columns(window: memoryview, tables: Tables) -> None:
    """A job with sealed columns, and every type of such a column."""
    operation = operation_of(CASE.parameters)
    _run_case(operation, CASE, window=window, reference_slots=[], tables=tables, ceks=[CEK])
    message = operation.message(CASE.parameters)
    check_columns(parse(_header(message, {"records": CASE.schema}, dek=CEK, suite=Suite.CLASSICAL_1, sealed=True)))


class _Keys(KeySlot):
    """A key slot in ordinary memory: made-up keys need no secret page, and the real one belongs to the keyholder."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = list(keys)

    def take(self) -> list[bytes]:
        return self._keys


def _run_case(
    operation: Operation[Any],
    case: Case,
    *,
    window: memoryview,
    reference_slots: Sequence[Region],
    tables: Tables,
    suite: Suite = Suite.CLASSICAL_1,
    ceks: Sequence[bytes] = (),
) -> None:
    """One job, with sealed columns if there are `ceks`."""
    reference_slots = [] if operation.signature(case.parameters).reference is None else reference_slots
    job = _made_up(operation, case, suite=suite, ceks=ceks, references=len(reference_slots))
    job.run(ring=PlainRing(), window=window, reference_slots=reference_slots, tables=tables)


def _made_up(
    operation: Operation[Any], case: Case, *, suite: Suite, ceks: Sequence[bytes] = (), references: int = 0
) -> MadeUpJob:
    signature = operation.signature(case.parameters)
    inputs = {**case.sides, "records": (case.schema, case.row)}
    keys = [secrets.token_bytes(DEK_BYTES) for _ in range(1 if signature.project is None else 2)]
    schemas = {name: schema for name, (schema, _) in inputs.items()}
    header = _header(operation.message(case.parameters), schemas, dek=keys[0], suite=suite, sealed=bool(ceks))
    return MadeUpJob(
        name=operation.name,
        opening=OpenJob(
            header=header,
            worker_id="self-test",
            max_rows=len(inputs),
            max_bytes=LIMITS.job_bytes,
            reference_slot=references - 1,
        ),
        keys=[*keys, *ceks],
        segments=[_sealed(part, *one, dek=keys[0], header=header) for part, one in enumerate(inputs.values())],
        outputs=len(signature.parts) + len(_OF_ALL),
    )


def _run_in_parts(operation: Operation[Any], case: Case, *, window: memoryview, tables: Tables) -> None:
    """The same job in parts, if it can run so: task after task, and every part of its result."""
    signature = operation.signature(case.parameters)
    if signature.reference is not None or operation.stages(case.parameters) is None:
        return
    inputs = {**case.sides, "records": (case.schema, case.row)}
    schemas = {name: schema for name, (schema, _) in inputs.items()}
    dek, project_key = (secrets.token_bytes(DEK_BYTES) for _ in range(2))
    header = _header(operation.message(case.parameters), schemas, dek=dek, suite=Suite.CLASSICAL_1)
    parsed = parse(header)
    planned = plan(parsed.operations, parsed.input_schemas, tables)
    loop = PartsLoop(
        header=parsed,
        planned=planned,
        functions=stage_functions(planned.operations[0]),
        dek=dek,
        parts={part: [_sealed(part, *one, dek=dek, header=header)] for part, one in enumerate(inputs.values())},
        context=Context(
            job=job_context(parsed, _ATTRIBUTION),
            tables=tables,
            project_key=None if signature.project is None else project_key,
        ),
        window=window,
    )
    loop.run()
    if len(loop.results) != len(loop.planned.outputs):
        raise RuntimeError(f"the self-test of {operation.name} in parts failed")


def _sealed(part: int, schema_id: str, row: Row, *, dek: bytes, header: bytes) -> bytes:
    types = {
        name: pa.binary() if isinstance(row[name], bytes) else SCHEMAS[schema_id].columns[name].types[0] for name in row
    }
    schema = tagged(schema_id, list(map(pa.field, types, types.values())))
    columns = [pa.array([value], field.type) for field, value in zip(schema, row.values(), strict=True)]
    batch = pa.RecordBatch.from_arrays(columns, schema=schema)
    writer = StreamWriter(schema, max_batch_bytes=SEGMENT_BYTES)
    messages = [writer.schema_message(), *writer.batch_messages(batch), END_OF_STREAM]
    sealer = Sealer(dek, input_aad(sha384(header), part))
    plain = b"".join(bytes(m) for m in messages)
    sealed = sealer.header + sealer.seal(plain, last=True)
    assert len(sealed) > FLOE_HEADER_BYTES  # noqa: S101 - a header and a segment
    return sealed


def _header(
    operation: pb.Operation, schemas: Mapping[str, str], *, dek: bytes, suite: Suite, sealed: bool = False
) -> bytes:
    public = _recipient(suite)
    now = datetime.now(UTC)
    return new_header(
        job_id=new_job_id(),
        audience="self-test",
        originating_ori="VA0000000",
        requesting_ori="VA0000000",
        sealed_attribution=seal_box(dek, ATTRIBUTION, _ATTRIBUTION.encode()),
        submitter=os.urandom(32),
        purpose_code="C",
        inputs=[
            InputPart(name=name, schema=schema, sealed_columns=SEALED if sealed else ())
            for name, schema in schemas.items()
        ],
        operations=[operation],
        kek_id="https://self-test.invalid/keys/self-test/" + "0" * 32,
        wrapped_dek=os.urandom(384 if suite is Suite.CLASSICAL_1 else ML_KEM_BYTES + 384),
        recipients=[Recipient(key_id=key_id(public), jwk=public_jwk(public))],
        created=now,
        not_after=now + timedelta(hours=1),
        size_class=SizeClass.POWER_OF_TWO,
        suite=suite,
        column_keys=[column_keys()] if sealed else [],
        sealed_outputs=OUTPUTS if sealed else [],
    )


def _recipient(suite: Suite) -> RecipientKey:
    """A key that nobody can open for. An RSA key that somebody could would take a second to make."""
    if suite is Suite.HYBRID_1:
        return DecryptionPair.generate().public_key()
    modulus = int.from_bytes(os.urandom(384), "big") | 1 << 3071 | 1
    return rsa.RSAPublicNumbers(65537, modulus).public_key()
