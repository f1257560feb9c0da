"""Sealing a job: header bytes built once and signed, a fresh data key wrapped for the worker's pinned key.

The spec names the suite. A key that cannot serve it is a SpecError; no other suite is tried.

A `SealedJob` holds no records. Its parts are sealed while they are sent (`SealedJob.seal_part`), so memory use is one
segment for an input of any size. The data key is used for this job's inputs only and never shown in a repr.

An input may be in shards, so that many machines can work on one job. Batches stay whole, and the split depends on
nothing but the numbers of rows: batches whose first row lies in the k-th of n equal shares of the rows are shard k.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from cji_client.admissions import new_send_key
from cji_client.errors import LimitExceeded, SpecError
from cji_client.parts import arrow_messages, seal_stream
from cji_client.progress import Watch, unwatched
from cji_client.signers import Signer, header_signature, signer_of
from cji_client.sources import Batches, FittedSource, Source, fit
from cji_client.spec import InputSpec, JobSpec, read_file_bytes
from cji_core.errors import Reason, Refusal
from cji_core.format.envelope import ATTRIBUTION, input_aad, new_dek, seal_box, signer_thumbprint
from cji_core.format.job import (
    LIMITS,
    Attribution,
    Header,
    InputPart,
    Recipient,
    SizeClass,
    new_header,
    new_job_id,
    parse,
)
from cji_core.format.keys import PinnedKey, ProjectKey, load_project_key, recipient_thumbprints
from cji_core.jose import SigningKey
from cji_core.operations.parameters import Parameters, ParametersError, Sealing
from cji_core.operations.registry import Plan, operation_of, plan
from cji_core.pairs import VerifyingPair
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2 as pb

if TYPE_CHECKING:
    from cji_client.columns.job import JobColumns

_NEEDS_ROWS: Final = "an input in shards must be readable more than once, so that its rows can be counted"

INPUT_NAME = "records"
"""Name of the last input part of a job made from a JobSpec; side tables precede it under their own names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedJob:
    """A signed header, the plan that it carries, how each input is read, and the data key that seals the parts."""

    header: Header
    signature: bytes
    plan: Plan = field(repr=False)
    send_key: SigningKey = field(repr=False)
    """Signs admissions of this job, and nothing else."""
    _inputs: tuple[InputSpec, ...] = field(repr=False)
    _dek: bytes = field(repr=False)

    def fit(self, number: int, source: Source, *, watch: Watch = unwatched) -> FittedSource:
        """The records of an input as the job's spec states, read once from start to end (`sources.fit`).

        SpecError if its encrypted columns are not those of the header.
        """
        fitted = fit(source, self._inputs[number], watch=watch)
        part = self.header.inputs[number]
        if fitted.sealed != part.sealed_columns:
            raise SpecError(
                f"{part.name} has the encrypted columns {_listed(fitted.sealed)}, and the job was sealed for "
                f"{_listed(part.sealed_columns)}",
                remedy="Seal the job again with this input.",
            )
        return fitted

    def seal_parts(self, number: int, source: Source) -> Iterator[tuple[int, Iterator[bytes]]]:
        """(part, its sealed segments) for every part of an input, in order; every call starts new FLOE streams.

        The input is read once, so the segments of a part must be used up before the next part. SpecError for an input
        in several shards that can be read only once.
        """
        fitted = self.fit(number, source)
        given = fitted.open()
        shards = split(given.batches, rows=fitted.rows, shards=self.header.inputs[number].shards)
        for part, batches in enumerate(shards, start=number):
            messages = arrow_messages(Batches(schema=given.schema, batches=batches))
            yield part, seal_stream(self._dek, input_aad(self.header.sha384, part), messages)

    def seal_part(self, part: int, source: Source) -> Iterator[bytes]:
        """The sealed segments of one part, from the whole of its input; every call starts a new FLOE stream."""
        for number, segments in self.seal_parts(min(part, len(self.header.inputs) - 1), source):
            if number == part:
                return segments
            for _ in segments:
                pass
        raise ValueError("the job has no such part")


def seal(
    spec: JobSpec,
    *,
    kek: PinnedKey,
    signing_key: SigningKey | Signer,
    project_key: ProjectKey | None = None,
    rows: int | None = None,
    encrypted: Mapping[str, Sequence[str]] = MappingProxyType({}),
    now: datetime | None = None,
) -> SealedJob:
    """Seal one job of `spec` to the worker's pinned key.

    `project_key` is needed if a column is keyed and the spec names no file with the key. `rows`, if known, are declared
    in the header; a spec with `shard_rows` needs them. `encrypted` has the encrypted columns of each input whose spec
    names `columns`, by their names in the schema. `now` is aware UTC. Raises SpecError before anything is signed
    if the spec violates a rule of the header or of an operation.
    """
    signer = _signer(spec, kek, signing_key)
    created = (now or datetime.now(UTC)).replace(microsecond=0)
    columns = _columns(spec, encrypted)
    dek, wrapped_dek = new_dek(kek.wrapping, spec.suite)
    send_key = new_send_key(spec.suite)
    inputs = _parts(spec, rows, columns)
    operations = _operations(spec, dek, project_key, today=created.date())
    planned = _plan(spec, operations, {part.name: part.schema for part in inputs})
    data = _header(
        spec,
        columns,
        dek,
        job_id=new_job_id(),
        submitter=signer_thumbprint(signer.public_key(), spec.suite),
        send_key=signer_thumbprint(send_key.public_key(), spec.suite),
        inputs=inputs,
        operations=operations,
        kek_id=kek.kek_id,
        wrapped_dek=wrapped_dek,
        created=created,
        not_after=created + timedelta(hours=spec.valid_hours),
    )
    header = parse(data)
    if columns is not None:
        columns.check(header, planned, created)
    return SealedJob(
        header=header,
        signature=header_signature(signer, data, spec.suite),
        plan=planned,
        send_key=send_key,
        _inputs=tuple(inputs_of(spec).values()),
        _dek=dek,
    )


def _header(spec: JobSpec, columns: "JobColumns | None", dek: bytes, **fields: Any) -> bytes:
    """The header's bytes of these fields and those of the spec; SpecError if they break a rule of the format."""
    try:
        return new_header(
            audience=spec.audience,
            originating_ori=spec.originating_ori,
            requesting_ori=spec.requesting_ori,
            sealed_attribution=seal_box(dek, ATTRIBUTION, _attribution(spec).encode()),
            suite=spec.suite,
            purpose_code=spec.purpose_code,
            recipients=_recipients(spec),
            size_class=size_class(spec),
            column_keys=() if columns is None else columns.keys,
            sealed_outputs=() if columns is None else columns.outputs,
            **fields,
        )
    except Refusal as refusal:
        raise SpecError(
            f"the spec does not make a valid header ({refusal.__cause__ or refusal.reason.value})",
            remedy="Compare the field with docs/format.md, section 1.",
        ) from None


def size_class(spec: JobSpec) -> SizeClass:
    """That of the spec; of a job with encrypted columns always POWER_OF_TWO, and SpecError if the spec refuses it."""
    encrypted = any(each.columns is not None for each in inputs_of(spec).values())
    if encrypted and spec.size_class == "exact":
        raise SpecError(
            'size_class = "exact" shows how long results are, which here depends on encrypted values',
            remedy='Remove size_class from the spec, or write "power_of_two".',
        )
    return SizeClass.POWER_OF_TWO if encrypted or spec.size_class == "power_of_two" else SizeClass.EXACT


def inputs_of(spec: JobSpec) -> dict[str, InputSpec]:
    """The inputs by name: side tables, then the records."""
    return {**spec.sides, INPUT_NAME: spec.input}


def _columns(spec: JobSpec, encrypted: Mapping[str, Sequence[str]]) -> "JobColumns | None":
    """The encrypted columns of the job, with their keys; None if it has none."""
    files = {name: each.columns for name, each in inputs_of(spec).items() if each.columns is not None}
    if not files:
        return None
    from cji_client.columns.job import job_columns  # noqa: PLC0415 - for those who have such a table

    if missing := files.keys() - encrypted.keys():
        raise SpecError(
            f"the encrypted columns of {_listed(missing)} are not known",
            remedy="Seal the job with `prepare` and `Prepared.seal`, which read the input first.",
        )
    return job_columns(files, encrypted)


def _parts(spec: JobSpec, rows: int | None, columns: "JobColumns | None") -> list[InputPart]:
    """Side tables, then the records."""
    sealed = {} if columns is None else columns.inputs
    parts = list[InputPart]()
    for name, given in inputs_of(spec).items():
        names, keys = sealed.get(name, ((), 0))
        records = name == INPUT_NAME
        parts.append(
            InputPart(
                name=name,
                schema=given.schema,
                rows_declared=rows if records else None,
                shards=number_of_shards(spec, rows) if records else 1,
                sealed_columns=names,
                column_keys=keys,
            )
        )
    return parts


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _signer(spec: JobSpec, kek: PinnedKey, signing_key: SigningKey | Signer) -> Signer:
    """The signer, if it and the pinned key serve the spec."""
    signer = signer_of(signing_key)
    pinned = (kek.kek_id, kek.thumbprint, kek.ml_kem_thumbprint)
    if pinned != (spec.kek_id, spec.kek_thumbprint, spec.ml_kem_thumbprint):
        raise SpecError("the pinned key is not the one that the spec names")
    if spec.suite is Suite.HYBRID_1 and not isinstance(signer.public_key(), VerifyingPair):
        raise SpecError(
            "a hybrid-1 job is signed with a pair of keys", remedy="Make one with `cji key new-signing --hybrid`."
        )
    return signer


def _attribution(spec: JobSpec) -> Attribution:
    return Attribution(
        operator_id=spec.operator_id,
        requestor=spec.requestor,
        secondary_recipient=spec.secondary_recipient,
        case_number=spec.case_number,
        reason=spec.reason,
    )


def _operations(spec: JobSpec, dek: bytes, project_key: ProjectKey | None, *, today: date) -> list[pb.Operation]:
    """The operations as messages for the header, completed with the submitter's date, files and keys."""

    def wrap(project: str, file: Path | None) -> bytes:
        key = project_key if file is None else load_project_key(file)
        if key is None:
            raise SpecError(
                "keyed columns need a project key",
                remedy="Make one with `cji key project`; name its file in the operation, or pass `project_key`.",
            )
        if key.project != project:
            raise SpecError("the project key belongs to another project")
        return key.wrap(dek)

    sealing = Sealing(today=today, schema=spec.input.schema, read=read_file_bytes, wrap_project_key=wrap)
    return [_message(parameters, sealing) for parameters in spec.operations]


def _message(parameters: Parameters, sealing: Sealing) -> pb.Operation:
    operation = operation_of(parameters)
    try:
        return operation.message(operation.complete(parameters, sealing))
    except ParametersError as error:
        raise SpecError(f"{operation.name}: {error}", remedy=error.remedy) from None
    except ValueError as error:
        remedy = f"Compare it with docs/operations/{operation.name}.md."
        raise SpecError(f"{operation.name}: {error}", remedy=remedy) from None


def _plan(spec: JobSpec, operations: list[pb.Operation], inputs: dict[str, str]) -> Plan:
    try:
        return plan(operations, inputs)
    except Refusal as refusal:
        names = ", ".join(str(operation.WhichOneof("operation")) for operation in operations)
        if refusal.reason is Reason.SCHEMA_MISMATCH:
            text = f"{names}: not possible with the input schema {spec.input.schema!r}"
        else:
            text = f"{names}: {refusal.__cause__ or 'invalid parameters, order or side tables'}"
        raise SpecError(text, remedy="Compare schemas and ranges with docs/operations.md.") from None


def _recipients(spec: JobSpec) -> list[Recipient]:
    jwks = tuple(dict.fromkeys((*spec.recipients, *spec.escrow)))
    ids = recipient_thumbprints(jwks, spec.suite)
    return [Recipient(key_id=key_id, jwk=jwk) for key_id, jwk in zip(ids, jwks, strict=True)]


def number_of_shards(spec: JobSpec, rows: int | None) -> int:
    """The shards of a job on `rows` records. SpecError where they are not known, or make too many shards."""
    if spec.shard_rows is None:
        shards = spec.shards
    elif rows is None:
        raise SpecError(_NEEDS_ROWS, remedy="Pass a table or a file, and its number of rows to `seal`.")
    else:
        shards = max(-(-rows // spec.shard_rows), 1)
    if shards > LIMITS.shards:
        raise LimitExceeded(
            f"shard_rows = {spec.shard_rows} makes {shards} shards of {rows} rows; {LIMITS.shards} are possible",
            limit="shards",
            found=shards,
            most=LIMITS.shards,
            remedy="Choose a larger shard_rows.",
        )
    return shards


def split(batches: Iterator[pa.RecordBatch], *, rows: int | None, shards: int) -> Iterator[Iterator[pa.RecordBatch]]:
    """The batches of every shard, in order; each shard must be used up before the next. A shard may have no batch.

    `rows` are those of all batches together. SpecError where several shards are wanted of an unknown number of rows.
    """
    if shards == 1:
        yield batches
        return
    if rows is None:
        raise SpecError(_NEEDS_ROWS, remedy="Pass a table or a file, not an iterator.")
    ahead: pa.RecordBatch | None = None
    first = 0

    def shard(number: int) -> Iterator[pa.RecordBatch]:
        nonlocal ahead, first
        for batch in chain(() if ahead is None else (ahead,), batches):
            if min(first * shards // max(rows, 1), shards - 1) > number:
                ahead = batch
                return
            ahead = None
            first += batch.num_rows
            yield batch
        ahead = None

    for number in range(shards):
        yield shard(number)
