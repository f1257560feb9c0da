"""Reason to gRPC status: one total map, and the rich error model around it (google.rpc.Status, ErrorInfo, RetryInfo).

The text of a status is the Reason's name and its remedy, both fixed; never text from an exception.
"""

from typing import Final

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from cji_core.errors import REASONS, Reason, Refusal
from cji_worker.ipc.messages import FaultyColumn

DOMAIN: Final = "worker.cji"
DETAILS_KEY: Final = "grpc-status-details-bin"
_DEFAULT_RETRY_MS: Final = 1000

_C = grpc.StatusCode
CODES: Final[dict[Reason, grpc.StatusCode]] = {
    Reason.MALFORMED_HEADER: _C.INVALID_ARGUMENT,
    Reason.HEADER_SIGNATURE_INVALID: _C.UNAUTHENTICATED,
    Reason.AUDIENCE_MISMATCH: _C.PERMISSION_DENIED,
    Reason.EXPIRED: _C.PERMISSION_DENIED,
    Reason.REPLAYED: _C.PERMISSION_DENIED,
    Reason.ALREADY_EXISTS: _C.ALREADY_EXISTS,
    Reason.POLICY_DENIED: _C.PERMISSION_DENIED,
    Reason.UNKNOWN_KEY: _C.FAILED_PRECONDITION,
    Reason.DEK_UNWRAP_FAILED: _C.INVALID_ARGUMENT,
    Reason.SEGMENT_INVALID: _C.DATA_LOSS,
    Reason.INCOMPLETE: _C.ABORTED,
    Reason.SCHEMA_MISMATCH: _C.INVALID_ARGUMENT,
    Reason.BAD_PARAMETERS: _C.INVALID_ARGUMENT,
    Reason.LIMIT_EXCEEDED: _C.OUT_OF_RANGE,
    Reason.OVERLOADED: _C.RESOURCE_EXHAUSTED,
    Reason.NOT_READY: _C.UNAVAILABLE,
    Reason.ATTESTATION_REJECTED: _C.FAILED_PRECONDITION,
    Reason.KEY_RELEASE_DENIED: _C.FAILED_PRECONDITION,
    Reason.KEY_THROTTLED: _C.UNAVAILABLE,
    Reason.AUDIT_UNAVAILABLE: _C.UNAVAILABLE,
    Reason.DEADLINE: _C.DEADLINE_EXCEEDED,
    Reason.CELL_FAILED: _C.ABORTED,
    Reason.DRAINING: _C.UNAVAILABLE,
    Reason.INTERNAL: _C.INTERNAL,
    Reason.UNKNOWN_REFERENCE: _C.FAILED_PRECONDITION,
    Reason.CERTIFICATE_REFUSED: _C.PERMISSION_DENIED,
    Reason.REVOCATION_UNKNOWN: _C.UNAVAILABLE,
    Reason.SUITE_NOT_ACCEPTED: _C.PERMISSION_DENIED,
    Reason.TOKEN_REFUSED: _C.UNAUTHENTICATED,
    Reason.LEDGER_UNAVAILABLE: _C.UNAVAILABLE,
    Reason.SUBMITTER_MISMATCH: _C.PERMISSION_DENIED,
    Reason.ADMISSION_WORKER: _C.FAILED_PRECONDITION,
    Reason.ADMISSION_NONCE: _C.FAILED_PRECONDITION,
    Reason.ADMISSION_ATTEMPT: _C.FAILED_PRECONDITION,
    Reason.ADMISSION_SIGNATURE: _C.UNAUTHENTICATED,
    Reason.ATTEMPTS_EXHAUSTED: _C.FAILED_PRECONDITION,
    Reason.CANCELLED: _C.CANCELLED,
    Reason.COLUMN_KEY_WRONG: _C.INVALID_ARGUMENT,
    Reason.COLUMN_CELL_INVALID: _C.INVALID_ARGUMENT,
}


def code_and_details(
    refusal: Refusal, *, correlation_id: str, retry_after_ms: int = 0, column: FaultyColumn | None = None
) -> tuple[grpc.StatusCode, str, bytes]:
    """(code, message, serialized google.rpc.Status) for one refusal."""
    info = REASONS[refusal.reason]
    code = CODES[refusal.reason]
    message = f"{refusal.reason.value}: {refusal.remedy}"
    details = [
        ErrorInfo(
            reason=refusal.reason.value,
            domain=DOMAIN,
            metadata={
                "stage": refusal.stage.value,
                "retryable": str(info.retryable).lower(),
                "blame": info.blame,
                "correlation_id": correlation_id,
                **_column(column),
                **({} if refusal.limit is None else {"limit": refusal.limit.value}),
            },
        )
    ]
    status = Status(code=code.value[0], message=message)
    for detail in details:
        status.details.append(_any(detail))
    if info.retryable:
        delay = Duration()
        delay.FromMilliseconds(retry_after_ms or _DEFAULT_RETRY_MS)
        status.details.append(_any(RetryInfo(retry_delay=delay)))
    return code, message, status.SerializeToString()


def _column(column: FaultyColumn | None) -> dict[str, str]:
    """Names of the caller's own header, and numbers."""
    if column is None:
        return {}
    numbers = {"part": column.part, "row": column.row}
    return {"table": column.table, "column": column.column} | {
        name: str(number) for name, number in numbers.items() if number is not None
    }


def _any(message: ErrorInfo | RetryInfo) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
