"""All errors of the client; each has a remedy. `ClientError` is their base."""

from cji_core.errors import Reason, Stage
from worker.client.errors import (
    ClientError,
    ColumnError,
    ColumnTypeError,
    JobCancelled,
    JobExpired,
    JobFailed,
    LimitExceeded,
    MissingRule,
    NotFinished,
    SpecError,
    StorageRefused,
    Unreachable,
    Unverified,
    WorkerRefused,
)

__all__ = [
    "ClientError",
    "ColumnError",
    "ColumnTypeError",
    "JobCancelled",
    "JobExpired",
    "JobFailed",
    "LimitExceeded",
    "MissingRule",
    "NotFinished",
    "Reason",
    "SpecError",
    "Stage",
    "StorageRefused",
    "Unreachable",
    "Unverified",
    "WorkerRefused",
]
