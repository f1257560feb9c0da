"""A front that admits two jobs under the number of one call: first that told `twin` (`peers.told`), then `again`."""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from cji_worker.front import server
from cji_worker.ipc import Channel, receive_boot
from cji_worker.ipc.messages import Admit
from tests.adversarial.peers import heard


def main(boot: Any) -> None:
    """Body of the process."""
    send, numbers = Channel.send, list[int]()

    def sending(self: Any, message: msgspec.Struct, fds: Sequence[int] = ()) -> None:
        if isinstance(message, Admit):
            message, told = heard(message)
            if told == "twin":
                numbers.append(message.call)
            elif told == "again":
                message = msgspec.structs.replace(message, call=numbers[0])
        send(self, message, fds)

    Channel.send = sending  # type: ignore[method-assign]
    server.main(boot)


if __name__ == "__main__":
    main(receive_boot(int(sys.argv[1])))
