"""Before `cji job run` and `cji job submit` send anything: spec, keys and records are read and checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import pyarrow as pa
from rich.console import Console

from worker.cli.common import FILE, passphrase_for
from worker.client import (
    INPUT_NAME,
    ClientProfile,
    JobSpec,
    SealedJob,
    load_recipient_key,
    load_signing_key,
    load_spec,
    seal,
)
from worker.client.errors import SpecError
from worker.client.files import read_file
from worker.client.keys import PinnedKey, RecipientPrivateKey, recipient_thumbprints
from worker.client.sources import FittedSource, fit
from worker.client.spec import InputSpec, only
from worker.compute.parameters import ParametersError
from worker.compute.registry import OPERATIONS, operation_of
from worker.jose import SigningKey, key_id

_LINES: Final = ".txt"
_XML: Final = ".xml"
"""With --op, such files are NIBRS submissions unless the spec states otherwise."""

SPEC = click.option(
    "--spec", "spec_file", type=FILE, help="job.toml: agencies, purpose and operations; see docs/job.md."
)
OPERATION = click.option(
    "--op",
    type=click.Choice(list(OPERATIONS)),
    help="Run only this operation, with default parameters unless the spec has some.",
)
PROFILE = click.option(
    "--profile", "profile_file", type=FILE, required=True, help="client.toml: the worker's address and your keys."
)
OUT = click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="A new folder, or a new .csv, .parquet or .arrow file; other outputs are written next to it.",
)
QUIET = click.option("--quiet", is_flag=True, help="Print only errors.")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A job that can be sealed: `inputs` were read to their end, and fit the spec."""

    spec: JobSpec
    signing_key: SigningKey
    inputs: dict[str, FittedSource]

    def seal(self, kek: PinnedKey) -> SealedJob:
        """Seal it to this key."""
        return seal(self.spec, kek=kek, signing_key=self.signing_key, rows=self.inputs[INPUT_NAME].rows)


def prepare(file: Path, spec: JobSpec, profile: ClientProfile, console: Console) -> Prepared:
    """Read the signing key and all records of a job. SpecError for anything that a worker would refuse."""
    signing = load_signing_key(Path(profile.signing_key), passphrase=passphrase_for(Path(profile.signing_key)))
    source = _read(file, spec.input, console)
    _check_columns(source.schema, spec)
    inputs = {name: _read(side.file, side, console) for name, side in spec.sides.items()} | {INPUT_NAME: source}
    return Prepared(spec=spec, signing_key=signing, inputs=inputs)


def recipient_key(profile: ClientProfile) -> RecipientPrivateKey:
    """The key that opens results."""
    if profile.recipient_key is None:
        raise SpecError("the profile names no recipient_key", remedy="Make one with `cji key new-recipient`.")
    path = Path(profile.recipient_key)
    return load_recipient_key(path, passphrase=passphrase_for(path))


def check_recipient(key: RecipientPrivateKey, spec: JobSpec) -> None:
    """SpecError unless the key opens results of the spec's jobs."""
    if key_id(key.public_key()) not in recipient_thumbprints(spec.recipients, spec.suite):
        raise SpecError("the profile's recipient_key is not one of the spec's recipients")


def job_spec(path: Path | None, profile: ClientProfile, *, op: str | None, file: Path) -> JobSpec:
    """The spec over the profile's defaults for all jobs; with `op`, only the operation of that name."""
    defaults = dict(profile.job)
    schemas = {_LINES: "nibrs.flat/3.1", _XML: "nibrs.xml/2019.1"}
    if op is not None and file.suffix.lower() in schemas:
        defaults["input"] = {"schema": schemas[file.suffix.lower()]}
    if op is None:
        return load_spec(path, defaults=defaults)
    return only(load_spec(path, defaults=defaults | {"operations": [{"kind": op}]}), op)


def _check_columns(schema: pa.Schema, spec: JobSpec) -> None:
    """Report columns that do not fit by name; the worker would refuse the job without names."""
    columns = frozenset(schema.names)
    for parameters in spec.operations:
        operation = operation_of(parameters)
        try:
            columns = operation.columns(parameters, columns)
        except ParametersError as error:
            raise SpecError(f"{operation.name}: {error}", remedy=error.remedy) from None


def _read(file: Path, spec: InputSpec, console: Console) -> FittedSource:
    """The records of a file, all of which were read; prints how."""
    source = fit(read_file(file, spec), spec)
    for note in source.notes:
        console.print(f"input: {note}", highlight=False, markup=False, soft_wrap=True)
    return source
