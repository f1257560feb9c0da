"""Policies of an attestation provider: parse, build, lint and name.

The owner of a provider writes its policy, so it decides what a token of that provider means. `parse_policy` takes any
bytes to a policy or an error, `build` writes a strong one for AzureGuest, `lint` names what is weak with a rule id
(MP10 and on) and a remedy, and `policy_hash` is the name that tokens give it.
"""

from attestation.maa.policy.build import build, policy_hash
from attestation.maa.policy.grammar import MaaPolicy, parse_policy
from attestation.maa.policy.lint import lint
from attestation.maa.policy.rules import RULES, MaaPolicyError

__all__ = ["RULES", "MaaPolicy", "MaaPolicyError", "build", "lint", "parse_policy", "policy_hash"]
