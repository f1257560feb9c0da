"""Exchanges with Azure Storage: their bounds, their repetition, and what their failures mean."""

import time
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, TypeVar

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)

from cji_core.azure_client import client_options
from cji_core.errors import CjiError, StartupError
from cji_core.format.job import LIMITS
from cji_core.pool.errors import BlobAbsentError, BlobChangedError, LeaseLostError, StoreAwayError, StoreError

EXCHANGE_SECONDS: Final = 30.0
MAX_ANSWER_BYTES: Final = LIMITS.segment_bytes + LIMITS.message_overhead_bytes
_TRIES: Final = 3
_PAUSE_S: Final = 0.2
_CLIENT_ERRORS: Final = range(400, 500)
_BUSY: Final = frozenset({408, 429})

T = TypeVar("T")


def bounded(ca_file: str | None, *, seconds: float) -> dict[str, Any]:
    """Keyword arguments for a client of Azure Storage. Raises StartupError."""
    try:
        return client_options(ca_file, seconds=seconds, limit=MAX_ANSWER_BYTES)
    except OSError as error:
        raise StartupError(
            "The authorities of Azure Storage cannot be read", "Name a readable PEM file as ca_file."
        ) from error


def tried(what: str, ask: Callable[[], T]) -> T:
    """The answer; asked again while the service is away. `what` is a blob, a queue or a leased ticket."""
    for number in range(1, _TRIES + 1):
        try:
            return ask()
        except AzureError as error:
            found = _error(what, error)
            if not isinstance(found, StoreAwayError) or _is_final(error) or number == _TRIES:
                raise found from error
        except CjiError:  # no token, or a fault in what the answer is used for
            raise
        except Exception as error:  # of an answer that Microsoft's client cannot read: its parsers raise what they like
            raise StoreAwayError(f"{what}: the answer cannot be read ({type(error).__name__})") from error
        time.sleep(_PAUSE_S * 2 ** (number - 1))
    raise AssertionError  # the loop returns or raises


def _is_final(error: AzureError) -> bool:
    """Whether asking again at once is of no use."""
    status = getattr(error, "status_code", None) or 0
    return status in _CLIENT_ERRORS and status not in _BUSY


def _error(what: str, error: AzureError) -> StoreError:
    status = int(error.status_code or 0) if isinstance(error, HttpResponseError) else 0
    if what == "ticket" and status in {400, 404}:  # PopReceiptMismatch, MessageNotFound
        return LeaseLostError(f"{what}: its lease is lost (HTTP {status})")
    if what == "blob" and isinstance(error, ResourceNotFoundError) and code_of(error) != "ContainerNotFound":
        return BlobAbsentError("blob: it is not there")
    if what == "blob" and (isinstance(error, ResourceModifiedError | ResourceExistsError) or _is_there(error, status)):
        return BlobChangedError(f"blob: it is another one (HTTP {status})")
    if status:
        return StoreAwayError(f"{what}: the service refuses or fails (HTTP {status})", status=status)
    if isinstance(error, ClientAuthenticationError):
        return StoreAwayError(f"{what}: no token", status=401)
    return StoreAwayError(f"{what}: the service does not answer ({type(error).__name__})")


def _is_there(error: AzureError, status: int) -> bool:
    """Whether a blob is there that is another one. Who may only add blobs hears 403 in place of 409.

    Source: learn.microsoft.com, "Blob Storage error codes" (UnauthorizedBlobOverwrite).
    """
    return status == 416 or code_of(error) == "UnauthorizedBlobOverwrite"


def code_of(error: BaseException | None) -> str:
    """Azure's code of an error, empty for any other; the clients have an enumeration for those that they know."""
    code = getattr(error, "error_code", None)
    return str(code.value if isinstance(code, Enum) else code or "")
