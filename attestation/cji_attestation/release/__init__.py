"""Verdict to key: the release call, the checks of its statement, the unwrap into the caller's buffer."""

from cji_attestation.release.flow import Attestation, Attester, ReleasedKey
from cji_attestation.release.hsm import AttestedKey, verify_key_attestation
from cji_attestation.release.keyspec import KeySpec

__all__ = ["Attestation", "AttestedKey", "Attester", "KeySpec", "ReleasedKey", "verify_key_attestation"]
