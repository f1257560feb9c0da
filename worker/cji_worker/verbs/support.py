"""`cji support`: facts for those who help an operator."""

from pathlib import Path
from typing import Annotated

import click
import msgspec

from cji_core.command.common import FILE, Failure
from cji_core.command.json_output import answers, member, print_answer
from cji_core.deployment import ExportError, compare, read_export
from cji_worker.support import deployment_facts, encoded, made, status_facts, trail_facts


class WrittenBundle(msgspec.Struct, frozen=True, kw_only=True):
    """`cji support bundle`: a support bundle."""

    file: Annotated[str, member("file of the bundle")]
    bytes: Annotated[int, member("its size")]


@click.group()
def support() -> None:
    """Make a file of facts that may leave the agency."""


@support.command()
@click.option("--trail", "trails", type=FILE, multiple=True, help="Copy of an audit trail; may be given again.")
@click.option(
    "--status", "statuses", type=FILE, multiple=True, help="Output of `cji status --json`; may be given again."
)
@click.option("--export", "exports", type=FILE, multiple=True, help="Exported resources, as for `cji doctor --azure`.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New file for the bundle.")
@answers(WrittenBundle)
def bundle(
    trails: tuple[Path, ...], statuses: tuple[Path, ...], exports: tuple[Path, ...], out: Path, *, as_json: bool
) -> None:
    """Make a support bundle: counts, times, digests, versions, and words of this program's own lists.

    It has no record, no name of a person, agency, machine or resource, no line of a log or trail: its types have no
    place for them. Read it before you send it; it is JSON.

    \b
    Example:
      cji support bundle --trail audit.log --status status.json --export export.json --out support.json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    if not (trails or statuses or exports):
        raise Failure("there is nothing to report", remedy="Give --trail, --status or --export.", status=2)
    try:
        deployed = read_export([(path.name, path.read_bytes()) for path in exports]) if exports else None
        data = encoded(
            made(
                trails=[trail_facts(path) for path in trails],
                workers=[status_facts(path.read_bytes()) for path in statuses],
                deployment=None if deployed is None else deployment_facts(compare(deployed)),
            )
        )
    except ExportError as error:
        raise Failure(str(error), remedy=error.remedy, status=2) from error
    except ValueError as error:  # msgspec's errors are ValueErrors
        remedy = "Give the output of `cji status --json` of this version."
        raise Failure("a status is not one of a worker", remedy=remedy, status=2) from error
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", remedy="Name a readable file.", status=2) from error
    try:
        with out.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise Failure(
            f"{out}: {error.strerror}", remedy="Name a new file in a folder that exists.", status=2
        ) from error
    text = f"{out}: {len(data)} bytes. It has no record, no name and no free text."
    print_answer(WrittenBundle(file=str(out), bytes=len(data)), text, as_json=as_json)
