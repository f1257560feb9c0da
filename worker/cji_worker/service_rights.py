"""The rights of a process beside the worker that connects to services: named files, name lookup, TCP to its services.

The deliverer of the audit trail and the fleet process have them. Such a process starts no program and has no key; its
user is its own.
"""

import os
import sys
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from cji_worker.memory import harden
from cji_worker.rights import (
    DNS_PORT,
    FIPS_VARIABLES,
    LISTENING,
    NETWORK_FILES,
    deny,
    deny_powers,
    drop_capabilities,
    forbid_files_and_network,
)

_HTTPS_PORT: Final = 443


def confine(*, read: Iterable[str], write: Iterable[str], urls: Iterable[str], accepts: bool = False) -> None:
    """Give up everything but these files and folders and the ports of these URLs, for good.

    With `accepts`, sockets that listen already go on to.

    Needs a single thread. Raises StartupError, for a folder in `write` that is missing too.
    """
    drop_capabilities()
    harden(parent=None)
    environment = (os.environ[name] for name in FIPS_VARIABLES if name in os.environ)
    forbid_files_and_network(
        read=filter(os.path.exists, (*sys.path, *NETWORK_FILES, *read, *environment)),
        write=write,
        connect=ports(urls),
    )
    deny_powers()
    deny(("listen",) if accepts else LISTENING)


def ports(urls: Iterable[str]) -> set[int]:
    """TCP ports of these services; with any, that of name lookup too. Tokens come from the broker's Unix socket."""
    found = {urlsplit(url).port or _HTTPS_PORT for url in urls}
    return {*found, DNS_PORT} if found else set()
