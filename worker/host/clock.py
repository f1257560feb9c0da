"""Whether the clock can be believed: not set since the start, and in step with the TPM's.

CLOCK_BOOTTIME cannot be set, and NTP slews it together with CLOCK_REALTIME: their difference changes only when somebody
sets the clock. The TPM's clock (TPM 2.0 part 1 §36) is kept outside the guest, so it also shows a guest whose time as a
whole runs wrong. That the clock was right in the first place follows from each attestation: the signed token has the
time (T06). Source: clock_gettime(2).
"""

import time
from dataclasses import dataclass
from typing import Final

STEP_SECONDS: Final = 5.0
"""A clock that was set by more than this is not the one that the worker started with. A leap second stays below."""
TPM_SECONDS: Final = 60.0
"""Difference to the TPM's clock that is allowed for the time that an attestation takes."""
TPM_RATE: Final = 0.01
"""Difference in speed that is allowed on top, as a share of the time since the first reading."""


def clock_offset() -> float:
    """CLOCK_REALTIME minus CLOCK_BOOTTIME, in seconds."""
    return time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    utc: float
    tpm_ms: int
    boot: tuple[int, int]


class TpmClockWatch:
    """Compares the progress of UTC with that of the TPM's clock since the first reading of this boot of the TPM."""

    def __init__(self, *, allowed_s: float = TPM_SECONDS) -> None:
        """`allowed_s` is the difference in seconds that is allowed at any time."""
        self._allowed_s = allowed_s
        self._first: _Reading | None = None
        self.held = True

    def note(self, *, utc: float, tpm_ms: int, boot: tuple[int, int]) -> None:
        """Take a reading: UTC in seconds, the TPM's clock in milliseconds, its counters of resets and restarts."""
        now = _Reading(utc=utc, tpm_ms=tpm_ms, boot=boot)
        if self._first is None or self._first.boot != boot:
            self._first = now
        elapsed = (now.tpm_ms - self._first.tpm_ms) / 1000
        difference = now.utc - self._first.utc - elapsed
        self.held = abs(difference) <= self._allowed_s + TPM_RATE * abs(elapsed)
