"""The outermost guard: every exception in a call reaches the caller as a Reason and as nothing else.

grpc.aio would send the text of an unhandled exception to the caller.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

from worker.errors import Reason, Refusal, Stage
from worker.front.status import DETAILS_KEY, code_and_details
from worker.job import LIMITS
from worker.log import log

T = TypeVar("T")


class RetryLater(Refusal):
    """A refusal with the delay before the next attempt."""

    def __init__(self, reason: Reason, *, stage: Stage, after_ms: int) -> None:
        super().__init__(reason, stage=stage)
        self.after_ms = after_ms


class Call:
    """A call: its context, its peer by mTLS, and an id for logs and error details."""

    __slots__ = ("context", "correlation_id", "source", "submitter")

    def __init__(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self.context = context
        self.correlation_id = secrets.token_hex(8)
        self.source = context.peer()
        self.submitter = _only_uri(context)


def _only_uri(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """The only subject alternative name of the client certificate, a URI. Raises POLICY_DENIED for anything else."""
    peer = context.auth_context()
    names, uris = tuple(peer.get("x509_subject_alternative_name", ())), tuple(peer.get("peer_uri", ()))
    # a DNS name or an e-mail address may look like a URI; the certificate declares its type
    if len(names) != 1 or names != uris or len(names[0]) > LIMITS.url_bytes:
        raise Refusal(Reason.POLICY_DENIED, stage=Stage.OPEN)
    try:
        return str(names[0].decode("ascii"))
    except UnicodeDecodeError:
        raise Refusal(Reason.POLICY_DENIED, stage=Stage.OPEN) from None


async def guarded(context: grpc.aio.ServicerContext[Any, Any], body: Callable[[Call], Awaitable[T]]) -> T:
    """Run `body`; turn a Refusal into its status and any other exception into INTERNAL, without its text."""
    correlation_id = "-"
    try:
        call = Call(context)
        correlation_id = call.correlation_id
        return await body(call)
    except asyncio.CancelledError:
        raise
    except Refusal as refusal:
        raised = refusal
    except BaseException as fault:  # noqa: BLE001 - the guard
        raised = Refusal(Reason.INTERNAL, stage=Stage.OPEN)
        log("fault", correlation_id=correlation_id, error=type(fault).__name__)
    log("refused", correlation_id=correlation_id, reason=raised.reason.value, stage=raised.stage.value)
    after = raised.after_ms if isinstance(raised, RetryLater) else 0
    code, message, details = code_and_details(raised, correlation_id=correlation_id, retry_after_ms=after)
    context.set_trailing_metadata(((DETAILS_KEY, details),))
    await context.abort(code, message)
    raise AssertionError("abort returned")
