"""A machine tries until its bundle is in force, and shows why it is not. Nothing else is ever applied in its place.

    an outage, a right that is missing, no user data yet,
    a TPM that does not answer                              again after 1 to 61 seconds, in windows that double
    a bundle that is refused                                again after 4 to 6 minutes, for the next one

There is no last attempt, whatever failed: a machine that gave up would have to be restarted by hand. The code of what
failed last is in a file that `cji probe` reads, and with its remedy in the log, which the unit hands to the serial
console too: once when it changes, then once an hour. A fault of this program adds its class, and no text.

Waits are random within their window (see `pacing`), so that machines which start together do not ask together.
"""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from cji_attestation import AttestationError, Fault
from cji_attestation.bundle.errors import BundleRefused
from cji_core.boot_codes import BOOT_CODES, BootCode
from cji_core.errors import StartupError
from cji_core.log import log
from cji_worker.keyholder.pacing import Backoff, Uniform

SHORTEST_S: Final = 1.0
LONGEST_S: Final = 60.0
REFUSED_S: Final = (240.0, 360.0)
AGAIN_S: Final = 3600.0
_GROWTH: Final = 2.0

T = TypeVar("T")
sleep = time.sleep


def boot_code(error: Exception) -> BootCode:
    """The code of an error that keeps a machine from starting."""
    match error:
        case BundleRefused():
            return error.boot_code
        case AttestationError(check="user-data"):
            return BootCode.NO_USER_DATA
        case AttestationError(check="bundle-applied"):
            return BootCode.ANOTHER
        case AttestationError(fault=Fault.EVIDENCE_UNAVAILABLE):
            return BootCode.TPM
    return BootCode.MACHINE


class Pauses:
    """The waits between attempts, in seconds."""

    def __init__(self, uniform: Uniform = random.uniform) -> None:
        self._uniform = uniform
        self._failures = Backoff(uniform, (SHORTEST_S, _GROWTH, LONGEST_S))

    def after(self, code: BootCode) -> float:
        """The wait after an attempt that ended with this code."""
        if BOOT_CODES[code].refused:
            self._failures.reset()
            return self._uniform(*REFUSED_S)
        self._failures.failed(0.0)
        return SHORTEST_S + self._failures.at


class Shown:
    """The code of the last failure, in a file and in the log."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._clock = file, clock
        self._last: tuple[BootCode, float] | None = None

    def failed(self, code: BootCode) -> None:
        """Show the code. A folder that cannot be written keeps no machine from its bundle."""
        with suppress(OSError):
            new = self._file.with_name(f"{self._file.name}.new")
            new.write_text(f"{code}\n")
            new.chmod(0o644)
            new.replace(self._file)
        now = self._clock()
        if self._last is None or self._last[0] is not code or now >= self._last[1] + AGAIN_S:
            self._last = code, now
            log("no bundle in force", check=code, what=BOOT_CODES[code].what, remedy=BOOT_CODES[code].remedy)

    def over(self) -> None:
        """Show that there is a bundle."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)


def persist(attempt: Callable[[], T], shown: Shown) -> T:
    """The outcome of the first attempt that succeeds, however many it takes."""
    pauses = Pauses()
    while True:
        try:
            done = attempt()
        except Exception as error:  # noqa: BLE001 - the attempts outlast a fault of this program too
            code = boot_code(error)
            if not isinstance(error, StartupError | AttestationError):
                log("fault", error=type(error).__name__)
        else:
            shown.over()
            return done
        shown.failed(code)
        sleep(pauses.after(code))
