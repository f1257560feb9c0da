"""The one call of this machine's TLS door for itself: the attested key vouches for its request for a certificate.

It is a service of its own at the door's socket. The door's configuration passes no call of it on, and a call that came
through the door has its report in the metadata: that one is refused, so no caller from outside is ever vouched for.
"""

from typing import Any, Final

from cji_core.errors import Reason, Refusal, Stage
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.door.report import PREFIX
from cji_worker.front.evidence import vouched_for
from cji_worker.front.guard import Call, Guard
from cji_worker.front.keyholder_client import KeyholderClient
from cji_worker.front.submitters import Kind

_NONCE_BYTES: Final = 32
_SHA384_BYTES: Final = 48


class OwnDoor:
    """The calls of `cji.worker.v1.CjiDoor`."""

    def __init__(self, keyholder: KeyholderClient) -> None:
        self._keyholder = keyholder

    def handlers(self, guard: Guard) -> dict[str, Any]:
        """The calls by name; `guard` is that of the door itself."""
        return {"Vouch": guard.unary(Kind.ATTEST, pb.VouchRequest, self._vouch)}

    async def _vouch(self, call: Call, request: pb.VouchRequest) -> pb.VouchResponse:
        if any(name.startswith(PREFIX) for name, _ in call.context.invocation_metadata() or ()):
            raise Refusal(Reason.POLICY_DENIED, stage=Stage.OPEN)
        if (len(request.nonce), len(request.request_sha384)) != (_NONCE_BYTES, _SHA384_BYTES):
            raise Refusal(Reason.BAD_PARAMETERS, stage=Stage.OPEN)
        return await vouched_for(self._keyholder, request.nonce, request.request_sha384)
