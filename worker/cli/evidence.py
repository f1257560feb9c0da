"""`cji evidence`: what a machine showed, what each check makes of it, and what it measured at boot. Uses no network."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from attestation.appraisal import CHECKS, ReferenceValues
from worker.cli.common import FILE, Failure, configuration, explained, trust_named
from worker.cli.evidence_file import Judged, RefusedEvidence, golden_pcrs, judge, read_file
from worker.cli.evidence_rows import sections
from worker.client import load_profile

__all__ = ["evidence"]

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
_PROFILE: Final = click.option(
    "--profile", type=FILE, help="client.toml whose [reference] values apply; else the built-in ones."
)
_CONFIG: Final = click.option("--config", type=FILE, help="worker.toml whose reference values apply instead.")
_CLOUD: Final = click.option("--cloud", default="azure-us", show_default=True, help="Whose roots judge a bare bundle.")


@click.group()
def evidence() -> None:
    """Read and judge a machine's evidence."""


@evidence.command()
@click.argument("file", type=FILE)
@_JSON
@explained
def show(file: Path, *, as_json: bool) -> None:
    """Show what FILE says of itself. Nothing of it is verified; `cji evidence verify` does that.

    \b
    Example:
      cji evidence show out/evidence.json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    read = read_file(file)
    found = sections(read.wrapper, read.bundle)
    if as_json:
        click.echo(json.dumps({"verified": False, "sections": found}, indent=2))
        return
    click.echo("not verified: this is what the file says of itself")
    for name, rows in found.items():
        click.echo(name)
        for label, value in rows:
            click.echo(f"  {label:18} {json.dumps(value)[1:-1]}")  # what a stranger wrote must not move the cursor


@evidence.command()
@click.argument("file", type=FILE)
@click.option("--at", metavar="TIME", help="Judge at this time, ISO 8601 with zone; else the file's own, or now.")
@_PROFILE
@_CONFIG
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
    """Judge FILE against the vendors' roots and say what each check found; exit status 3 at the first that fails.

    docs/attestation.md says what each check proves. With --json a refusal is an object as well.

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
        judged = judge(
            read, trust=trust, reference=_reference(profile, config), asked=lambda: _qualifying(qualifying), at=when
        )
    except RefusedEvidence as refused:
        if not as_json:
            raise
        told = {"accepted": False, "check": refused.check, "demand": refused.demand, "remedy": refused.remedy}
        click.echo(json.dumps(told, indent=2))
        context.exit(refused.exit_code)
    click.echo(json.dumps(_object(judged), indent=2) if as_json else "\n".join(_lines(judged)))


@evidence.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.option("--pcr", "chosen", type=click.IntRange(0, 7), multiple=True, help="Only these; may be given again.")
@_PROFILE
@_CONFIG
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
    """Print the PCRs of golden machines as reference values: what a worker's machine must have booted.

    Each FILE passes the appraisal first, at its own time. Several machines give lists of allowed values.

    \b
    Examples:
      cji evidence pcrs golden-1.json golden-2.json >> worker.toml
      cji evidence pcrs golden.json --pcr 4 --pcr 7
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    found = golden_pcrs(
        files, trust_of=lambda name: trust_named(context, name), cloud=cloud, reference=_reference(profile, config)
    )
    click.echo("[attestation.reference_values.pcrs]  # in client.toml: [reference.pcrs]")
    for pcr in sorted(set(chosen or found)):
        values = ", ".join(f'"{value.hex()}"' for value in found[pcr])
        click.echo(f"{pcr} = [{values}]  # {_PCR_USAGE[pcr]}")


def _reference(profile: Path | None, config: Path | None) -> ReferenceValues:
    if profile is not None and config is not None:
        raise Failure("--profile and --config both have reference values", remedy="Give one of them.", status=2)
    if config is None:
        return ReferenceValues() if profile is None else load_profile(profile).reference
    try:
        return msgspec.convert(configuration(config).attestation.reference_values, ReferenceValues, str_keys=True)
    except msgspec.ValidationError as error:
        remedy = "docs/configuration.md lists its keys."
        raise Failure(f"attestation.reference_values: {error}", remedy=remedy, status=2) from error


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise Failure(f"--at {text} is no time", remedy="Write it like 2026-03-17T00:00:00Z.", status=2)
    return when


def _qualifying(text: str | None) -> bytes:
    remedy = "Give --qualifying: 64 hexadecimal digits, SHA-256 of what the quote was asked for (docs/format.md)."
    try:
        value = bytes.fromhex(text or "")
    except ValueError:
        value = b""
    if len(value) != _QUALIFYING_BYTES:
        raise Failure("a bare bundle does not say what its quote must carry", remedy=remedy, status=2)
    return value


def _lines(judged: Judged) -> Iterator[str]:
    verdict, at = judged.verdict, judged.now.isoformat(timespec="seconds")
    yield f"accepted: {verdict.tee} {verdict.product}, roots of {judged.roots}, at {at}"
    for check, found in verdict.checks:
        yield f"  {check}  {CHECKS[check]}"
        yield f"       {found}"


def _object(judged: Judged) -> dict[str, Any]:
    verdict = judged.verdict
    return {
        "accepted": True,
        "tee": verdict.tee,
        "product": verdict.product,
        "roots": judged.roots,
        "at": judged.now.isoformat(timespec="seconds"),
        "accepted_advisories": verdict.accepted,
        "evidence_sha384": verdict.evidence_sha384.hex(),
        "checks": [{"id": check, "demand": CHECKS[check], "found": found} for check, found in verdict.checks],
    }
