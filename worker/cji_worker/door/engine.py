"""The certificates of the engine on a machine of its image: `python -m cji_worker.door.engine engine.toml FOLDER`.

For each role a key and a certificate, obtained as the door of a worker obtains its own, and the engine's authority
beside them. The units of the engine get these files as credentials, and nothing else of the folder.
"""

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cji_core.errors import StartupError
from cji_core.format.configuration.door_files import check_server_files
from cji_core.format.configuration.engine import ROLES, load_engine
from cji_core.format.configuration.worker import ListenSection
from cji_core.log import events_only, log
from cji_worker.door.enrollment import enroll
from cji_worker.door.est import TOTAL_SECONDS

_RENEWAL_SECONDS: Final = 60.0
"""Of each way to renew a certificate: the engine, which was ended for it, waits no longer for an authority."""


def obtain(config: Path, folder: Path, *, token: Callable[[], str] | None = None) -> None:
    """See that both certificates are there, and renewed in time. Raises StartupError where one is not valid now.

    One that cannot be renewed serves until its end: the last third is for an authority that does not answer.
    The unit has no `token`: this machine's identity is not one of a worker, and the authority knows it by the network.
    """
    certificates = load_engine(config).certificates
    for role in ROLES:
        files = ListenSection(
            certificate=str(folder / f"{role}.pem"),
            private_key=str(folder / f"{role}.key"),
            client_roots=certificates.roots,
            enrollment=certificates.enrollment(role),
        )
        seconds = TOTAL_SECONDS if _in_force(files) is None else _RENEWAL_SECONDS
        try:
            until = enroll(files, token=token, total_seconds=seconds).until
        except StartupError as error:
            found = _in_force(files)
            if found is None:
                raise
            until = found
            log("engine not certified", what=error.what, remedy=error.remedy)
        log("engine certified", what=f"{role}, until {until:%Y-%m-%d %H:%M} UTC")
    new = folder / "ca.pem.new"
    new.write_bytes(Path(certificates.roots).read_bytes())
    os.replace(new, folder / "ca.pem")


def _in_force(files: ListenSection) -> datetime | None:
    """The end of the certificate that there is, if it is one that is valid now."""
    try:
        return check_server_files(files, now=datetime.now(UTC))
    except StartupError:
        return None


def main(arguments: list[str]) -> int:
    """The command; the status of what was refused."""
    events_only()
    try:
        obtain(Path(arguments[0]), Path(arguments[1]))
    except StartupError as error:
        log("engine not certified", what=error.what, remedy=error.remedy)
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
