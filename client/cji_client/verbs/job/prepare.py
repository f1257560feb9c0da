"""Before a verb of `cji job` sends anything: its options, the spec, the keys and the records are read and checked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console

from cji_client.errors import SpecError
from cji_client.prepared import Prepared
from cji_client.prepared import prepare as prepare_job
from cji_client.profile import ClientProfile
from cji_client.profile_keys import decrypter_named
from cji_client.progress import Reading
from cji_client.signers import Decrypter
from cji_client.spec import JobSpec, load_spec, only
from cji_client.verbs.progress import shown
from cji_core.command.common import FILE, prompt
from cji_core.format.keys import recipient_thumbprints
from cji_core.jose import key_id
from cji_core.operations.registry import OPERATIONS, operation_of
from cji_core.printable import printable

_LINES: Final = ".txt"
_XML: Final = ".xml"
"""With --op, such files are NIBRS submissions unless the spec states otherwise."""

SPEC = click.option(
    "--spec", "spec_file", type=FILE, help="job.toml: agencies, purpose and operations; see docs/job.md."
)
COLUMNS = click.option(
    "--columns",
    "columns_file",
    type=FILE,
    help="columns.toml: the columns of IN that are encrypted in the database; sent as they lie, opened by the worker.",
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
    help="A new folder, or a new .csv, .xlsx, .parquet or .arrow file; other outputs are written next to it.",
)
SAFE_CSV = click.option(
    "--safe-csv", is_flag=True, help="In .csv, put ' before texts that a spreadsheet program would take for a formula."
)
SAVE_SEALED = click.option(
    "--save-sealed",
    type=click.Path(path_type=Path),
    help="A new folder for the result as it was received, which `cji result open` opens. Without --out, only this.",
)
MAX_RESULT_BYTES = click.option(
    "--max-result-bytes",
    type=click.IntRange(min=1),
    help="Accept a sealed result of this size, in place of the bound computed from the records and the operation. Room "
    "for the result is held before anything is sent: 16 MiB and twice the records, or this if it is less.",
)
QUIET = click.option("--quiet", is_flag=True, help="Print only errors.")


STRICT = click.option(
    "--strict",
    is_flag=True,
    help="Refuse what is otherwise a warning: no rows, a column without a value; of a result, mostly unusable rows or "
    "values.",
)


def prepare(file: Path, spec: JobSpec, console: Console, *, strict: bool = False) -> Prepared:
    """Read all records of a job; prints how. SpecError for anything that a worker would refuse.

    Of `strict`, for a warning too.
    """
    with shown(console) as steps:
        prepared = prepare_job(file, spec, watch=Reading(steps))
    for note in prepared.notes:
        _say(console, f"input: {note}")
    warn(console, prepared.warnings, strict=strict, remedy="Compare the file and [input] in the spec.")
    for parameters in spec.operations:
        operation = operation_of(parameters)
        for line in operation.remains(parameters):
            _say(console, f"{operation.name}: {line}")
    return prepared


def warn(console: Console, texts: Sequence[str], *, strict: bool, remedy: str) -> None:
    """Print warnings that nobody overlooks; SpecError if they are refused."""
    if strict and texts:
        raise SpecError(f"{'; '.join(texts)}: --strict refuses it", remedy=remedy)
    for text in texts:
        _say(console, f"WARNING: {text}", style="bold red")


def _say(console: Console, text: str, *, style: str | None = None) -> None:
    """Print a line that may have names of files, sheets and columns."""
    console.print(printable(text), style=style, highlight=False, markup=False, soft_wrap=True)


def recipient_key(profile: ClientProfile, spec: JobSpec | None = None) -> Decrypter:
    """The key that opens results; SpecError unless it opens those of the spec's jobs."""
    decrypter = decrypter_named(profile, prompt)
    if decrypter is None:
        raise SpecError("the profile names no recipient_key", remedy="Make one with `cji key new-recipient`.")
    if spec is not None and key_id(decrypter.public_key()) not in recipient_thumbprints(spec.recipients, spec.suite):
        raise SpecError("the profile's recipient_key is not one of the spec's recipients")
    return decrypter


def job_spec(
    path: Path | None, profile: ClientProfile, *, op: str | None, file: Path, columns: Path | None = None
) -> JobSpec:
    """The spec over the profile's defaults for all jobs; with `op`, only the operation of that name.

    `columns` replaces the spec's own file of encrypted columns of the records.
    """
    spec = _job_spec(path, profile, op=op, file=file)
    if columns is None:
        return spec
    return msgspec.structs.replace(spec, input=msgspec.structs.replace(spec.input, columns=columns))


def _job_spec(path: Path | None, profile: ClientProfile, *, op: str | None, file: Path) -> JobSpec:
    defaults = dict(profile.job)
    schemas = {_LINES: "nibrs.flat/3.1", _XML: "nibrs.xml/2019.1"}
    if op is not None and file.suffix.lower() in schemas:
        defaults["input"] = {"schema": schemas[file.suffix.lower()]}
    if op is None:
        return load_spec(path, defaults=defaults)
    return only(load_spec(path, defaults=defaults | {"operations": [{"kind": op}]}), op)
