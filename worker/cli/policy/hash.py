"""`cji policy hash`: the name by which tokens call the policy of their attestation provider."""

from typing import BinaryIO

import click

from worker.cli.common import Failure
from worker.cli.policy.release_policies import MAX_BYTES


@click.command("hash")
@click.argument("file", type=click.File("rb"))
def hash_command(file: BinaryIO) -> None:
    """Print the x-ms-policy-hash of the provider's policy in FILE (- for standard input).

    It is what tokens name the policy by, and what attestation.reference_values.maa_policy_hashes pins. Every byte of
    the text counts, so take the text as it was set; the exit status is 2 for a text that is not a policy.

    \b
    Example:
      cji policy hash deploy/policy/attestation-policy.txt
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    from attestation.provider_policy import MaaPolicyError, parse_policy, policy_hash  # noqa: PLC0415

    data = file.read(MAX_BYTES)
    try:
        parse_policy(data)
    except MaaPolicyError as error:
        raise Failure(f"{error.check} at {error.where or 'the text'}", remedy=error.remedy, status=2) from error
    click.echo(policy_hash(data))
