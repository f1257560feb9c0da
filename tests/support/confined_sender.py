"""One row of a console that sends, from a process with the rights that it keeps; prints what else was possible.

`python -m tests.support.confined_sender CONFIG ROOTS FOLDER PORT`: configuration as JSON, authorities of the service, a
folder whose files nobody named, and a port that listens.
"""

import json
import socket
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from cji_core.format.configuration.console import ConsoleConfig
from cji_worker.console.sending import Sender, confine_sender
from tests.support.sink_faults import azure_of


def main(text: str, roots: str, folder: Path, port: int) -> None:
    """Confine this process, send, and try."""
    config = msgspec.json.decode(text, type=ConsoleConfig)
    assert config.monitor is not None
    sender = Sender(config, config.monitor, azure_of(Path(roots), seconds=20.0))
    confine_sender(config, config.monitor, roots=roots)
    sender.step()
    possible = []
    with suppress(OSError):
        (folder / "audit.log").read_bytes()
        possible.append("the trail")
    with suppress(OSError):
        (folder / "new").touch()
        possible.append("a new file")
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        possible.append("another port")
    with suppress(OSError):
        socket.create_server(("127.0.0.1", 0)).close()
        possible.append("a listener")
    print(json.dumps(possible))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
