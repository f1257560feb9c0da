"""Options that all verbs of `cji evidence` understand: whose roots, and whose reference values."""

from pathlib import Path
from typing import Final

import click
import msgspec

from attestation.appraisal import ReferenceValues
from worker.cli.common import FILE, Failure, configuration
from worker.client import load_profile

QUALIFYING_BYTES: Final = 32
PROFILE: Final = click.option(
    "--profile", type=FILE, help="client.toml whose [reference] values apply; else the built-in ones."
)
CONFIG: Final = click.option("--config", type=FILE, help="worker.toml whose reference values apply instead.")
CLOUD: Final = click.option(
    "--cloud", default="azure-us", show_default=True, help="The cloud whose roots a bare bundle is checked against."
)


def reference_of(profile: Path | None, config: Path | None) -> ReferenceValues:
    """The reference values of a client profile or a worker's configuration; the built-in ones for neither."""
    if profile is not None and config is not None:
        raise Failure("--profile and --config exclude each other", remedy="Give one of them.", status=2)
    if config is None:
        return ReferenceValues() if profile is None else load_profile(profile).reference
    try:
        return msgspec.convert(configuration(config).attestation.reference_values, ReferenceValues, str_keys=True)
    except msgspec.ValidationError as error:
        remedy = "docs/configuration.md lists its keys."
        raise Failure(f"attestation.reference_values: {error}", remedy=remedy, status=2) from error


def qualifying_of(text: str | None) -> bytes:
    """32 bytes from hexadecimal digits; Failure 2 for anything else."""
    remedy = "Give --qualifying: 64 hexadecimal digits, the qualifying data that docs/format.md §8 defines."
    try:
        value = bytes.fromhex(text or "")
    except ValueError:
        value = b""
    if len(value) != QUALIFYING_BYTES:
        raise Failure("a bare bundle does not state its qualifying data", remedy=remedy, status=2)
    return value
