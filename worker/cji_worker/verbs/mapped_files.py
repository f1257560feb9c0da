"""`python -m cji_worker.verbs.mapped_files MODULE`: print the files that a process maps once it has imported a module.

For `cji manifest write`, which lists the libraries outside the environment. What is loaded later is loaded here too:
the driver of the TPM device and the modules of name lookup.
"""

import contextlib
import importlib
import socket
import sys

from tpm2_pytss import TCTILdr, TSS2_Exception

from cji_core.manifest import mapped


def main() -> None:
    """Print one path a line."""
    importlib.import_module(sys.argv[1])
    with contextlib.suppress(TSS2_Exception):  # there may be no such device where an image is built
        TCTILdr("device")
    with contextlib.suppress(OSError):
        socket.getaddrinfo("localhost", 443)
    print("\n".join(sorted(mapped())))


if __name__ == "__main__":
    main()
