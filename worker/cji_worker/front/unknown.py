"""Calls of methods that this server does not have. gRPC would answer them, and no trail would show who probes."""

import contextlib
from typing import Any

import grpc

from cji_core.errors import Reason, Refusal, Stage
from cji_core.log import log
from cji_worker.front.guard import Call, Context
from cji_worker.front.peer import Peer
from cji_worker.front.refused import RefusedCounter


class UnknownMethods(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    """A handler of every method, for those that no other handler has: counted, then UNIMPLEMENTED."""

    def __init__(self, refused: RefusedCounter, *, only: Peer | None = None) -> None:
        """`only` as in `Guard`."""
        self._refused, self._only = refused, only
        self._handler = grpc.stream_stream_rpc_method_handler(self._refuse)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ARG002 - all are alike
        """The handler of one call."""
        return self._handler

    async def _refuse(self, _: object, context: Context) -> None:
        call = Call(context)
        if self._only is not None:
            call.peer = self._only
        else:
            with contextlib.suppress(Refusal):  # then it is a call of nobody
                call.identify()
        if self._refused.count(Reason.BAD_PARAMETERS, source=call.peer.source, identity=call.peer.identity):
            log("refused", correlation_id=call.correlation_id, reason=Reason.BAD_PARAMETERS, stage=Stage.OPEN)
        await context.abort(grpc.StatusCode.UNIMPLEMENTED)
