"""`cji evidence`: show a machine's evidence, run every check on it, print its boot measurements. Uses no network."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from attestation.checks import NAMED, requirement
from attestation.evidence import IMPORTED, parse_attest
from worker.cli.advisory_rows import finding_text
from worker.cli.common import FILE, Failure, explained, trust_named
from worker.cli.evidence_collect import collect
from worker.cli.evidence_ear import accepted_result, refused_result
from worker.cli.evidence_file import AppraisedFile, RefusedEvidence, appraise_file, read_file
from worker.cli.evidence_import import import_
from worker.cli.evidence_options import AT, CLOUD, NEW_FILE, qualifying_of, time_of, written
from worker.cli.evidence_pcrs import pcrs
from worker.cli.evidence_proof import evidence_proof
from worker.cli.evidence_rows import sections
from worker.cli.evidence_stamp import stamp
from worker.cli.evidence_values import reference_values_of
from worker.cli.proof_page import proof_page
from worker.cli.reference_values import CONFIG, PROFILE, reference_values

_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def evidence() -> None:
    """Read and appraise a machine's evidence."""


@evidence.command()
@click.argument("file", type=FILE)
@click.option(
    "--html", type=NEW_FILE, help="Appraise FILE and write a page to this new file: what was proven, what not."
)
@PROFILE
@CONFIG
@click.option("--qualifying", metavar="HEX", help="With --html: 32 bytes that the quote of a bare bundle must carry.")
@AT
@CLOUD
@_JSON
@click.pass_context
@explained
def show(
    context: click.Context,
    file: Path,
    *,
    html: Path | None,
    profile: Path | None,
    config: Path | None,
    qualifying: str | None,
    at: str | None,
    cloud: str,
    as_json: bool,
) -> None:
    """Show the contents of FILE. Nothing in it is verified, except on a page (--html).

    A page has the verdict first: FILE is appraised as by `cji evidence verify`. One that is refused gets its page too,
    which shows why; the exit status is 3. The page is one file without scripts or links to a network.

    \b
    Examples:
      cji evidence show out/evidence.json
      cji evidence show out/evidence.json --profile client.toml --html evidence.html
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    read = read_file(file)
    found = sections(read.wrapper, read.bundle)
    if html is not None:
        trust, reference = trust_named(context, read.cloud(cloud)), reference_values(profile, config)
        proof = evidence_proof(
            read,
            found,
            trust=trust,
            reference=reference,
            expected=lambda: qualifying_of(qualifying, imported=read.bundle.version == IMPORTED),
            at=time_of(at),
        )
        written(html, "".join(proof_page(proof)).encode())
        click.echo(f"{html}: {proof.outcome}")
        context.exit(0 if proof.accepted else 3)
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
@AT
@click.option("--timestamp", type=FILE, help="RFC 3161 response over a bare bundle, as `cji evidence stamp` asks for.")
@PROFILE
@CONFIG
@click.option("--qualifying", metavar="HEX", help="32 bytes that the quote of a bare bundle must carry.")
@CLOUD
@_JSON
@click.option("--ear", "as_ear", is_flag=True, help="Print an attestation result of the IETF (EAR), unsigned.")
@click.pass_context
@explained
def verify(
    context: click.Context,
    file: Path,
    *,
    at: str | None,
    timestamp: Path | None,
    profile: Path | None,
    config: Path | None,
    qualifying: str | None,
    cloud: str,
    as_json: bool,
    as_ear: bool,
) -> None:
    """Appraise FILE against the vendors' roots and print what each check found; exit status 3 if it is refused.

    The time is the latest that FILE proves, by its token or a timestamp; for a bare bundle without one it is now. A
    refusal lists every check that failed, with what was found and expected; with --json or --ear it is an object as
    well. docs/attestation.md explains the checks.

    \b
    Examples:
      cji evidence verify out/evidence.json
      cji evidence verify out/evidence.json --profile client.toml --at 2026-03-17T00:00:00Z
      cji evidence verify out/evidence.json --config worker.toml
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    read, when = read_file(file), time_of(at)
    if read.wrapper is not None and (qualifying is not None or timestamp is not None):
        remedy = "This file states its own nonce, and carries its timestamp itself."
        raise Failure("--qualifying and --timestamp are for a bare bundle", remedy=remedy, status=2)
    trust, reference = trust_named(context, read.cloud(cloud)), reference_values(profile, config)
    try:
        found = appraise_file(
            read,
            trust=trust,
            reference=reference,
            expected=lambda: qualifying_of(qualifying, imported=read.bundle.version == IMPORTED),
            at=when,
            timestamp=b"" if timestamp is None else timestamp.read_bytes(),
        )
    except RefusedEvidence as refused:
        if not (as_json or as_ear):
            raise
        at_time = int((when or datetime.now(UTC)).timestamp())
        _print(refused_result(refused, reference, at=at_time) if as_ear else refused.as_json())
        context.exit(refused.exit_code)
    if as_ear or as_json:
        carried = parse_attest(read.bundle.quote).extra_data
        _print(accepted_result(found, reference, carried=carried) if as_ear else _object(found))
    else:
        click.echo("\n".join(_lines(found)))


def _print(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2))


def _lines(found: AppraisedFile) -> Iterator[str]:
    verdict, at = found.verdict, found.now.isoformat(timespec="seconds")
    yield f"accepted: {verdict.tee} {verdict.product}, roots of {found.roots}, at {at}"
    for check in found.checks:
        yield f"  {check.id}  {requirement(check.id)}"
        yield f"       {check.finding}"
    if verdict.findings:
        yield "advisories"
        yield from (f"  {finding_text(one)}" for one in verdict.findings)
    if verdict.above_floor:
        yield f"floors-trail: {', '.join(verdict.above_floor)}"
        yield f"  {NAMED['floors-trail']}"
    yield f"not checked: {' '.join(check.id for check in found.unchecked) or 'nothing'}"


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
            {"id": check.id, "requires": requirement(check.id), "found": check.finding} for check in found.checks
        ],
        "not_checked": [check.id for check in found.unchecked],
    }


for _command in (collect, import_, pcrs, reference_values_of, stamp):
    evidence.add_command(_command)
