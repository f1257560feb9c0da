"""Attestation and key release on Azure confidential VMs: evidence, verdict, key. Knows nothing of jobs or records.

`evidence` shows what this machine can show, `appraisal` is our own verdict on it, `maa` is Microsoft's, `release`
turns both into a key inside the caller's buffer. Imports run that way only, and never to `worker`.
"""

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.trust import AZURE_US, AZURE_USGOV, PRODUCTION, Trust, is_production

__all__ = ["AZURE_US", "AZURE_USGOV", "PRODUCTION", "AttestationError", "Fault", "Trust", "is_production"]
