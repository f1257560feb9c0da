"""Release policies of Key Vault: parse, build and lint.

A release policy decides which machine gets the key. `parse_policy` takes any bytes to a policy or an error, `build`
writes a strong one, `lint` names what is weak with a rule id (RP01 and on) and a remedy, and `judge` decides by it
whether a worker uses the key.
"""

from attestation.release.policy.build import AUTHORITY_PLACEHOLDER, Hardware, build, filled
from attestation.release.policy.grammar import ReleasePolicy, parse_policy
from attestation.release.policy.lint import lint
from attestation.release.policy.rules import RULES, Finding, PolicyError, Rule, Severity
from attestation.release.policy.verdict import ACCEPTABLE, PolicyVerdict, judge

__all__ = [
    "ACCEPTABLE",
    "AUTHORITY_PLACEHOLDER",
    "RULES",
    "Finding",
    "Hardware",
    "PolicyError",
    "PolicyVerdict",
    "ReleasePolicy",
    "Rule",
    "Severity",
    "build",
    "filled",
    "judge",
    "lint",
    "parse_policy",
]
