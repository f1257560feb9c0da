"""`cji support`: facts for those who help an operator."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import click
import msgspec

from cji_core.command.common import FILE, Failure
from cji_core.command.json_output import answers, member, print_answer
from cji_core.deployment import ExportError, compare, read_export
from cji_worker.support import (
    FirstDay,
    FirstDayError,
    Trails,
    deployment_facts,
    encode_first_day,
    encoded,
    evidence_of,
    made,
    status_facts,
    trail_facts,
    vault_key,
)
from cji_worker.support.bundle import Bundle
from cji_worker.support.first_day import MAX_INPUT_BYTES


class WrittenBundle(msgspec.Struct, frozen=True, kw_only=True):
    """`cji support bundle`: a support bundle."""

    file: Annotated[str, member("file of the bundle")]
    bytes: Annotated[int, member("its size")]


class WrittenFirstDay(msgspec.Struct, frozen=True, kw_only=True):
    """`cji support first-day`: the facts of a first deployment."""

    file: Annotated[str, member("file of the facts")]
    bytes: Annotated[int, member("its size")]
    missing: Annotated[tuple[str, ...], member("options that were not given: parts that the file does not have")]


_TRAIL: Final = click.option(
    "--trail", "trails", type=FILE, multiple=True, help="Copy of an audit trail; may be given again."
)
_STATUS: Final = click.option(
    "--status", "statuses", type=FILE, multiple=True, help="Output of `cji status --json`; may be given again."
)
_EXPORT: Final = click.option(
    "--export", "exports", type=FILE, multiple=True, help="Exported resources, as for `cji doctor --azure`."
)


@click.group()
def support() -> None:
    """Make a file of facts that may leave the agency."""


@support.command()
@_TRAIL
@_STATUS
@_EXPORT
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
    with _explained():
        data = encoded(_made(trails, statuses, exports))
    _write(out, data)
    text = f"{out}: {len(data)} bytes. It has no record, no name and no free text."
    print_answer(WrittenBundle(file=str(out), bytes=len(data)), text, as_json=as_json)


@support.command("first-day")
@click.option(
    "--evidence", type=FILE, multiple=True, help="File of `cji worker attest --evidence`; may be given again."
)
@_TRAIL
@_STATUS
@_EXPORT
@click.option("--key", "keys", type=FILE, multiple=True, help="Output of `az keyvault key show`; may be given again.")
@click.option("--rows", type=FILE, help="Rows of CjiAudit_CL, all columns, as `az monitor log-analytics query` prints.")
@click.option("--vault-rows", type=FILE, help="Rows of AZKVAuditLogs, likewise.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New file for the facts.")
@answers(WrittenFirstDay)
def first_day(out: Path, *, as_json: bool, **given: Any) -> None:
    """Make a file of what only a deployment on Azure can show, to send back: docs/first-day.md.

    It has a worker's evidence, as every submitter gets it: PCRs, event logs, token, the issuer's keys. All else is
    facts, as in a support bundle. It has no record, no secret, no wrapped key, no line of a log or trail.

    \b
    Example:
      cji support first-day --evidence evidence.json --trail audit.log --status status.json --export export.json \\
        --key key.json --rows rows.json --vault-rows vault-rows.json --out first-day.json
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    missing = tuple(f"--{_OPTION_OF.get(name, name)}" for name, value in given.items() if not value)
    if len(missing) == len(given):
        raise Failure(
            "there is nothing to report", remedy="Give --evidence, or what docs/first-day.md lists.", status=2
        )
    with _explained():
        data = encode_first_day(_first_day(_made(given["trails"], given["statuses"], given["exports"]), given))
    _write(out, data)
    written = WrittenFirstDay(file=str(out), bytes=len(data), missing=missing)
    without = f" Not given: {', '.join(missing)}." if missing else ""
    print_answer(written, f"{out}: {len(data)} bytes. It has no record and no secret.{without}", as_json=as_json)


_OPTION_OF: Final = {
    "trails": "trail",
    "statuses": "status",
    "exports": "export",
    "keys": "key",
    "vault_rows": "vault-rows",
}


def _first_day(facts: Bundle, given: Mapping[str, Any]) -> FirstDay:
    trails = Trails(given["trails"], None if given["rows"] is None else _bytes(given["rows"]))
    vault_rows = () if given["vault_rows"] is None else trails.vault_rows(_bytes(given["vault_rows"]))
    return FirstDay(
        support=facts,
        evidence=tuple(evidence_of(_bytes(path)) for path in given["evidence"]),
        starts=tuple(trails.starts),
        releases=tuple(trails.releases),
        keys=tuple(vault_key(_bytes(path)) for path in given["keys"]),
        rows=trails.rows(),
        vault_rows=vault_rows,
    )


def _made(trails: Sequence[Path], statuses: Sequence[Path], exports: Sequence[Path]) -> Bundle:
    deployed = read_export([(path.name, path.read_bytes()) for path in exports]) if exports else None
    return made(
        trails=[trail_facts(path) for path in trails],
        workers=[status_facts(path.read_bytes()) for path in statuses],
        deployment=None if deployed is None else deployment_facts(compare(deployed)),
    )


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (ExportError, FirstDayError) as error:
        raise Failure(str(error), remedy=error.remedy, status=2) from error
    except ValueError as error:  # msgspec's errors are ValueErrors
        remedy = "Give the output of `cji status --json` of this version."
        raise Failure("a status is not one of a worker", remedy=remedy, status=2) from error
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", remedy="Name a readable file.", status=2) from error


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_INPUT_BYTES + 1)


def _write(out: Path, data: bytes) -> None:
    try:
        with out.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise Failure(
            f"{out}: {error.strerror}", remedy="Name a new file in a folder that exists.", status=2
        ) from error
