"""`cji ledger`: an agency's own dissemination ledgers, searched by subject, and the retention of its results."""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, ParamSpec

import click
import msgspec

from cji_audit.dissemination import (
    Disclosures,
    DisseminationLedgerError,
    LedgerCountError,
    RulesError,
    Subject,
    delete,
    dissemination_ledgers,
    find_disclosures,
    load_rules,
    review,
)
from cji_audit.dissemination.disclosures import Row, disclosure_page
from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, member, print_answer, print_document
from cji_core.command.output import write_text
from cji_core.page.markup import visible

P = ParamSpec("P")

PLACES = click.Path(exists=True, path_type=Path)
_DAY: Final = click.DateTime(["%Y-%m-%d"])
_WIDE: Final = 200


class FoundDisclosure(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a ledger: to whom records about a subject went."""

    time: Annotated[str, member("time of the disclosure, as in the ledger")]
    subject: Annotated[str, member("subject id")]
    SID: Annotated[str | None, member("state identification number; null if the ledger has none")]
    FBI: Annotated[str | None, member("FBI number; null if the ledger has none")]
    file: Annotated[str | None, member("the record file; null if the ledger has none")]
    purpose: Annotated[str, member("purpose code")]
    requestor: Annotated[str, member("who asked")]
    requesting_ori: Annotated[str, member("ORI of the requesting agency")]
    secondary_recipient: Annotated[str | None, member("whom it was passed on to; null if nobody")]
    recipient_class: Annotated[str, member("class of the recipient")]
    rows: Annotated[int, member("number of records")]
    ledger: Annotated[str, member("file of the ledger")]


class FoundDisclosures(msgspec.Struct, frozen=True, kw_only=True):
    """`cji ledger find`: disclosures about a subject, in the order of time."""

    disclosures: Annotated[tuple[FoundDisclosure, ...], member("objects of the kind FoundDisclosure")]
    ledgers: Annotated[int, member("ledgers that were searched")]
    rows: Annotated[int, member("rows in them")]
    compared: Annotated[int, member("ledgers that have the rows which the receipt beside them states")]


class Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """`cji ledger inspect`: the report for a person who asks to whom records about them went."""

    page: Annotated[str, member("file of the page")]
    data: Annotated[str, member("file of the same as JSON")]
    disclosures: Annotated[int, member("disclosures in the report")]
    ledgers: Annotated[int, member("ledgers that were searched")]
    rows: Annotated[int, member("rows in them")]
    compared: Annotated[int, member("ledgers that have the rows which the receipt beside them states")]


class RetainedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a result, under the retention rules."""

    path: Annotated[str, member("the file")]
    state: Annotated[str, member("what the rules say of it, such as `due` or `held`")]
    why: Annotated[str, member("the reason, in words")]


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """`cji ledger retention`: the files of results."""

    files: Annotated[tuple[RetainedFile, ...], member("objects of the kind RetainedFile")]
    deleted: Annotated[int, member("files that were deleted")]


@click.group()
def ledger() -> None:
    """Search an agency's own dissemination ledgers, and keep its results no longer than they may be kept.

    A job with `disseminate` writes a dissemination ledger into its result: ledger.csv, .parquet or .arrow. These
    commands read such files on this machine, name folders of results or single ledgers. What they print is criminal
    justice information.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """Which person is searched for, where, and in which time."""

    places: Sequence[Path]
    subject: str | None
    sid: str | None
    fbi: str | None
    since: datetime | None
    until: datetime | None


def _identified(command: Callable[P, None]) -> Callable[..., None]:
    """Give a command the options of a search, and pass them to it as its first argument."""

    @click.argument("places", type=PLACES, nargs=-1, required=True)
    @click.option("--subject", help="Subject id, exactly as in the records.")
    @click.option("--sid", help="State identification number, exactly as in the records.")
    @click.option("--fbi", help="FBI number, exactly as in the records.")
    @click.option("--since", type=_DAY, help="Disclosures from this day on, UTC.")
    @click.option("--until", type=_DAY, help="Disclosures before this day, UTC.")
    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        options: dict[str, Any] = {each.name: kwargs.pop(each.name) for each in fields(_Search)}
        command(*(_Search(**options), *args), **kwargs)  # type: ignore[arg-type]  # click passes by name

    return run


@ledger.command()
@answers(FoundDisclosures)
@explained
@_identified
def find(
    search: _Search,
    *,
    as_json: bool,
) -> None:
    """List who received records about a subject, when, and for which purpose.

    A row counts if any of the given identifiers is equal. The exit status is 0 also if there is none. A ledger must
    have the rows that the receipt beside it states; the last line counts the ledgers with a receipt beside them.

    \b
    Example:
      cji ledger find results/ --sid GA00000001 --since 2026-01-01
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    _, found = _searched(search)
    if as_json:
        print_document(_as_json(found))
        return
    for each in found.found:
        to = f"{each.requestor} of {each.requesting_ori} ({each.recipient_class})"
        passed = f", passed on to {each.secondary_recipient}" if each.secondary_recipient else ""
        line = f"{each.time}  purpose {each.purpose}  {each.rows} records to {to}{passed}; {each.ledger}"
        click.echo(visible(line, _WIDE * 5))
    compared = f"{found.compared} of {found.ledgers} compared with a receipt"
    click.echo(f"{len(found.found)} disclosures in {found.ledgers} ledgers with {found.rows} rows, {compared}")


@ledger.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The page to write, .html.")
@answers(Inspected)
@explained
@_identified
def inspect(
    search: _Search,
    *,
    out: Path,
    as_json: bool,
) -> None:
    """Write the report for a person who asks to whom records about them went: a page, and the same as JSON.

    \b
    Example:
      cji ledger inspect results/ --sid GA00000001 --out disclosures.html
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    who, found = _searched(search)
    beside = out.with_suffix(".json")
    for path in (out, beside):
        if path.exists():
            raise Failure(f"{path} exists", remedy="Choose another --out.", status=2)
    rows = [Row(**{name: getattr(each, name) for name in Row.__dataclass_fields__}) for each in found.found]
    searched = {
        "ledgers": str(found.ledgers),
        "rows": str(found.rows),
        "ledgers compared with a receipt": str(found.compared),
        "disclosures": str(len(rows)),
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    try:
        write_text(out, disclosure_page(who.names, rows, searched))
        write_text(beside, iter([json.dumps(_as_json(found))]))
    except OSError as error:
        raise Failure(
            f"{out} cannot be written ({error.strerror})", remedy="Choose another --out.", status=2
        ) from error
    answer = Inspected(
        page=str(out),
        data=str(beside),
        disclosures=len(rows),
        ledgers=found.ledgers,
        rows=found.rows,
        compared=found.compared,
    )
    print_answer(answer, f"{len(rows)} disclosures: {out}, {beside}", as_json=as_json)


@ledger.command()
@click.argument("places", type=click.Path(exists=True, file_okay=False, path_type=Path), nargs=-1, required=True)
@click.option("--rules", type=FILE, required=True, help="retention.toml; docs/job.md explains it.")
@click.option("--delete", "deletes", is_flag=True, help="Delete what is due, recorded in deleted.jsonl beside it.")
@answers(Retention)
@explained
def retention(places: Sequence[Path], rules: Path, *, deletes: bool, as_json: bool) -> None:
    """List the files of results by what the retention rules say of them; with --delete, delete those that are due.

    Ledgers and what proves their jobs are kept at least 365 days. What a hold names, and what has no receipt that
    states its age, is never deleted.

    \b
    Example:
      cji ledger retention results/ --rules retention.toml
      cji ledger retention results/ --rules retention.toml --delete
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    now = datetime.now(UTC)
    try:
        found = list(review(places, load_rules(rules), now=now))
        deleted = delete(found, now=now) if deletes else 0
    except (RulesError, DisseminationLedgerError) as error:
        raise Failure(str(error), remedy="Compare the rules with docs/job.md.", status=2) from error
    except OSError as error:
        what = f"{error.filename} cannot be deleted or recorded ({error.strerror})"
        raise Failure(
            what, remedy="What was deleted before is in deleted.jsonl. Repeat the command.", status=2
        ) from error
    if as_json:
        files = [{"path": str(each.path), "state": each.state, "why": each.why} for each in found]
        print_document({"files": files, "deleted": deleted})
        return
    for each in found:
        click.echo(f"{each.state:12} {each.path}  {each.why}")
    due = sum(each.state == "due" for each in found)
    click.echo(f"{due} of {len(found)} files are due, {deleted} were deleted")


def _searched(search: _Search) -> tuple[Subject, Disclosures]:
    try:
        who = Subject(subject=search.subject, SID=search.sid, FBI=search.fbi)
    except ValueError as error:
        raise Failure("No subject", remedy="Name one with --subject, --sid or --fbi.", status=2) from error
    since = "" if search.since is None else f"{search.since:%Y-%m-%d}"
    until = "~" if search.until is None else f"{search.until:%Y-%m-%d}"
    try:
        ledgers = dissemination_ledgers(search.places)
        if not ledgers:
            raise DisseminationLedgerError("no dissemination ledger among these files and folders")
        return who, find_disclosures(ledgers, who, since=since, until=until)
    except LedgerCountError as error:
        raise Failure(str(error), remedy=error.remedy, status=3) from error
    except DisseminationLedgerError as error:
        remedy = "Name folders of results with disseminate. An answer from some ledgers would look like one from all."
        raise Failure(str(error), remedy=remedy, status=2) from error


def _as_json(found: Disclosures) -> dict[str, object]:
    return {
        "disclosures": [asdict(each) for each in found.found],
        "ledgers": found.ledgers,
        "rows": found.rows,
        "compared": found.compared,
    }
