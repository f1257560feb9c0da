"""Sealing a job: header bytes built once and signed, a fresh data key wrapped to the worker's pinned key.

A `SealedJob` holds no records. Its parts are sealed while they are sent (`SealedJob.seal_part`), so an input of any
size passes through one segment. The data key is used for this job's inputs only and never shown in a repr.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from worker.client.errors import SpecError
from worker.client.keys import PinnedKey, ProjectKey, recipient_thumbprints
from worker.client.parts import arrow_messages, seal_stream
from worker.client.sources import Source, open_source
from worker.client.spec import JobSpec
from worker.client.transforms import Deidentify
from worker.compute import registry
from worker.envelope import DEK_BYTES, input_aad, sign_header, wrap_dek
from worker.errors import Reason, Refusal
from worker.job import (
    Header,
    InputPart,
    Recipient,
    SizeClass,
    new_header,
    new_job_id,
    parse,
)
from worker.wire.v1 import worker_pb2 as pb

__all__ = ["INPUT_NAME", "SealedJob", "seal"]

INPUT_NAME = "records"
"""Name of the last input part of a job made from a JobSpec; side tables stand before it under their own names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedJob:
    """A signed header and the data key that its parts are sealed with."""

    header: Header
    signature: bytes
    _dek: bytes = field(repr=False)

    def seal_part(self, part: int, source: Source) -> Iterator[bytes]:
        """The sealed segments of input `part`; every call starts a new FLOE stream."""
        batches = open_source(source, self.header.inputs[part].schema)
        return seal_stream(self._dek, input_aad(self.header.sha384, part), arrow_messages(batches))


def seal(
    spec: JobSpec,
    *,
    kek: PinnedKey,
    signing_key: ec.EllipticCurvePrivateKey,
    project_key: ProjectKey | None = None,
    rows: int | None = None,
    now: datetime | None = None,
) -> SealedJob:
    """Seal one job of `spec` to the worker's pinned key.

    `project_key` is needed where a column is keyed, and must be that of the spec's project.
    `rows` are declared in the header where they are known. `now` is aware UTC. Raises SpecError before anything is
    signed when the spec breaks a rule of the header or of its operation.
    """
    if kek.kek_id != spec.kek_id or kek.thumbprint != spec.kek_thumbprint:
        raise SpecError("the pinned key is not the one that the spec names")
    created = (now or datetime.now(UTC)).replace(microsecond=0)
    dek = secrets.token_bytes(DEK_BYTES)
    operations = _operations(spec, kek, project_key, today=created.date().isoformat())
    try:
        data = new_header(
            job_id=new_job_id(),
            audience=spec.audience,
            originating_ori=spec.originating_ori,
            requesting_ori=spec.requesting_ori,
            operator_id=spec.operator_id,
            requestor=spec.requestor,
            secondary_recipient=spec.secondary_recipient,
            case_number=spec.case_number,
            reason=spec.reason,
            purpose_code=spec.purpose_code,
            inputs=[
                *(InputPart(name=name, schema=side.schema) for name, side in spec.sides.items()),
                InputPart(name=INPUT_NAME, schema=spec.input.schema, rows_declared=rows),
            ],
            operations=operations,
            kek_id=kek.kek_id,
            wrapped_dek=wrap_dek(kek.public, dek),
            recipients=_recipients(spec),
            created=created,
            not_after=created + timedelta(hours=spec.valid_hours),
            size_class=SizeClass.POWER_OF_TWO if spec.size_class == "power_of_two" else SizeClass.EXACT,
        )
    except Refusal as refusal:
        raise SpecError(
            f"the spec does not make a valid header ({refusal.__cause__ or refusal.reason.value})",
            remedy="docs/format.md, section 1, has the rules of each field.",
        ) from None
    return SealedJob(header=parse(data), signature=sign_header(signing_key, data), _dek=dek)


def _operations(spec: JobSpec, kek: PinnedKey, project_key: ProjectKey | None, *, today: str) -> Sequence[pb.Operation]:
    operations: list[pb.Operation] = []
    if spec.validate is not None:
        operations.append(spec.validate.message(spec.input.schema, today))
    if spec.link is not None:
        operations.append(spec.link.message())
    if spec.screen is not None:
        operations.append(spec.screen.message())
    if spec.deidentify is not None:
        operations.append(spec.deidentify.message(_wrapped_project_key(spec.deidentify, kek, project_key)))
    if spec.aggregate is not None:
        operations.append(spec.aggregate.message())
    if spec.disseminate is not None:
        operations.append(spec.disseminate.message(today))
    if not operations:
        raise SpecError("the spec names no operation", remedy=f"Add one of {', '.join(registry.OPERATIONS)}.")
    try:
        registry.check(operations, [*(side.schema for side in spec.sides.values()), spec.input.schema])
    except Refusal as refusal:
        names = ", ".join(f"[{operation.WhichOneof('operation')}]" for operation in operations)
        what = f"{names}: parameters, order or side tables that do not fit"
        if refusal.reason is Reason.SCHEMA_MISMATCH:
            what = f"{names}: not for the input schema {spec.input.schema!r}"
        raise SpecError(what, remedy="docs/operations.md has schemas and ranges.") from None
    return operations


def _wrapped_project_key(operation: Deidentify, kek: PinnedKey, project_key: ProjectKey | None) -> bytes:
    if not operation.needs_project_key:
        return b""
    if project_key is None:
        raise SpecError("keyed columns need a project key", remedy="Make one with `cji key project`.")
    if project_key.project != operation.project:
        raise SpecError("the project key belongs to another project")
    return project_key.wrap(kek)


def _recipients(spec: JobSpec) -> list[Recipient]:
    ids = recipient_thumbprints(spec.recipients)
    return [Recipient(key_id=key_id, jwk=jwk) for key_id, jwk in zip(ids, spec.recipients, strict=True)]
