"""Verdict to key: the release call, the checks of its statement, the unwrap into the caller's buffer."""

from attestation.release.flow import Attestation, Attester, ReleasedKey
from attestation.release.hsm import AttestedKey, verify_key_attestation
from attestation.release.keyspec import KeySpec

__all__ = ["Attestation", "AttestedKey", "Attester", "KeySpec", "ReleasedKey", "verify_key_attestation"]
