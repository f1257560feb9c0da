"""`cji policy hash`: the name by which tokens call the policy of their attestation provider."""

from typing import Annotated, BinaryIO

import click
import msgspec

from cji_core.command.common import Failure
from cji_core.command.json_output import answers, member, print_answer
from cji_deploy.verbs.policy.release_policies import MAX_BYTES


class PolicyHash(msgspec.Struct, frozen=True, kw_only=True):
    """`cji policy hash` and `cji provider policy set`: the name by which tokens call a provider's policy."""

    policy_hash: Annotated[str, member("x-ms-policy-hash, base64url")]


@click.command("hash")
@click.argument("file", type=click.File("rb"))
@answers(PolicyHash)
def hash_command(file: BinaryIO, *, as_json: bool) -> None:
    """Print the x-ms-policy-hash of the provider's policy in FILE (- for standard input).

    It is what tokens name the policy by, and what attestation.reference_values.maa_policy_hashes pins. Every byte of
    the text counts, so take the text as it was set; the exit status is 2 for a text that is not a policy.

    \b
    Example:
      cji policy hash deploy/policy/attestation-policy.txt
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    from cji_attestation.provider_policy import MaaPolicyError, parse_policy, policy_hash  # noqa: PLC0415

    data = file.read(MAX_BYTES)
    try:
        parse_policy(data)
    except MaaPolicyError as error:
        raise Failure(f"{error.check} at {error.where or 'the text'}", remedy=error.remedy, status=2) from error
    found = policy_hash(data)
    print_answer(PolicyHash(policy_hash=found), found, as_json=as_json)
