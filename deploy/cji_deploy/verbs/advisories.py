"""`cji advisories`: the table of advisories, what CVE records add to it, and the decisions to accept what is open.

For the person who decides about risks, on a machine of their own: the signing key belongs neither to a worker nor to a
submitter. Nothing here uses a network.
"""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Final, cast, get_args

import click
import msgspec

from cji_attestation import AttestationError
from cji_attestation.appraisal import ReferenceValues, check_reference
from cji_attestation.appraisal.advisories import (
    SETTLED,
    SHIPPED,
    SHIPPED_FILE,
    Acceptance,
    AdvisoryFinding,
    AdvisoryTable,
    Review,
    Scope,
    read_review,
    sign_acceptance,
    sign_table,
)
from cji_attestation.appraisal.advisories.cve import CveRecord, differences, read_cve
from cji_attestation.verbs.advisory_rows import machine_findings, plain, shown_rows
from cji_attestation.verbs.evidence_file import read_file
from cji_attestation.verbs.reference_values import CONFIG, PROFILE, reference_values
from cji_core.command.common import FILE, Failure, explained, signing_key
from cji_core.command.json_output import answers, member, print_answer, print_document
from cji_core.documents import toml
from cji_core.format.keys import write_public
from cji_deploy.verbs.public_half import PublicHalf, print_public_half


class Differing(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to look at."""

    kind: Annotated[str, member("what differs; `no record` is the one kind that needs no look")]
    cve: Annotated[str, member("id of the CVE")]
    row: Annotated[str, member("id of the row; empty without one")]
    detail: Annotated[str, member("particulars")]


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """`cji advisories diff`: where the table in force and CVE records differ."""

    differences: Annotated[tuple[Differing, ...], member("objects of the kind Differing")]


class SignedTable(msgspec.Struct, frozen=True, kw_only=True):
    """`cji advisories update`: a signed table of advisories."""

    file: Annotated[str, member("file of the signed table")]
    rows: Annotated[int, member("number of rows")]
    reviewed: Annotated[date, member("day of its review")]
    expires: Annotated[date, member("last day on which it is in force")]
    added: Annotated[tuple[str, ...], member("ids of rows that the shipped table does not have")]
    changed: Annotated[tuple[str, ...], member("ids of rows that differ from the shipped ones")]


class SignedAcceptance(msgspec.Struct, frozen=True, kw_only=True):
    """`cji advisories accept`: a signed decision to accept risks."""

    file: Annotated[str, member("file of the signed decision")]
    id: Annotated[str, member("name of the decision")]
    advisories: Annotated[tuple[str, ...], member("ids of the advisories")]
    machines: Annotated[tuple[str, ...], member("steppings")]
    since: Annotated[date, member("first day")]
    until: Annotated[date, member("last day")]


class AdvisoryOnMachine(msgspec.Struct, frozen=True, kw_only=True):
    """An advisory on the machine of --evidence."""

    id: Annotated[str, member("its id")]
    state: Annotated[str, member("its state")]
    detail: Annotated[str, member("the reason")]
    accepted_by: Annotated[str, member("id of an acceptance; may be empty")]


class ShownTable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji advisories show`: the table in force."""

    reviewed: Annotated[str, member("day of its review")]
    expires: Annotated[str, member("last day on which it is in force")]
    signed: Annotated[bool, member("whether a table of your own is in force")]
    rows: Annotated[tuple[dict[str, Any], ...], member("its rows, with the columns that docs/advisories.md explains")]
    acceptances: Annotated[
        tuple[dict[str, Any], ...], member("the decisions in force, with the options of `cji advisories accept`")
    ]
    verified: Annotated[bool | None, member("with --evidence: always false")] = None
    findings: Annotated[
        tuple[AdvisoryOnMachine, ...] | None, member("with --evidence: objects of the kind AdvisoryOnMachine")
    ] = None


_NEW: Final = click.Path(dir_okay=False, path_type=Path)
_DAY: Final = click.DateTime(formats=["%Y-%m-%d"])
_MACHINES: Final = tuple(name for one in get_args(Scope) for name in get_args(one) or (one,))
_KEY: Final = click.option("--key", type=FILE, required=True, help="P-384 key of the signer, `cji key new-signing`.")
_OUT: Final = click.option("--out", type=_NEW, required=True, help="New file for the signed statement.")
_MOST_TABLE_BYTES: Final = 256 << 10


@click.group()
def advisories() -> None:
    """Show, compare and renew the table of advisories; accept what stays open."""


@advisories.command()
@click.option("--evidence", type=FILE, help="State what this evidence shows about each; nothing in it is verified.")
@click.option("--toml", "as_toml", is_flag=True, help="Print the shipped table, to edit it for `update`.")
@answers(ShownTable)
@PROFILE
@CONFIG
@explained
def show(evidence: Path | None, *, as_toml: bool, as_json: bool, profile: Path | None, config: Path | None) -> None:
    """Print the table in force, its dates, and the risk acceptances of a profile or configuration.

    \b
    Examples:
      cji advisories show --config worker.toml
      cji advisories show --evidence out/evidence.json
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    if as_toml:
        click.echo(SHIPPED_FILE.read_text(), nl=False)
        return
    review = _review(reference_values(profile, config))
    findings = None if evidence is None else machine_findings(read_file(evidence).bundle, review, datetime.now(UTC))
    if as_json:
        print_document(_object(review, findings), indent=2)
    else:
        click.echo("\n".join(shown_rows(review, findings)))


@advisories.command()
@click.argument("records", type=FILE, nargs=-1, required=True, metavar="CVE.json...")
@PROFILE
@CONFIG
@answers(Differences)
@explained
def diff(records: tuple[Path, ...], *, profile: Path | None, config: Path | None, as_json: bool) -> None:
    """Compare the table in force with CVE records (cvelistV5) that you fetched; exit status 3 if a row needs a look.

    Records state firmware versions, not levels: read AMD's bulletin before you change a row.

    \b
    Example:
      cji advisories diff cvelistV5/cves/2025/54xxx/CVE-2025-545*.json
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    found = differences(_review(reference_values(profile, config)).rows, [_record(path) for path in records])
    differ = any(one.kind != "no record" for one in found)
    lines = [f"{one.kind:18}  {plain(' '.join((one.cve, one.row, one.detail)))}" for one in found]
    answer = Differences(differences=tuple(Differing(**one._asdict()) for one in found))
    print_answer(answer, "\n".join(lines if differ else [*lines, "no row differs from a record"]), as_json=as_json)
    if differ:
        raise Failure("the table and the records differ", remedy="Read the bulletins, and sign a new table.", status=3)


@advisories.command()
@click.argument("table", type=FILE, metavar="TABLE.toml")
@_KEY
@_OUT
@answers(SignedTable)
@explained
def update(table: Path, *, key: Path, out: Path, as_json: bool) -> None:
    """Sign a reviewed table of advisories, and print the rows in which it differs from the shipped one.

    Set `reviewed` and `expires` in it, and `read` of each row that you read again. Rows that you leave out stay in
    force as shipped.

    \b
    Example:
      cji advisories show --toml > table.toml      # edit it
      cji advisories update table.toml --key signer.key --out advisories.jws
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    try:
        data = table.read_bytes()
        if len(data) > _MOST_TABLE_BYTES:
            raise ValueError("larger than 256 KiB")
        found = toml(data, AdvisoryTable)
        signed = sign_table(found, signing_key(key))
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        remedy = "Compare it with `cji advisories show --toml`; docs/advisories.md explains the columns."
        raise Failure(f"{table.name}: {error}", remedy=remedy, status=2) from error
    write_public(out, signed)
    shipped = {row.id: row for row in SHIPPED.rows}
    other = [row for row in found.rows if shipped.get(row.id) != row]
    answer = SignedTable(
        file=str(out),
        rows=len(found.rows),
        reviewed=found.reviewed,
        expires=found.expires,
        added=tuple(row.id for row in other if row.id not in shipped),
        changed=tuple(row.id for row in other if row.id in shipped),
    )
    lines = [f"{'changed' if row.id in shipped else 'added':8}  {row.id}  {plain(row.title)}" for row in other]
    lines.append(f"signed {out}: {len(found.rows)} rows, reviewed {found.reviewed}, until {found.expires}")
    print_answer(answer, "\n".join(lines), as_json=as_json)


@advisories.command()
@click.argument("ids", nargs=-1, required=True, metavar="ADVISORY...")
@click.option("--machine", "machines", type=click.Choice(_MACHINES), multiple=True, required=True, help="Stepping.")
@click.option("--since", type=_DAY, help="First day, UTC; else today.")
@click.option("--until", type=_DAY, required=True, help="Last day, UTC, at most a year later.")
@click.option("--reason", required=True, help="Why the risk is taken.")
@click.option("--by", "decided_by", required=True, help="Who decided.")
@click.option("--id", "name", required=True, help="Name of the decision, for verdicts and receipts.")
@click.option("--evidence", type=FILE, help="Refuse to sign unless all that is open on this machine is named.")
@click.option("--unknown", is_flag=True, help="Accept ids that the table lacks, such as those that Intel names.")
@PROFILE
@CONFIG
@_KEY
@_OUT
@answers(SignedAcceptance)
@explained
def accept(
    ids: tuple[str, ...],
    *,
    machines: tuple[str, ...],
    since: datetime | None,
    until: datetime,
    reason: str,
    decided_by: str,
    name: str,
    evidence: Path | None,
    unknown: bool,
    profile: Path | None,
    config: Path | None,
    key: Path,
    out: Path,
    as_json: bool,
) -> None:
    """Sign the decision to use machines on which each ADVISORY is open, until a day.

    Name every advisory: there is no word for all of them, and an id that the table in force lacks is refused. Give the
    file to operators and submitters, who name it under `acceptances` and pin the signer under `advisory_signers`.

    \b
    Example:
      cji advisories accept AMD-SB-3024 AMD-SB-3040 --machine Genoa --until 2027-02-26 --id genoa-2026-11 \\
        --reason "the data centre's access controls" --by "CISO" --key signer.key --out genoa.jws
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    decision = Acceptance(
        version=1,
        id=name,
        machines=cast("tuple[Scope, ...]", machines),
        advisories=ids,
        since=since.date() if since else _today(),
        until=until.date(),
        reason=reason,
        decided_by=decided_by,
    )
    review = _review(reference_values(profile, config))
    _require_sound(decision, review, evidence, unknown=unknown)
    try:
        signed = sign_acceptance(decision, signing_key(key))
    except ValueError as error:
        remedy = "Name each advisory and machine once, give a reason, and end it within a year of its first day."
        raise Failure(str(error), remedy=remedy, status=2) from error
    write_public(out, signed)
    answer = SignedAcceptance(
        file=str(out), id=name, advisories=ids, machines=machines, since=decision.since, until=decision.until
    )
    text = f"signed {out}: {len(ids)} advisories on {', '.join(machines)}, until {until.date()}"
    print_answer(answer, text, as_json=as_json)


@advisories.command()
@click.argument("key", type=FILE)
@answers(PublicHalf)
@explained
def signer(key: Path, *, as_json: bool) -> None:
    """Print the public half of KEY as a configuration pins it under `advisory_signers`."""
    print_public_half(signing_key(key).public_key(), as_json=as_json)


def _review(reference: ReferenceValues) -> Review:
    try:
        check_reference(reference)
    except AttestationError as error:
        raise Failure(error.check, remedy=error.remedy, status=2) from error
    found = read_review(reference.advisories, reference.acceptances, reference.advisory_signers)
    if found.defects:
        raise Failure("; ".join(found.defects), remedy="Sign the file with a pinned key, or remove it.", status=3)
    return found


def _record(path: Path) -> CveRecord:
    try:
        return read_cve(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Failure(f"{path.name}: {error}", remedy="Give records of cvelistV5, one to a file.", status=2) from error


def _require_sound(decision: Acceptance, review: Review, evidence: Path | None, *, unknown: bool) -> None:
    """All that the machine in the evidence shows is named, and nothing that neither it nor the table has."""
    found = () if evidence is None else machine_findings(read_file(evidence).bundle, review, datetime.now(UTC))
    known = {row.id for row in review.rows} | {one.id for one in found}
    strange = [one for one in decision.advisories if one not in known]
    if strange and not unknown:
        remedy = "Correct the ids (`cji advisories show`), or give --unknown for one that the table lacks."
        raise Failure(f"the table has no {', '.join(map(plain, strange))}", remedy=remedy, status=2)
    missing = [one.id for one in found if one.state not in SETTLED and one.id not in decision.advisories]
    if missing:
        remedy = f"Decide about each, and add it: {' '.join(missing)}"
        raise Failure("this machine has more open advisories than are named", remedy=remedy, status=2)


def _object(review: Review, findings: tuple[AdvisoryFinding, ...] | None) -> dict[str, object]:
    shown = None if findings is None else [one._asdict() for one in findings]
    return {
        "reviewed": str(review.reviewed),
        "expires": str(review.expires),
        "signed": review.own,
        "rows": [msgspec.to_builtins(row) for row in review.rows],
        "acceptances": [msgspec.to_builtins(one) for one in review.acceptances],
        **({} if shown is None else {"verified": False, "findings": shown}),
    }


def _today() -> date:
    return datetime.now(UTC).date()
