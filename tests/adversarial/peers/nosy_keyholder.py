"""The worker's own keyholder, which follows the orders of `nosy` in a thread that it starts once it is confined."""

import os
import sys
import threading
import time
from typing import Any

from cji_worker.ipc import receive_boot
from cji_worker.keyholder import __main__ as keyholder
from cji_worker.keyholder import rights
from tests.adversarial.peers.nosy import Orders

if __name__ == "__main__":
    orders = Orders("keyholder")

    def follow() -> None:
        """For as long as the process lives."""
        while True:
            orders.follow()
            time.sleep(0.05)

    def confine(*arguments: Any, **named: Any) -> None:
        """As ever, and then the thread."""
        rights.confine(*arguments, **named)
        threading.Thread(target=follow, daemon=True).start()

    keyholder.confine = confine  # type: ignore[attr-defined]
    os._exit(keyholder.main(receive_boot(int(sys.argv[1]))))
