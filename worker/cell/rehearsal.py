"""Whole jobs in the zygote, before any key exists.

A cell cannot open files, so whatever Python, numpy, pyarrow and OpenSSL load lazily has to be loaded before the
fork. The rehearsal runs the cell's own code on a made-up row for every operation, playing front and keyholder
itself. It is the worker's self-test as well: a zygote that cannot do its jobs does not start.
"""

import contextlib
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric import rsa

from worker.cell.channels import CellChannels
from worker.cell.job import run_job
from worker.compute.registry import project_of, reference_of
from worker.compute.tables import Tables
from worker.envelope import DEK_BYTES, FLOE_HEADER_BYTES, SEGMENT_BYTES, Sealer, input_aad, sha384
from worker.ipc import Channel, ChannelClosed, KeySlot, Ring
from worker.ipc.messages import (
    CellFromFront,
    CellFromKeyholder,
    Commit,
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

__all__ = ["rehearse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """One made-up record and what is done with it, with one record of a side table where there is one."""

    schema: str
    row: Mapping[str, str | None]
    operation: pb.Operation
    side: tuple[str, Mapping[str, str | None]] | None = None

    @property
    def inputs(self) -> tuple[tuple[str, Mapping[str, str | None]], ...]:
        """(schema, row) of each input, in their order."""
        records = (self.schema, self.row)
        return (records,) if self.side is None else (self.side, records)


_STARS: Final[dict[str, Any]] = {"with": "*"}  # a keyword of Python
_RULES: Final = (
    pb.ColumnRule(column="last", drop=pb.Drop()),
    pb.ColumnRule(column="DOB", date_shift=pb.DateShift(subject_column="SID", max_days=30)),
    pb.ColumnRule(column="postcode", generalise=pb.Generalise(zip_prefix=pb.ZipPrefix(digits=3))),
    pb.ColumnRule(column="SOC", mask=pb.Mask(keep_last=2, **_STARS)),
    pb.ColumnRule(column="SEX", keep=pb.Keep()),
    pb.ColumnRule(column="SID", hmac_token=pb.HmacToken(domain="sid", bits=128)),
    pb.ColumnRule(column="EYE", null=pb.Null()),
    pb.ColumnRule(column="OLN", aes_token=pb.AesToken(domain="oln")),
    pb.ColumnRule(column="FBI", ff1=pb.Ff1(domain="fbi", radix=36)),
)


_SCENES: Final = (
    _Scene(
        schema="nibrs.flat/3.1",
        row={"segment": "00431I012026    GA0600000" + "X" * 18},
        operation=pb.Operation(validate=pb.Validate(rule_set="nibrs/3.1", as_of="2026-01-01")),
    ),
    _Scene(
        schema="person/1",
        row={
            "last": "DOE",
            "DOB": "19700131",
            "postcode": "12345",
            "SOC": "123456789",
            "SEX": "U",
            "SID": "XX1",
            "EYE": "BRO",
            "OLN": "A1",
            "FBI": "123456A",
        },
        operation=pb.Operation(
            deidentify=pb.Deidentify(
                project="rehearsal",
                wrapped_project_key=bytes(384),
                columns=_RULES,
                small_classes=pb.SmallClasses(quasi_identifiers=["SEX", "postcode"], k=2),
                token_map=True,
            )
        ),
    ),
    _Scene(
        schema="hotfile/1",
        row={"NIC": "W", "NAM": "DOE", "SEX": "Q", "SOC": "1", "MNU": "AF-1", "HGT": "1", "VIN": "1", "entered": "1"},
        operation=pb.Operation(validate=pb.Validate(rule_set="ncic/1", as_of="2026-01-01")),
    ),
    _Scene(
        schema="nibrs.flat/3.1",
        row={"segment": "00431I012026    GA0600000" + "X" * 18},
        operation=pb.Operation(aggregate=pb.Aggregate(preset="srs_return_a")),
    ),
    _Scene(
        schema="person/1",
        row={"SEX": "M", "SID": "XX1", "WGT": "150"},
        operation=pb.Operation(
            aggregate=pb.Aggregate(
                keys=[pb.GroupKey(column="SEX", categories=["F", "M"])], person="SID", sums=["WGT"], threshold=2, base=5
            )
        ),
    ),
    _Scene(
        schema="person/1",
        row={"last": "DOE", "first": "JOHN", "DOB": "19800101", "SOC": "123456789", "postcode": "12345"},
        operation=pb.Operation(
            link=pb.Link(
                match=0.9,
                clerical_review_threshold=0.01,
                block_rows=100,
                pairs=100,
                random_pairs=1000,
                training_pairs=1000,
                seed=1,
            )
        ),
        side=(
            "person/1",
            {"last": "DOE", "first": "JON", "DOB": "19800101", "SOC": "123456789", "postcode": "12345"},
        ),
    ),
    _Scene(
        schema="person/1",
        row={"NAM": "DOE, JOHN", "SEX": "M", "RAC": "W", "DOB": "19800101", "SOC": "1"},
        operation=pb.Operation(screen=pb.Screen(preset="ncic_qw_expanded_dob", max_hits=5, retain_seconds=1)),
        side=(
            "hotfile/1",
            {"NAM": "DOE, JON", "SEX": "M", "RAC": "W", "DOB": "19800102", "SOC": "2", "NIC": "W", "file_code": "W"},
        ),
    ),
    _Scene(  # against the reference that the scene before has left
        schema="person/1",
        row={"last": "DOE", "first": "JOHN", "DOB": "19800101"},
        operation=pb.Operation(screen=pb.Screen(preset="iii_qh", max_hits=5, resident_reference=bytes(32))),
    ),
    _Scene(
        schema="hotfile/1",
        row={"NIC": "W000000000", "file_code": "W", "NAM": "DOE, J", "SID": None},
        operation=pb.Operation(disseminate=pb.Disseminate(recipient_class="criminal_justice", as_of="2026-01-01")),
    ),
)


def rehearse(window: memoryview, slot: KeySlot, tables: Tables) -> None:
    """Run a job of every operation; raises RuntimeError when one does not come out whole."""
    fd = os.memfd_create("cji-rehearsal", os.MFD_CLOEXEC)
    os.ftruncate(fd, ALIGNMENT)
    shelf = Region(fd)
    for scene in _SCENES:
        _play(scene, window, slot, shelf, tables)
    shelf.unmap()


def _play(scene: _Scene, window: memoryview, slot: KeySlot, shelf: Region, tables: Tables) -> None:
    """One job in a second thread of this process."""
    control, cell_control = Channel.pair()
    data, cell_data = Channel.pair()
    ring = Ring.create()
    wires = CellChannels(
        control=Channel(cell_control, CellFromKeyholder), data=Channel(cell_data, CellFromFront), ring=ring
    )
    status: list[int] = []
    shelves = [] if reference_of([scene.operation]) is None else [shelf]

    def cell() -> None:
        try:
            status.append(run_job(wires, slot=slot, window=window, shelves=shelves, tables=tables))
        finally:
            wires.close()

    header, keys = _header(scene)
    slot.put(keys)
    keyholder: Channel[KeyholderFromCell, CellFromKeyholder] = Channel(control, KeyholderFromCell)
    front: Channel[FrontFromCell, CellFromFront] = Channel(data, FrontFromCell)
    sealed = [_sealed(part, *one, dek=keys[0], header=header) for part, one in enumerate(scene.inputs)]
    for part, segment in enumerate(sealed):
        ring.input(part)[: len(segment)] = segment
    thread = threading.Thread(target=cell)
    thread.start()
    with contextlib.suppress(ChannelClosed):
        keyholder.send(OpenJob(header=header, worker_id="rehearsal", reference_slot=len(shelves) - 1))
        for part, segment in enumerate(sealed):
            front.send(InputReady(slot=part, part=part, length=len(segment)))
        front.send(Finish())
        keyholder.receive()
        keyholder.send(Commit())
        while not isinstance(message := front.receive()[0], OutputsDone):
            if isinstance(message, OutputReady):
                front.send(OutputFreed(slot=message.slot))
    thread.join()
    keyholder.close()
    front.close()
    if status != [0]:
        raise RuntimeError(f"the rehearsal of {scene.operation.WhichOneof('operation')} failed")


def _sealed(part: int, schema_id: str, row: Mapping[str, str | None], *, dek: bytes, header: bytes) -> bytes:
    schema = tagged(schema_id, [pa.field(name, SCHEMAS[schema_id].columns[name].types[0]) for name in row])
    columns = [pa.array([value], field.type) for field, value in zip(schema, row.values(), strict=True)]
    batch = pa.RecordBatch.from_arrays(columns, schema=schema)
    writer = StreamWriter(schema, max_batch_bytes=SEGMENT_BYTES)
    messages = [writer.schema_message(), *writer.batch_messages(batch), END_OF_STREAM]
    sealer = Sealer(dek, input_aad(sha384(header), part))
    plain = b"".join(bytes(m) for m in messages)
    sealed = sealer.header + sealer.seal(plain, last=True)
    assert len(sealed) > FLOE_HEADER_BYTES  # noqa: S101 - both parts are there
    return sealed


def _header(scene: _Scene) -> tuple[bytes, list[bytes]]:
    # a modulus nobody can factor or decrypt for; making a real key would take a second
    modulus = int.from_bytes(os.urandom(384), "big") | 1 << 3071 | 1
    public = rsa.RSAPublicNumbers(65537, modulus).public_key()
    now = datetime.now(UTC)
    header = new_header(
        job_id=new_job_id(),
        audience="rehearsal",
        originating_ori="VA0000000",
        requesting_ori="VA0000000",
        operator_id="rehearsal",
        requestor="rehearsal",
        reason="rehearsal",
        purpose_code="C",
        inputs=[InputPart(name=f"part{part}", schema=schema) for part, (schema, _) in enumerate(scene.inputs)],
        operations=[scene.operation],
        kek_id="https://rehearsal.invalid/keys/rehearsal/" + "0" * 32,
        wrapped_dek=os.urandom(384),
        recipients=[Recipient(key_id=key_id(public), jwk=public_jwk(public))],
        created=now,
        not_after=now + timedelta(hours=1),
        size_class=SizeClass.POWER_OF_TWO,
    )
    keys = 1 if project_of(scene.operation) is None else 2
    return header, [secrets.token_bytes(DEK_BYTES) for _ in range(keys)]
