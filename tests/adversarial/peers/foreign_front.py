"""A front that does its work, but names the first call of another front in a message of its own where a job says so.

The name of the message stands behind the job's signature (`peers.told`); the job is sent before that.
"""

import sys
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from cji_core.errors import Reason, Stage
from cji_worker.front import server
from cji_worker.ipc import Channel, receive_boot
from cji_worker.ipc.messages import Abort, Admit, FetchReceipt, StatementsDone, Witnessed
from tests.adversarial.peers import heard

_FIRST: Final = 1
FOREIGN: Final = {
    "abort": Abort(call=_FIRST, reason=Reason.INCOMPLETE, stage=Stage.UNSEAL),
    "witnessed": Witnessed(call=_FIRST, inputs=(), outputs=(), result_header_sha384=bytes(48)),
    "statements": StatementsDone(call=_FIRST),
    "receipt": FetchReceipt(call=_FIRST, submitter="x", source="y", job_id=bytes(16)),
}


def main(boot: Any) -> None:
    """Body of the process."""
    send = Channel.send

    def sending(self: Any, message: msgspec.Struct, fds: Sequence[int] = ()) -> None:
        foreign = None
        if isinstance(message, Admit):
            message, told = heard(message)
            foreign = FOREIGN.get(told)
        send(self, message, fds)
        if foreign is not None:
            send(self, foreign)

    Channel.send = sending  # type: ignore[method-assign]
    server.main(boot)


if __name__ == "__main__":
    main(receive_boot(int(sys.argv[1])))
