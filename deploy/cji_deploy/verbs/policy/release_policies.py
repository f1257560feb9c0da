"""Shared by the verbs on release policies: whose policy it is, and how findings are printed.

The rules live in `cji_attestation.release.policy` and `cji_attestation.provider_policy`. They are imported when a verb
runs, because the modules around them need the TPM's libraries, and `cji doctor` must start without those.
"""

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import click

if TYPE_CHECKING:
    from cji_attestation.findings import Finding

COLOURS: Final = {"error": "red", "warning": "yellow"}
CLOUD = click.option("--cloud", default="azure-us", show_default=True, help="Whose providers may be named.")
MAX_BYTES: Final = (64 << 10) + 1  # of a file; a larger one is refused by every grammar
Subject: TypeAlias = Literal["vault", "maa"]
FOR = click.option(
    "--for",
    "subject",
    type=click.Choice(["vault", "maa"]),
    default="vault",
    show_default=True,
    help="The release policy of a key in Key Vault, or the policy of an attestation provider.",
)


def print_findings(found: tuple["Finding", ...], *, err: bool = False) -> None:
    """Print each finding with its place, its reason and its remedy."""
    for finding in found:
        rule = finding.rule
        detail = f": {finding.detail}" if finding.detail else ""
        click.echo(
            f"{click.style(f'{rule.severity:8}', fg=COLOURS[rule.severity])} {rule.id} {rule.title}{detail}", err=err
        )
        more = f" and {len(finding.where) - 1} more" if len(finding.where) > 1 else ""
        click.echo(f"{'':8}   at {finding.where[0]}{more}\n{'':8}   {rule.why}\n{'':8}   {rule.remedy}", err=err)
