"""A front that does its work, and reaches for what is not its own where a job names an attack.

The attack and its arguments stand behind the job's signature (`peers.told`). The outcome is a line of its standard
error: `nosy ATTACK OUTCOME`. Each attack is made on the main thread and on a new one.
"""

import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

import msgspec

from cji_worker.front import server
from cji_worker.ipc import Channel, receive_boot
from cji_worker.ipc.messages import Admit
from tests.adversarial.peers import heard
from tests.adversarial.peers.nosy import ATTACKS, outcome


def _attack(attack: str, *arguments: str) -> None:
    def run() -> None:
        # one write for each line: other threads log too
        os.write(2, f"nosy {attack} {outcome(attack, arguments)}\n".encode())

    run()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def main(boot: Any) -> None:
    """Body of the process."""
    send = Channel.send

    def sending(self: Any, message: msgspec.Struct, fds: Sequence[int] = ()) -> None:
        if isinstance(message, Admit):
            message, text = heard(message)
            attack, *arguments = text.split(" ")
            if attack in ATTACKS:
                _attack(attack, *arguments)
        send(self, message, fds)

    Channel.send = sending  # type: ignore[method-assign]
    server.main(boot)


if __name__ == "__main__":
    main(receive_boot(int(sys.argv[1])))
