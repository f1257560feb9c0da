"""The worker's own control process, which follows the orders of `nosy` whenever it looks for work."""

import sys
from typing import Any

from cji_worker.control import __main__ as control
from cji_worker.ipc import Channel, receive_boot
from tests.adversarial.peers.nosy import Orders

if __name__ == "__main__":
    orders, offer = Orders("control"), Channel.offer

    def follow(self: Any, message: Any) -> None:
        """One heartbeat, which comes once it is confined."""
        offer(self, message)
        orders.follow()

    Channel.offer = follow  # type: ignore[method-assign]
    sys.exit(control.main(receive_boot(int(sys.argv[1]))))
