"""The process of the broker: `python -m cji_worker.broker FOLDER`, on the socket that cji-broker.socket has made.

FOLDER has worker.toml, audit.toml and console.toml as the unit's credentials, if there are any. It ends with SIGTERM.
"""

import os
import pwd
import socket
import sys
from pathlib import Path
from typing import Final

from cji_attestation import PRODUCTION, Trust
from cji_core.errors import StartupError
from cji_core.hosts import IMDS
from cji_core.log import events_only, log
from cji_worker.broker.grants import Grants, grants, read
from cji_worker.broker.server import Broker
from cji_worker.memory.hardening import harden
from cji_worker.notify import opened_files
from cji_worker.rights.denial import deny, deny_powers
from cji_worker.rights.landlock import forbid_files_and_network
from cji_worker.rights.limits import drop_capabilities

_PORT: Final = 80
_USAGE: Final = 2


def _by_user_id(named: dict[str, Grants]) -> dict[int, Grants]:
    """A user that the machine does not have asks for nothing."""
    found = {}
    for name, one in named.items():
        try:
            found[pwd.getpwnam(name).pw_uid] = one
        except KeyError:
            log("no such user", what=name)
    return found


def _listener() -> socket.socket:
    inherited = list(opened_files().values())
    if len(inherited) != 1:
        raise StartupError("The broker has no socket", "Start it by cji-broker.socket.")
    return socket.socket(fileno=inherited[0])


def _confine() -> None:
    """Keep this socket, and TCP to the port of the metadata service; the unit limits the address."""
    socket.getaddrinfo(IMDS, _PORT)  # loads what a look at an address needs
    drop_capabilities()
    harden(parent=None)
    forbid_files_and_network(read=filter(os.path.exists, sys.path), connect=(_PORT,))
    deny_powers()
    deny(("listen", "bind"))


def main(*trusts: Trust) -> None:
    """Serve until SIGTERM. `trusts` are the clouds that a configuration may name."""
    events_only()
    try:
        if len(sys.argv) != 2:
            raise StartupError("The broker needs one folder", "Start it with its unit.")
        folder = Path(sys.argv[1])
        clouds = {trust.name: trust for trust in trusts}
        files = (read(folder / name) for name in ("worker.toml", "audit.toml", "console.toml"))
        named = grants(*files, clouds=clouds)
        broker, listener = Broker(_by_user_id(named)), _listener()
        _confine()
    except StartupError as error:
        log("cannot start", what=error.what, remedy=error.remedy)
        sys.exit(_USAGE)
    log("broker serves")
    broker.serve(listener)


if __name__ == "__main__":
    main(*PRODUCTION)
