"""The reference values that a command uses: a submitter's, a worker's, or the built-in ones."""

from pathlib import Path

import click
import msgspec

from cji_attestation.appraisal import ReferenceValues
from cji_client.profile import load_profile
from cji_core.command.common import FILE, Failure, configuration

PROFILE = click.option(
    "--profile", type=FILE, help="client.toml whose [reference] values apply; else the built-in ones."
)
CONFIG = click.option("--config", type=FILE, help="worker.toml whose reference values apply instead.")


def reference_values(profile: Path | None, config: Path | None) -> ReferenceValues:
    """Those of the file given; Failure 2 for two files, or for values that no reader takes."""
    if profile is not None and config is not None:
        raise Failure("--profile and --config exclude each other", remedy="Give one of them.", status=2)
    if config is None:
        found = ReferenceValues() if profile is None else load_profile(profile).reference
    else:
        try:
            found = msgspec.convert(configuration(config).attestation.reference_values, ReferenceValues, str_keys=True)
        except msgspec.ValidationError as error:
            remedy = "docs/configuration.md lists its keys."
            raise Failure(f"attestation.reference_values: {error}", remedy=remedy, status=2) from error
    return found
