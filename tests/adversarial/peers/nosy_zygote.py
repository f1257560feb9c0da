"""The worker's own zygote, which follows the orders of `nosy` between two heartbeats, once it is confined."""

import sys

from cji_worker.cell import zygote
from cji_worker.ipc import receive_boot
from tests.adversarial.peers.nosy import Orders

if __name__ == "__main__":
    orders, beat = Orders("zygote"), zygote.Zygote._beat

    def follow(self: zygote.Zygote) -> None:
        """One heartbeat."""
        beat(self)
        orders.follow()

    zygote.Zygote._beat = follow  # type: ignore[method-assign]
    sys.exit(zygote.main(receive_boot(int(sys.argv[1]))))
