"""Refusals of services: one text from a closed set for each, and when to try again."""

from typing import Final

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from cji_core import https
from cji_core.trail.delivery import DeliveryError

MAX_RETRY_AFTER: Final = 3600.0
_STATUS: Final = {
    400: "does not accept the request",
    401: "does not accept this identity",
    403: "grants this identity no right to it",
    404: "does not have it",
    409: "has something else in its place",
    412: "has something else in its place",
    413: "finds it too large",
    429: "wants fewer requests",
}


class ReceiptRefusedError(DeliveryError):
    """A witness returned something that is not its receipt for this checkpoint."""


def by_status(what: str, status: int, retry_after: str | None) -> DeliveryError:
    """The error for an answer with this HTTP status and Retry-After header; `what` names what was asked for."""
    seconds = https.retry_after(retry_after, most=MAX_RETRY_AFTER) or 0.0
    if 300 <= status < 400:
        text = "redirects, which is not followed"
    elif status >= 500:
        text = "fails"
    else:
        text = _STATUS.get(status, "refuses")
    return DeliveryError(f"{what}: the service {text} (HTTP {status})", after=seconds)


def by_error(what: str, error: AzureError) -> DeliveryError:
    """The error for an exception of Microsoft's clients."""
    if isinstance(error, HttpResponseError) and error.status_code:
        headers = getattr(error.response, "headers", None) or {}
        return by_status(what, int(error.status_code), headers.get("Retry-After"))
    if isinstance(error, ServiceRequestError):
        return DeliveryError(f"{what}: the service cannot be reached, or its answer is not acceptable")
    if isinstance(error, ServiceResponseError):
        return DeliveryError(f"{what}: the answer broke off")
    if isinstance(error, ClientAuthenticationError):
        return DeliveryError(f"{what}: this machine's identity obtains no token")
    return DeliveryError(f"{what}: {type(error).__name__}")
