"""The one table of what is fuzzed."""

from typing import Final

from tests.fuzz.attestation_targets import ATTESTATION
from tests.fuzz.worker_targets import WORKER

__all__ = ["TARGETS"]

TARGETS: Final = (*ATTESTATION, *WORKER)
