"""Release policies of Key Vault: parse, build and lint.

A release policy decides which machine gets the key. `parse_policy` reads any bytes as a policy or refuses them, `build`
writes a strong one, `either` one for the machines of two, `lint` reports weaknesses by rule id (RP01 and on) with a
remedy, and `check_release_policy` decides by the same rules whether a worker uses the key.
"""

from cji_attestation.findings import Finding, Severity
from cji_attestation.release.policy.build import AUTHORITY_PLACEHOLDER, Hardware, build, either, filled
from cji_attestation.release.policy.grammar import ReleasePolicy, parse_policy
from cji_attestation.release.policy.lint import lint
from cji_attestation.release.policy.rules import RULES, PolicyError
from cji_attestation.release.policy.verdict import ACCEPTABLE, PolicyVerdict, check_release_policy

__all__ = [
    "ACCEPTABLE",
    "AUTHORITY_PLACEHOLDER",
    "RULES",
    "Finding",
    "Hardware",
    "PolicyError",
    "PolicyVerdict",
    "ReleasePolicy",
    "Severity",
    "build",
    "check_release_policy",
    "either",
    "filled",
    "lint",
    "parse_policy",
]
