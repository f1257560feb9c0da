"""The trusts of a command: those that it was built with, else those of production."""

from collections.abc import Mapping

import click

from cji_attestation import AZURE_US, AZURE_USGOV, Trust
from cji_core.command.common import Failure


def trusts_of(context: click.Context) -> Mapping[str, Trust]:
    """All of them, by name."""
    return context.find_root().obj or {trust.name: trust for trust in (AZURE_US, AZURE_USGOV)}


def trust_named(context: click.Context, cloud: str) -> Trust:
    """The one named `cloud`. Failure 2 for another name."""
    trusts = trusts_of(context)
    if cloud not in trusts:
        raise Failure(
            f'cloud = "{cloud}" is unknown',
            remedy=f"Use one of {', '.join(trusts)} in the profile, the configuration or --cloud.",
            status=2,
        )
    return trusts[cloud]
