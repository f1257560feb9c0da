"""The vTPM's response codes, and the retries that some of them call for (TPM 2.0 Library, Part 2 §6.6; TSS 2.0)."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from tpm2_pytss import TSS2_Exception

T = TypeVar("T")

RC_NONE: Final = 0
RC_NO_HANDLE: Final = 0x18B  # on NV: the index does not exist
RC_NV_UNINITIALIZED: Final = 0x14A
RC_POLICY: Final = 0x99D  # TPM_RC_POLICY_FAIL in a session: a PCR changed
RC_AGAIN: Final = frozenset(
    {
        0x902,  # TPM_RC_OBJECT_MEMORY: objects of other processes, which they flush
        0x903,  # TPM_RC_SESSION_MEMORY, likewise
        0x908,  # TPM_RC_YIELDED
        0x90A,  # TPM_RC_TESTING
        0x920,  # TPM_RC_NV_RATE
        0x922,  # TPM_RC_RETRY
        0x923,  # TPM_RC_NV_UNAVAILABLE
    }
)
"""Warnings that pass (TPM 2.0 part 2 §6.6.3). TPM_RC_LOCKOUT (0x921) is none: no object here counts failures."""
ATTEMPTS: Final = 6
PAUSE: Final = 0.05  # seconds, doubled each time

TPM_LAYER: Final = 0
RESOURCE_MANAGER_LAYER: Final = 11


def code(error: TSS2_Exception) -> int:
    """The TPM's own response code; RC_NONE where the TSS's layers failed before there was one (TSS 2.0 overview)."""
    layer = int(error.rc) >> 16
    return int(error.rc) & 0xFFF if layer in (TPM_LAYER, RESOURCE_MANAGER_LAYER) else RC_NONE


def again(operation: Callable[[], T]) -> T:
    """Repeat while the response code calls for it."""
    attempt, pause = 1, PAUSE
    while True:
        try:
            return operation()
        except TSS2_Exception as error:
            if code(error) not in RC_AGAIN or attempt == ATTEMPTS:
                raise
        time.sleep(pause)
        attempt, pause = attempt + 1, 2 * pause
