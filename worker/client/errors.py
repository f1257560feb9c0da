"""What can go wrong on the submitter's side, and what to do about it.

* `WorkerRefused`: the worker answered with one of its closed Reasons.
* `Unverified`: something that the worker sent did not pass a check of ours; `check` names which.
* `Unreachable`: there was no answer to check.
* `SpecError`: a job spec, a profile, a key file or an input cannot be used as it is.

No error text is made from records or keys. Text that came from the network is cut to printable ASCII.
"""

from collections.abc import Iterable
from typing import Final, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from worker.errors import REASONS, Reason, Stage

__all__ = ["ClientError", "SpecError", "Unreachable", "Unverified", "WorkerRefused", "from_rpc"]

_DETAILS_KEY: Final = "grpc-status-details-bin"
_DOMAIN: Final = "worker.cji"
_DETAIL_CHARACTERS: Final = 200


class ClientError(Exception):
    """Base of everything that `worker.client` raises on purpose."""

    def __init__(self, message: str, *, remedy: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.retryable = retryable


class SpecError(ClientError):
    """A file or an argument of the submitter's cannot be used; `message` says which and why."""

    def __init__(self, message: str, *, remedy: str = "Correct it and run again; nothing was sent.") -> None:
        super().__init__(message, remedy=remedy)


class Unverified(ClientError):  # noqa: N818 - says what happened, as the base says it is an error
    """A check of ours failed: trust nothing of this answer. `check` is a short stable name, for example a claim."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(
            f"{check}: {message}",
            remedy="Do not use this result. Tell the worker's operator which check failed.",
        )
        self.check = check


class Unreachable(ClientError):  # noqa: N818
    """The call ended without an answer of the worker: network, TLS or a proxy between."""

    def __init__(
        self, message: str, *, remedy: str = "Check target, certificates and network, then run again."
    ) -> None:
        super().__init__(message, remedy=remedy, retryable=True)


class WorkerRefused(ClientError):  # noqa: N818
    """The worker refused for a Reason; `retry_after` in seconds where the worker said so."""

    def __init__(
        self, reason: Reason, *, stage: Stage | None, correlation_id: str, retryable: bool, retry_after: float | None
    ) -> None:
        where = f" at {stage.value}" if stage else ""
        super().__init__(f"{reason.value}{where}", remedy=REASONS[reason].remedy, retryable=retryable)
        self.reason = reason
        self.stage = stage
        self.correlation_id = correlation_id
        self.retry_after = retry_after


def from_rpc(error: grpc.RpcError) -> ClientError:
    """The worker's refusal inside a gRPC status, or Unreachable where there is none."""
    call = cast("grpc.Call", error)  # what the blocking API raises is both
    metadata = cast("Iterable[tuple[str, str | bytes]]", call.trailing_metadata() or ())
    trailer = next((value for key, value in metadata if key == _DETAILS_KEY), None)
    if isinstance(trailer, bytes) and (refusal := from_details(trailer)):
        return refusal
    if call.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return WorkerRefused(Reason.DEADLINE, stage=None, correlation_id="", retryable=True, retry_after=None)
    return Unreachable(f"{call.code().name}: {_printable(call.details() or '')}")


def from_details(data: bytes) -> WorkerRefused | None:
    """The refusal in a serialized `google.rpc.Status`; None when it holds none of ours."""
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
    )


def _printable(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text[:_DETAIL_CHARACTERS])
