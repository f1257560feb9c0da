"""The reference values that a command uses: a submitter's, a worker's, or the built-in ones."""

from pathlib import Path
from typing import Any

import click
import msgspec

from cji_attestation.appraisal import ReferenceValues
from cji_core.command.common import FILE, Failure, configuration
from cji_core.documents import convert
from cji_core.errors import SpecError
from cji_core.format.configuration.pool_file import over_pool
from cji_core.format.configuration.worker import with_files

PROFILE = click.option(
    "--profile", type=FILE, help="client.toml whose [reference] values apply; else the built-in ones."
)
CONFIG = click.option("--config", type=FILE, help="worker.toml whose reference values apply instead.")


def reference_values(profile: Path | None, config: Path | None) -> ReferenceValues:
    """Those of the file given; Failure 2 for two files, or for values that no reader takes."""
    if profile is not None and config is not None:
        raise Failure("--profile and --config exclude each other", remedy="Give one of them.", status=2)
    if config is None:
        found = ReferenceValues() if profile is None else _of_profile(profile)
    else:
        try:
            found = convert(configuration(config).attestation.values(), ReferenceValues, str_keys=True)
        except msgspec.ValidationError as error:
            remedy = "docs/configuration.md lists its keys."
            raise Failure(f"attestation.reference_values: {error}", remedy=remedy, status=2) from error
    return found


def _of_profile(path: Path) -> ReferenceValues:
    """The `[reference]` table of a client.toml; the rest of it is for a submitter's client."""
    try:
        table = over_pool(path, _reference_in).get("reference")
        if not isinstance(table, dict):
            raise SpecError(f"{path.name} has no [reference]", remedy="Compare it with docs/job.md.")
        return convert(table, ReferenceValues, str_keys=True)
    except OSError as error:
        raise SpecError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise SpecError(f"{path.name}: {error}", remedy="Compare it with docs/job.md.") from None


def _reference_in(path: Path) -> dict[str, Any]:
    """The part of a profile that decides about reference values, with the files that these name."""
    table = msgspec.toml.decode(path.read_bytes())
    found = {name: table[name] for name in ("pool", "reference") if name in table}
    if isinstance(found.get("reference"), dict):
        found["reference"] = with_files(found["reference"], path.parent)
    return found
