"""The errors that a submitter can meet, each with a remedy.

* `WorkerRefused`: the worker answered with one of its closed Reasons.
* `Unverified`: something that the worker sent failed a check; `check` names it.
* `Unreachable`: the call ended without an answer from the worker.
* `SpecError`: a job spec, profile, key file or input cannot be used. `ColumnError` names columns, `MissingRule` those
  without a rule, `ColumnTypeError` has the types found and wanted, `LimitExceeded` the limit.
* `JobCancelled`: the submitter ended the job, and there is no result.
* `NotStored`: this machine could not write what came.

An error that ends the sending of a job has `standing` (`cji_client.standing`): whether something was sent, whether the
receipt came, what the worker answered about the rest.

Of jobs by reference only:
* `StorageRefused`: Azure Storage refuses this identity, or has no such container or queue.
* `JobFailed`: the job has ended without a result: given up, cancelled, or too late; `failure` is the verified receipt
  of that.
* `NotFinished`: it has no end yet, so whether there will be a result is unknown.

No error text is derived from keys. None shows more of a record than the shape of a value whose format its submitter has
to correct, digits as 9 and letters as A. Text from the network is reduced to printable ASCII.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from cji_core.errors import (
    LIMITS,
    REASONS,
    ClientError,
    Limit,
    Reason,
    SpecError,
    Stage,
    Unreachable,
    Unverified,
)
from cji_core.trail import VerifiedFailure

__all__ = [
    "ClientError",
    "ColumnError",
    "ColumnTypeError",
    "InputWarning",
    "JobCancelled",
    "JobFailed",
    "LimitExceeded",
    "MissingRule",
    "NotFinished",
    "NotStored",
    "Reason",
    "SpecError",
    "Stage",
    "StorageRefused",
    "Unreachable",
    "Unverified",
    "WorkerRefused",
]

_DETAILS_KEY: Final = "grpc-status-details-bin"
_DOMAIN: Final = "worker.cji"
_DETAIL_CHARACTERS: Final = 200
_COLUMN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_NUMBER: Final = re.compile(r"[0-9]{1,19}", re.ASCII)


class InputWarning(UserWarning):
    """Records that can be sent and are most probably not meant so: none at all, or a column without a value."""


class ColumnError(SpecError):
    """Columns of the input do not fit its schema or the operations; `columns` are their names, in order."""

    def __init__(self, message: str, *, columns: Iterable[str], remedy: str | None = None) -> None:
        if remedy is None:
            super().__init__(message)
        else:
            super().__init__(message, remedy=remedy)
        self.columns = tuple(columns)


class MissingRule(ColumnError):  # noqa: N818
    """An operation has no rule for `columns`."""


class ColumnTypeError(ColumnError):
    """A column has a type, or the value in `row` (from 0) a form, that cannot become the type `wanted`."""

    def __init__(
        self, message: str, *, column: str, found: str, wanted: str, row: int | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(message, columns=(column,), remedy=remedy)
        self.found = found
        self.wanted = wanted
        self.row = row


class LimitExceeded(SpecError):  # noqa: N818
    """The input or job exceeds a limit, whose name `cji_core.format.job.limits` explains.

    `found` is what it has, or at least has, `most` what is possible.
    """

    def __init__(self, message: str, *, limit: str, found: int | None, most: int, remedy: str | None = None) -> None:
        if remedy is None:
            super().__init__(message)
        else:
            super().__init__(message, remedy=remedy)
        self.limit = limit
        self.found = found
        self.most = most


@dataclass(frozen=True, slots=True)
class FaultyCells:
    """A sealed column of the input or output `table`: `row` is the first with a faulty cell, in shard `part` if any."""

    table: str
    column: str
    part: int | None = None
    row: int | None = None

    def __str__(self) -> str:
        """As a person reads it."""
        part = "" if self.part is None else f", part {self.part}"
        row = "" if self.row is None else f", row {self.row}"
        return f"column {self.column} of {self.table}{part}{row}"


class WorkerRefused(ClientError):  # noqa: N818
    """The worker refused for a Reason; `retry_after` is its suggested delay in seconds, if it sent one.

    `column` is a sealed column with faulty cells, and `limit` the name of a limit, if it is about one.
    """

    def __init__(
        self,
        reason: Reason,
        *,
        stage: Stage | None,
        correlation_id: str,
        retryable: bool,
        retry_after: float | None,
        column: FaultyCells | None = None,
        limit: Limit | None = None,
    ) -> None:
        where = f" at {stage.value}" if stage else ""
        about = f": {column}" if column else f": {limit.value}" if limit else ""
        remedy = LIMITS[limit].remedy if limit else REASONS[reason].remedy
        super().__init__(f"{reason.value}{where}{about}", remedy=remedy, retryable=retryable)
        self.limit = None if limit is None else limit.value
        self.column = column
        self.columns = () if column is None else (column.column,)
        self.row = None if column is None else column.row
        self.reason = reason
        self.stage = stage
        self.correlation_id = correlation_id
        self.retry_after = retry_after


class StorageRefused(ClientError):  # noqa: N818
    """Azure Storage refused for good; `status` is that of HTTP."""

    def __init__(self, message: str, *, status: int, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status


class JobFailed(ClientError):  # noqa: N818
    """The job ended without a result, and will have none: `failure.claims.reason` is the reason.

    `failure` was verified as a receipt is; `evidence` is the file of the evidence, for `cji receipt verify`.
    """

    def __init__(self, failure: VerifiedFailure, *, evidence: bytes) -> None:
        claims = failure.claims
        super().__init__(
            f"the job ended without a result after {claims.attempts} attempts: "
            f"{claims.reason.value} at {claims.stage.value}",
            remedy=REASONS[claims.reason].remedy,
        )
        self.failure = failure
        self.evidence = evidence


class JobCancelled(ClientError):  # noqa: N818
    """The submitter ended the run by a `Cancellation`."""

    def __init__(self) -> None:
        super().__init__("the job was cancelled", remedy="Seal the records again if you need the result.")


class NotStored(ClientError):  # noqa: N818
    """A file of a job that was sent cannot be written or read on this machine."""

    exit_status = 5

    def __init__(self, what: str, error: OSError) -> None:
        super().__init__(f"{what} ({error.strerror or type(error).__name__})", remedy="Free space, or allow writing.")


class NoReceipt(ClientError):  # noqa: N818
    """The worker has no receipt of the job; `state` is `not released`, `unknown`, or `released` by another worker."""

    def __init__(self, state: str, *, remedy: str) -> None:
        super().__init__(f"the worker has no receipt of this job: {state}", remedy=remedy, retryable=True)
        self.state = state


class NotFinished(ClientError):  # noqa: N818
    """The job has no end yet: whether a result will be released is unknown."""

    def __init__(self, state: str) -> None:
        super().__init__(
            f"the job has no end yet ({state}), so whether there will be a result is unknown",
            remedy="Wait, then ask again: `cji job status JOB --wait SECONDS`.",
            retryable=True,
        )
        self.state = state


def from_rpc(error: grpc.RpcError) -> ClientError:
    """The worker's refusal inside a gRPC status, or Unreachable if there is none."""
    call = cast("grpc.Call", error)  # the blocking API raises objects that are both
    metadata = cast("Iterable[tuple[str, str | bytes]]", call.trailing_metadata() or ())
    trailer = next((value for key, value in metadata if key == _DETAILS_KEY), None)
    if isinstance(trailer, bytes) and (refusal := from_details(trailer)):
        return refusal
    if call.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return WorkerRefused(Reason.DEADLINE, stage=None, correlation_id="", retryable=True, retry_after=None)
    return _unanswered(call.code(), call.details() or "")


def _unanswered(code: grpc.StatusCode, details: str) -> Unreachable:
    """No refusal of a worker; where TLS is the cause, its remedy is that of exactly this case."""
    if "CERTIFICATE_VERIFY_FAILED" in details:
        return Unreachable(
            f"{code.name}: the server's certificate is not from an authority in `ca`, or names another host",
            remedy="Compare `ca`, `target` and `server_name` in the profile with those from the worker's operator.",
        )
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return Unreachable(
            f"{code.name}: the worker's door accepts no call with this client certificate",
            remedy="Ask the worker's operator which authorities its door knows, and whether yours was revoked.",
        )
    return Unreachable(f"{code.name}: {_printable(details)}")


def from_details(data: bytes) -> WorkerRefused | None:
    """The refusal in a serialized `google.rpc.Status`; None if it holds none from a worker."""
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    refusal, after = None, None
    try:
        for detail in status_pb2.Status.FromString(data).details:
            if detail.Unpack(info) and info.domain == _DOMAIN:
                refusal = Reason(info.reason), Stage(info.metadata["stage"]) if info.metadata.get("stage") else None
            elif detail.Unpack(retry):
                after = max(0.0, retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9)
    except (DecodeError, ValueError):
        return None
    if refusal is None:
        return None
    return WorkerRefused(
        refusal[0],
        stage=refusal[1],
        correlation_id=_printable(info.metadata.get("correlation_id", "")),
        retryable=info.metadata.get("retryable") == "true",
        retry_after=after,
        column=_faulty(info.metadata),
        limit=next((one for one in Limit if one.value == info.metadata.get("limit")), None),
    )


def _faulty(metadata: Mapping[str, str]) -> FaultyCells | None:
    """The column that a refusal is about, if it has one in the form of this worker's."""
    table, column = metadata.get("table", ""), metadata.get("column", "")
    if not (_COLUMN.fullmatch(table) and _COLUMN.fullmatch(column)):
        return None
    part, row = (int(text) if _NUMBER.fullmatch(text := metadata.get(key, "")) else None for key in ("part", "row"))
    return FaultyCells(table, column, part, row)


def _printable(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text[:_DETAIL_CHARACTERS])
