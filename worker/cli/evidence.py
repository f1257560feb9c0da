"""`cji evidence`: show a machine's evidence, run every check on it, print its boot measurements. Uses no network."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from attestation.checks import NAMED, requirement
from worker.cli.advisory_rows import finding_text
from worker.cli.common import FILE, Failure, explained, trust_named
from worker.cli.evidence_file import AppraisedFile, RefusedEvidence, appraise_file, golden_pcrs, read_file
from worker.cli.evidence_rows import sections
from worker.cli.reference_values import CONFIG, PROFILE, reference_values

_QUALIFYING_BYTES: Final = 32
# TCG PC Client Platform Firmware Profile, "PCR Usage"
_PCR_USAGE: Final = (
    "firmware code",
    "firmware configuration",
    "option ROM code",
    "option ROM configuration",
    "boot loader and kernel as loaded by the firmware",
    "boot manager configuration, partition table",
    "events of the host platform",
    "secure boot policy and the authorities that were used",
)
_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_CLOUD: Final = click.option(
    "--cloud", default="azure-us", show_default=True, help="The cloud whose roots a bare bundle is checked against."
)


@click.group()
def evidence() -> None:
    """Read and appraise a machine's evidence."""


@evidence.command()
@click.argument("file", type=FILE)
@_JSON
@explained
def show(file: Path, *, as_json: bool) -> None:
    """Show the contents of FILE. Nothing in it is verified; `cji evidence verify` does that.

    \b
    Example:
      cji evidence show out/evidence.json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    read = read_file(file)
    found = sections(read.wrapper, read.bundle)
    if as_json:
        click.echo(json.dumps({"verified": False, "sections": found}, indent=2))
        return
    click.echo("not verified: these are the file's own claims")
    for name, rows in found.items():
        click.echo(name)
        for label, value in rows:
            click.echo(f"  {label:18} {json.dumps(value)[1:-1]}")  # what a stranger wrote must not move the cursor


@evidence.command()
@click.argument("file", type=FILE)
@click.option("--at", metavar="TIME", help="Appraise at this time, ISO 8601 with zone; else at the file's own, or now.")
@PROFILE
@CONFIG
@click.option("--qualifying", metavar="HEX", help="32 bytes that the quote of a bare bundle must carry.")
@_CLOUD
@_JSON
@click.pass_context
@explained
def verify(
    context: click.Context,
    file: Path,
    *,
    at: str | None,
    profile: Path | None,
    config: Path | None,
    qualifying: str | None,
    cloud: str,
    as_json: bool,
) -> None:
    """Appraise FILE against the vendors' roots and print what each check found; exit status 3 if it is refused.

    A refusal lists every check that failed, with what was found and expected. docs/attestation.md explains the checks.
    With --json a refusal is an object as well.

    \b
    Examples:
      cji evidence verify out/evidence.json
      cji evidence verify out/evidence.json --profile client.toml --at 2026-03-17T00:00:00Z
      cji evidence verify out/evidence.json --config worker.toml
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    read = read_file(file)
    when = _time(at)
    if read.wrapper is not None and qualifying is not None:
        raise Failure("--qualifying is for a bare bundle", remedy="This file states its own nonce.", status=2)
    trust = trust_named(context, read.cloud(cloud))
    try:
        found = appraise_file(
            read,
            trust=trust,
            reference=reference_values(profile, config),
            expected=lambda: _qualifying(qualifying),
            at=when,
        )
    except RefusedEvidence as refused:
        if not as_json:
            raise
        click.echo(json.dumps(refused.as_json(), indent=2))
        context.exit(refused.exit_code)
    click.echo(json.dumps(_object(found), indent=2) if as_json else "\n".join(_lines(found)))


@evidence.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.option("--pcr", "chosen", type=click.IntRange(0, 7), multiple=True, help="Only these; may be given again.")
@PROFILE
@CONFIG
@_CLOUD
@click.pass_context
@explained
def pcrs(
    context: click.Context,
    files: tuple[Path, ...],
    *,
    chosen: tuple[int, ...],
    profile: Path | None,
    config: Path | None,
    cloud: str,
) -> None:
    """Print the PCRs of golden machines as reference values for the boot of a worker's machine.

    Each FILE is appraised first, at its own time. Several machines give lists of allowed values.

    \b
    Examples:
      cji evidence pcrs golden-1.json golden-2.json >> worker.toml
      cji evidence pcrs golden.json --pcr 4 --pcr 7
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    found = golden_pcrs(
        files,
        trust_of=lambda name: trust_named(context, name),
        cloud=cloud,
        reference=reference_values(profile, config),
    )
    click.echo("[attestation.reference_values.pcrs]  # in client.toml: [reference.pcrs]")
    for pcr in sorted(set(chosen or found)):
        values = ", ".join(f'"{value.hex()}"' for value in found[pcr])
        click.echo(f"{pcr} = [{values}]  # {_PCR_USAGE[pcr]}")


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise Failure(f"--at {text} is not a time", remedy="Write it like 2026-03-17T00:00:00Z.", status=2)
    return when


def _qualifying(text: str | None) -> bytes:
    remedy = "Give --qualifying: 64 hexadecimal digits, the qualifying data that docs/format.md §8 defines."
    try:
        value = bytes.fromhex(text or "")
    except ValueError:
        value = b""
    if len(value) != _QUALIFYING_BYTES:
        raise Failure("a bare bundle does not state its qualifying data", remedy=remedy, status=2)
    return value


def _lines(found: AppraisedFile) -> Iterator[str]:
    verdict, at = found.verdict, found.now.isoformat(timespec="seconds")
    yield f"accepted: {verdict.tee} {verdict.product}, roots of {found.roots}, at {at}"
    for check in verdict.checks:
        yield f"  {check.id}  {requirement(check.id)}"
        yield f"       {check.finding}"
    if verdict.findings:
        yield "advisories"
        yield from (f"  {finding_text(one)}" for one in verdict.findings)
    if verdict.above_floor:
        yield f"floors-trail: {', '.join(verdict.above_floor)}"
        yield f"  {NAMED['floors-trail']}"


def _object(found: AppraisedFile) -> dict[str, Any]:
    verdict = found.verdict
    return {
        "accepted": True,
        "tee": verdict.tee,
        "product": verdict.product,
        "roots": found.roots,
        "at": found.now.isoformat(timespec="seconds"),
        "accepted_advisories": verdict.accepted,
        "advisories": [one._asdict() for one in verdict.findings],
        "above_floor": verdict.above_floor,
        "evidence_sha384": verdict.evidence_sha384.hex(),
        "checks": [
            {"id": check.id, "requires": requirement(check.id), "found": check.finding} for check in verdict.checks
        ],
    }
