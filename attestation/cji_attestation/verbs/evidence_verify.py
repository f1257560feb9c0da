"""`cji evidence verify`: run every check on evidence in a file. Uses no network."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import click
import msgspec

from cji_attestation.checks import NAMED, requirement
from cji_attestation.evidence import IMPORTED, parse_attest
from cji_attestation.trust import MachineKind
from cji_attestation.verbs.advisory_rows import finding_text
from cji_attestation.verbs.evidence_ear import accepted_result, refused_result
from cji_attestation.verbs.evidence_file import AppraisedFile, RefusedEvidence, appraise_file, read_file
from cji_attestation.verbs.evidence_options import AT, CLOUD, MACHINE, UNKNOWN_PARAVISOR, qualifying_of, time_of
from cji_attestation.verbs.reference_values import CONFIG, PROFILE, reference_values
from cji_attestation.verbs.trusts import trust_named
from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, member, print_document


class AppraisedCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A check that passed, or one that failed."""

    id: Annotated[str, member("id of the check")]
    requires: Annotated[str | None, member("what it requires; absent if it states nothing")] = None
    found: Annotated[str, member("what it found")]
    expected: Annotated[str | None, member("what was expected, of one that failed")] = None
    remedy: Annotated[str | None, member("what to do, of one that failed")] = None


class AdvisoryState(msgspec.Struct, frozen=True, kw_only=True):
    """An advisory on a machine."""

    id: Annotated[str, member("its id")]
    state: Annotated[str, member("its state")]
    detail: Annotated[str, member("the reason")]
    accepted_by: Annotated[str, member("id of an acceptance; may be empty")]


class Appraised(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji evidence verify`: evidence that was accepted or refused; other JSON with --ear."""

    accepted: Annotated[bool, member("whether it was accepted")]
    tee: Annotated[str | None, member("`snp` or `tdx`")] = None
    product: Annotated[str | None, member("generation of the processor")] = None
    roots: Annotated[str | None, member("whose roots it was checked against")] = None
    at: Annotated[str | None, member("time of the appraisal, ISO 8601")] = None
    accepted_advisories: Annotated[tuple[str, ...] | None, member("ids of risks that were accepted")] = None
    advisories: Annotated[tuple[AdvisoryState, ...] | None, member("objects of the kind AdvisoryState")] = None
    above_floor: Annotated[tuple[str, ...] | None, member("parts whose level is above what is required")] = None
    vtpm_firmware: Annotated[str | None, member("firmwareVersion in the vTPM's quote, hexadecimal")] = None
    evidence_sha384: Annotated[str | None, member("SHA-384 of the evidence, hexadecimal")] = None
    checks: Annotated[tuple[AppraisedCheck, ...] | None, member("checks that passed")] = None
    not_checked: Annotated[tuple[str, ...] | None, member("ids of checks that were not made")] = None
    check: Annotated[str | None, member("of evidence that was refused: the check that refused it")] = None
    requires: Annotated[str | None, member("of the same: what that check requires")] = None
    remedy: Annotated[str | None, member("of the same: what to do")] = None
    failures: Annotated[tuple[AppraisedCheck, ...] | None, member("of the same: checks that failed")] = None
    passed: Annotated[tuple[AppraisedCheck, ...] | None, member("of the same: checks that passed before")] = None


@click.command()
@click.argument("file", type=FILE)
@AT
@click.option("--timestamp", type=FILE, help="RFC 3161 response over a bare bundle, as `cji evidence stamp` asks for.")
@PROFILE
@CONFIG
@click.option("--qualifying", metavar="HEX", help="64 digits that the quote of a bare bundle must carry.")
@UNKNOWN_PARAVISOR
@MACHINE
@CLOUD
@answers(Appraised)
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
    unknown_paravisor: bool,
    machine: MachineKind,
    cloud: str,
    as_json: bool,
    as_ear: bool,
) -> None:
    """Appraise FILE against the vendors' roots and print what each check found; exit status 3 if it is refused.

    The time is the latest that FILE proves, by its token or a timestamp; for a bare bundle without one it is now. A
    refusal lists every check that failed, with what was found and expected. docs/attestation.md explains the checks.

    \b
    Examples:
      cji evidence verify out/evidence.json --profile client.toml --at 2026-03-17T00:00:00Z
      cji evidence verify out/evidence.json --config worker.toml
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    read, when = read_file(file), time_of(at)
    if read.wrapper is not None and (qualifying is not None or timestamp is not None or machine != "worker"):
        raise _not_bare()
    trust, reference = trust_named(context, read.cloud(cloud)).wanting(machine), reference_values(profile, config)
    try:
        found = appraise_file(
            read,
            trust=trust,
            reference=reference,
            expected=lambda: qualifying_of(qualifying, imported=read.bundle.version == IMPORTED),
            at=when,
            timestamp=b"" if timestamp is None else timestamp.read_bytes(),
            unknown_paravisor=unknown_paravisor,
        )
    except RefusedEvidence as refused:
        if not (as_json or as_ear):
            raise
        at_time = int((when or datetime.now(UTC)).timestamp())
        _print(refused_result(refused, reference, at=at_time) if as_ear else refused.as_json(), as_ear=as_ear)
        context.exit(refused.exit_code)
    if as_ear or as_json:
        carried = parse_attest(read.bundle.quote).extra_data
        _print(accepted_result(found, reference, carried=carried) if as_ear else _object(found), as_ear=as_ear)
    else:
        click.echo("\n".join(_lines(found)))


def _not_bare() -> Failure:
    remedy = "This file is of a worker, states its own nonce, and carries its timestamp itself."
    return Failure("--qualifying, --timestamp and --machine are for a bare bundle", remedy=remedy, status=2)


def _print(value: dict[str, Any], *, as_ear: bool) -> None:
    if as_ear:
        click.echo(json.dumps(value, indent=2))
    else:
        print_document(value, indent=2)


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
        "vtpm_firmware": f"{verdict.vtpm_firmware:#018x}",
        "evidence_sha384": verdict.evidence_sha384.hex(),
        "checks": [
            {"id": check.id, "requires": requirement(check.id), "found": check.finding} for check in found.checks
        ],
        "not_checked": [check.id for check in found.unchecked],
    }
