"""Whether the clock can be believed: not set since the start, and in step with the TPM's.

CLOCK_BOOTTIME cannot be set, and NTP slews it together with CLOCK_REALTIME: their difference changes only when somebody
sets the clock. The TPM's clock (TPM 2.0 part 1 §36) is kept outside the guest, so it also shows a guest whose time as a
whole runs wrong. That the clock was right in the first place follows from each attestation: the signed token has the
time (T06). Source: clock_gettime(2).
"""

import time
from typing import Final, Protocol

STEP_SECONDS: Final = 5.0
"""A clock that was set by more than this is not the one that the worker started with. A leap second stays below."""
TPM_SECONDS: Final = 60.0
"""Difference to the TPM's clock that is allowed for the time that an attestation takes."""
TPM_RATE: Final = 0.01
"""Difference in speed that is allowed on top, as a share of the time since the first reading."""


def clock_offset() -> float:
    """CLOCK_REALTIME minus CLOCK_BOOTTIME, in seconds."""
    return time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)


class TpmTime(Protocol):
    """The members of TPMS_CLOCK_INFO that count here (TPM 2.0 part 2 §10.11.1)."""

    @property
    def clock(self) -> int:
        """Milliseconds while the TPM had power."""

    @property
    def reset_count(self) -> int:
        """Number of resets."""

    @property
    def restart_count(self) -> int:
        """Number of restarts and resumptions."""


class TpmClockWatch:
    """Compares the progress of UTC with that of the TPM's clock since the first reading of this boot of the TPM."""

    def __init__(self, *, allowed_s: float = TPM_SECONDS) -> None:
        """`allowed_s` is the difference in seconds that is allowed at any time."""
        self._allowed_s = allowed_s
        self._first: tuple[float, TpmTime] | None = None
        self.held = True

    def note(self, *, utc: float, tpm: TpmTime) -> None:
        """Take a reading: UTC in seconds since 1970, and the TPM's clock at that time."""
        if self._first is None or _boot(self._first[1]) != _boot(tpm):
            self._first = utc, tpm
        first_utc, first_tpm = self._first
        elapsed = (tpm.clock - first_tpm.clock) / 1000
        difference = utc - first_utc - elapsed
        self.held = abs(difference) <= self._allowed_s + TPM_RATE * abs(elapsed)


def _boot(tpm: TpmTime) -> tuple[int, int]:
    return tpm.reset_count, tpm.restart_count
