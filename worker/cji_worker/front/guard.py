"""The outermost guard: who calls, what the caller may take, and a Reason for every failure.

A call passes in this order: the door's report on its caller, the caller's certificate, a place among the caller's own
calls, then its first message. A call whose certificate is not accepted any more after a reload ends.
Every handler is a stream on the server's side, of unary calls too, because grpc.aio would otherwise read the request of
a caller before anybody has looked at its name. grpc.aio would also send the text of an unhandled exception.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from cji_core.errors import Limit, Reason, Refusal, RetryLater, Stage
from cji_core.format.job import LIMITS
from cji_core.log import log
from cji_worker.front.patience import Lifetime, TimeLimit
from cji_worker.front.peer import FLEET, NOBODY, Peer, read_peer
from cji_worker.front.refused import RefusedCounter
from cji_worker.front.status import DETAILS_KEY, code_and_details
from cji_worker.front.submitters import Kind, Submitters
from cji_worker.ipc.messages import FaultyColumn

Context = grpc.aio.ServicerContext[Any, Any]
EOF: Final = grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs forgot it
Request = TypeVar("Request", bound=Message)


class Relayed(RetryLater):
    """A refusal by the keyholder; `column` is the sealed column that it is about."""

    def __init__(
        self,
        reason: Reason,
        *,
        stage: Stage,
        after_ms: int,
        column: FaultyColumn | None = None,
        limit: Limit | None = None,
    ) -> None:
        super().__init__(reason, stage=stage, after_ms=after_ms, limit=limit)
        self.column = column


class Call:
    """A call: its context, its peer, an id for logs and error details, and who records its end."""

    __slots__ = ("context", "correlation_id", "keyholder_records", "lifetime", "peer")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.correlation_id = secrets.token_hex(8)
        self.peer: Peer = NOBODY
        self.keyholder_records = False
        """Whether it is a job that the keyholder knows, and whose refusal or end is in the audit trail."""
        self.lifetime = Lifetime()
        """Ends with the acceptance of the certificate."""

    def identify(self) -> None:
        """Read the door's report on the caller. Raises POLICY_DENIED if it is missing or not sound."""
        self.peer = read_peer(self.context.invocation_metadata())

    @property
    def by_reference(self) -> bool:
        """Whether it came from the fleet process."""
        return self.peer is FLEET

    async def read(self) -> Any:
        """The first message, within `open_seconds`; EOF if the caller ends its stream without one."""
        async with TimeLimit(LIMITS.open_seconds, Reason.INCOMPLETE, Stage.OPEN):
            return await self.context.read()

    async def request(self, kind: type[Request]) -> Request:
        """The request of a call that has one. Raises BAD_PARAMETERS for bytes of another kind."""
        raw = await self.read()
        try:
            return kind.FromString(b"" if raw is EOF else raw)
        except DecodeError:
            raise Refusal(Reason.BAD_PARAMETERS, stage=Stage.OPEN) from None


class Guard:
    """Every handler of the server is made by one of its two methods."""

    def __init__(
        self,
        submitters: Submitters,
        refused: RefusedCounter,
        accept: Callable[[bytes], None],
        *,
        only: Peer | None = None,
    ) -> None:
        """`accept` raises a Refusal for a client certificate in PEM that is not accepted now.

        `only` is the one caller of a socket that nobody else can reach; it has no certificate.
        """
        self._submitters, self._refused, self._accept, self._only = submitters, refused, accept, only
        self._open = set[Call]()

    def stream(
        self, kind: Kind, body: Callable[[Call], Awaitable[None]], *, parse: Callable[[bytes], Any] | None = None
    ) -> Any:
        """A handler that gives `body` the call; its messages are bytes, or what `parse` makes of those that arrive."""

        async def handler(_: object, context: Context) -> None:
            await self._serve(Call(context), kind, body)

        return grpc.stream_stream_rpc_method_handler(handler, parse, None)

    def unary(self, kind: Kind, request: type[Request], answer: Callable[[Call, Request], Awaitable[Message]]) -> Any:
        """A handler of a call with one request and one response, each within its time."""

        async def body(call: Call) -> None:
            message = await call.request(request)
            async with TimeLimit(LIMITS.answer_seconds, Reason.DEADLINE, Stage.OPEN):
                response = await answer(call, message)
                await call.context.write(response.SerializeToString())

        return self.stream(kind, body)

    async def _serve(self, call: Call, kind: Kind, body: Callable[[Call], Awaitable[None]]) -> None:
        try:
            if self._only is None:
                call.identify()
                self._accept(call.peer.presented.certificate)
            else:
                call.peer = self._only
            with self._submitters.call(call.peer.identity, kind, listed=self._only is None):
                self._open.add(call)
                try:
                    await self._answer(call, body)
                finally:
                    self._open.discard(call)
        except Refusal as refusal:
            await self._refuse(call, refusal)

    def accept_again(self) -> None:
        """Other certificates are accepted now: end the open calls of those that are not."""
        for call in self._open:
            try:
                self._accept(call.peer.presented.certificate)
            except Refusal as refusal:
                call.lifetime.end(Refusal(refusal.reason, stage=Stage.COMPUTE))

    async def _answer(self, call: Call, body: Callable[[Call], Awaitable[None]]) -> None:
        """Run `body`; turn a Refusal into its status and any other exception into INTERNAL, without its text.

        The caller's place is free once gRPC has sent the status: a caller that does not read keeps only its own.
        """
        try:
            async with call.lifetime:
                await body(call)
            return
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Refusal as refusal:
            raised = refusal
        except BaseException as fault:  # noqa: BLE001 - the guard
            raised = Refusal(Reason.INTERNAL, stage=Stage.OPEN)
            log("fault", correlation_id=call.correlation_id, error=type(fault).__name__)
        await self._refuse(call, raised)

    async def _refuse(self, call: Call, raised: Refusal) -> None:
        self._note(call, raised)
        after = raised.after_ms if isinstance(raised, RetryLater) else 0
        code, message, details = code_and_details(
            raised,
            correlation_id=call.correlation_id,
            retry_after_ms=after,
            column=raised.column if isinstance(raised, Relayed) else None,
        )
        call.context.set_trailing_metadata(((DETAILS_KEY, details),))
        await call.context.abort(code, message)

    def _note(self, call: Call, raised: Refusal) -> None:
        """Log a refusal. One that the keyholder does not record is counted, and its first in a period is logged."""
        if call.keyholder_records or self._refused.count(
            raised.reason, source=call.peer.source, identity=call.peer.identity
        ):
            log("refused", correlation_id=call.correlation_id, reason=raised.reason.value, stage=raised.stage.value)
