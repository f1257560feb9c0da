"""Tools for the operator of an attestation provider: its policies, and the calls that read and set them.

Anyone who owns a provider writes its policy, which decides what a token from that provider means. `parse_policy` reads
any bytes as a policy or refuses them, `build` writes a strong policy for AzureGuest, `lint` reports weaknesses by rule
id (MP10 and on), and `policy_hash` is the digest that tokens carry. Only the CLI and the deployment checks import this
room: a worker never does.
"""

from cji_attestation.provider_policy.build import build, policy_hash
from cji_attestation.provider_policy.lint import lint
from cji_attestation.provider_policy.parser import parse_policy
from cji_attestation.provider_policy.rules import RULES, MaaPolicyError

__all__ = ["RULES", "MaaPolicyError", "build", "lint", "parse_policy", "policy_hash"]
