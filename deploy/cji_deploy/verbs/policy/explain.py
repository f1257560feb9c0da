"""`cji policy explain`: in one line, why a job is or was denied or granted. For the operator, never for a caller."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Annotated, Final, Literal

import click
import msgspec

from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, member, print_answer
from cji_core.errors import Denied, DeniedBy, Refusal
from cji_core.format.job import LIMITS, Header, Policy, access_request, parse
from cji_core.format.job.policy import Agency, ColumnKeysError, Rule
from cji_core.format.job.policy.changes import escrow_in_words
from cji_core.format.records import data_classes
from cji_core.operations.declaration import Reference
from cji_core.operations.registry import plan
from cji_core.trail import ChainError, Event, FilesReloaded, JobAdmitted, JobEnded, JobRefused, WorkerStarted
from cji_core.trail.trail import pruned_of, verified
from cji_deploy.verbs.policy.cases import submitter_named
from cji_deploy.verbs.policy.worker_policies import DAY, in_words, listed, policy_at, today

_ANOTHER: Final = ", under another policy than this"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """The known facts of a job, others None or empty: the trail has less of a refused job than its header."""

    submitter: str
    requesting_ori: str
    purpose: str
    day: date
    originating_ori: str | None = None
    operations: tuple[str, ...] = ()
    classes: frozenset[str] = frozenset()
    recipients: tuple[str, ...] = ()
    secondary_recipient: str = ""
    rows: int | None = None
    column_rule: str = "a rule on column keys is broken"


class Explained(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji policy explain`: the decision on a job, in words."""

    decision: Annotated[Literal["granted", "denied", "ended"], member("`ended` is an end for another reason")]
    explanation: Annotated[str, member("the line that is printed without --json")]
    denied_by: Annotated[DeniedBy | None, member("the rule that denied it; absent for others")] = None
    time: Annotated[str | None, member("with --trail: time of the decision or end, UTC")] = None


@click.command()
@click.argument("file", type=FILE)
@click.option("--header", type=FILE, help="header.bin of a job, as `cji job run` writes it.")
@click.option("--submitter", metavar="NAME", help="With --header: the submitter's name in the policy.")
@click.option("--secondary-recipient", metavar="TEXT", default="", help="With --header, which holds it sealed.")
@click.option("--on", type=DAY, help="With --header: the day of the decision, in UTC.  [default: today]")
@click.option("--trail", type=FILE, help="The worker's audit trail; it is verified as far as it is read.")
@click.option("--job", metavar="ID", help="With --trail: the id of the job, 32 hexadecimal digits.")
@answers(Explained)
@explained
def explain(
    file: Path,
    *,
    header: Path | None,
    submitter: str | None,
    secondary_recipient: str,
    on: datetime | None,
    trail: Path | None,
    job: str | None,
    as_json: bool,
) -> None:
    """Explain in one line which rule of the policy of a worker in FILE denies a job, or what it is granted.

    With --header, the decision is made again. With --trail, it is read from the line about the job's last attempt, and
    FILE, the policy of that time, only puts it into words. The callers of a worker never learn which rule denied them.

    \b
    Examples:
      cji policy explain policy.toml --header result/header.bin --submitter metro-pd
      cji policy explain policy.toml --trail /var/lib/cji/audit.jsonl --job 0f3c9a4e5b6d7c8091a2b3c4d5e6f708
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    policy = policy_at(file)[1]
    if header is not None and submitter is not None and trail is None and job is None:
        day = today() if on is None else on.date()
        found = _of_header(policy, _header(header, policy), submitter, secondary_recipient, day)
    elif trail is not None and job is not None and header is None and submitter is None:
        found = _of_trail(policy, trail, job)
    else:
        raise Failure("name one job", remedy="Give --header and --submitter, or --trail and --job.", status=2)
    print_answer(found, found.explanation, as_json=as_json)


def _header(path: Path, policy: Policy) -> Header:
    try:
        with path.open("rb") as file:
            return parse(file.read(LIMITS.header_bytes + 1), ori_prefixes=policy.ori_prefixes)
    except Refusal as error:
        raise Failure(f"{path} is not the header of a job", remedy=str(error), status=2) from error


def _reference(header: Header) -> Reference | None:
    """The resident reference that the job uses or leaves behind."""
    with suppress(Refusal):  # a job that has no plan is refused later, whatever the policy grants
        return plan(header.operations, header.input_schemas).reference
    return None


def _schemas(header: Header) -> list[str]:
    """Schemas of the input parts, and of the resident reference that the job uses, if it does."""
    schemas = [part.schema for part in header.inputs]
    if (reference := _reference(header)) is not None:
        schemas.append(reference.schema)
    return schemas


def _end_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)


def _of_header(policy: Policy, header: Header, submitter: str, secondary: str, day: date) -> Explained:
    classes = data_classes(_schemas(header))
    asked = access_request(header, classes)
    facts = _Job(
        submitter=submitter,
        requesting_ori=asked.requesting_ori,
        purpose=asked.purpose_code,
        day=day,
        originating_ori=asked.originating_ori,
        operations=asked.operations,
        classes=frozenset(each.value for each in classes),
        recipients=asked.recipients,
        secondary_recipient=secondary,
        rows=asked.rows,
    )
    try:
        found = submitter_named(policy, submitter)
        grant = policy.authorise(asked, found, day=day)
        policy.authorise_columns(header, found, reference=_reference(header), now=_end_of(day))
        grant.require_secondary_recipient(secondary)
    except Denied as denied:
        if isinstance(denied.__cause__, ColumnKeysError):
            facts = replace(facts, column_rule=str(denied.__cause__))
        return _denied(policy, denied.by, facts)
    text = f"granted: {_who(facts)}, purpose {facts.purpose}: {listed(asked.operations)} on {in_words(grant.rule)}"
    return Explained(decision="granted", explanation=text)


def _denied(policy: Policy, by: DeniedBy, facts: _Job) -> Explained:
    return Explained(decision="denied", explanation=f"denied by {by}: {_WORDS[by](policy, facts)}", denied_by=by)


def _of_trail(policy: Policy, trail: Path, job: str) -> Explained:
    admitted, last, time, in_force, of_last = None, None, "", "", ""
    try:
        for _, record in verified(trail):
            event = record.event
            if isinstance(event, WorkerStarted | FilesReloaded):
                in_force = event.policy_sha384 if isinstance(event, WorkerStarted) else event.after.policy_file
            if getattr(event, "job_id", None) != job:
                continue
            if isinstance(event, JobAdmitted):
                admitted = event
            if isinstance(event, JobAdmitted | JobRefused | JobEnded):
                last, time, of_last = event, record.time, in_force
    except ChainError as error:
        raise Failure(str(error), remedy="Run `cji audit verify`.", status=3) from error
    if last is None:
        pruned = pruned_of(trail)
        gone = "" if pruned is None else f"; lines 1 to {pruned.last} were pruned"
        remedy = "Compare the id with the receipt or the header."
        raise Failure(f"{trail} has no job {job}{gone}", remedy=remedy, status=2)
    found = _of_event(policy, last, admitted, date.fromisoformat(time[:10]))
    another = found.decision == "denied" and of_last not in ("", policy.sha384.hex())
    explanation = f"{time} {found.explanation}{_ANOTHER if another else ''}"
    return msgspec.structs.replace(found, explanation=explanation, time=time)


def _of_event(policy: Policy, event: Event, admitted: JobAdmitted | None, day: date) -> Explained:
    if isinstance(event, JobRefused | JobEnded):
        if event.denied_by is None:
            text = f"not denied by the policy: it ended with {event.reason} at {event.stage}"
            return Explained(decision="ended", explanation=text)
        facts = _Job(
            submitter=event.submitter or "this certificate",
            requesting_ori=event.requesting_ori or "",
            purpose=event.purpose_code or "",
            day=day,
            operations=admitted.operations if admitted else (),
            secondary_recipient=admitted.attribution.secondary_recipient if admitted and admitted.attribution else "",
        )
        return _denied(policy, event.denied_by, facts)
    assert isinstance(event, JobAdmitted)  # noqa: S101 - the third of the kinds that are looked for
    other = "" if event.policy_sha384 == policy.sha384.hex() else _ANOTHER
    text = f"granted: {event.submitter} for {event.requesting_ori}, purpose {event.purpose_code}: "
    text += f"{listed(event.operations)}; to {listed(event.recipients)}{other}"
    return Explained(decision="granted", explanation=text)


def _who(job: _Job) -> str:
    return f"{job.submitter} for {job.requesting_ori}"


def _agencies(policy: Policy, job: _Job) -> Mapping[str, Agency]:
    try:
        return submitter_named(policy, job.submitter).agencies
    except Denied:
        return {}


def _rules(policy: Policy, job: _Job) -> Mapping[str, Rule]:
    agency = _agencies(policy, job).get(job.requesting_ori)
    return {} if agency is None else agency.purposes.get(job.purpose, {})


def _rule(policy: Policy, job: _Job) -> Rule | None:
    """The rule of all operations of the job together, if they are known and listed."""
    rules = _rules(policy, job)
    if not job.operations or not rules.keys() >= set(job.operations):
        return None
    return reduce(and_, (rules[name] for name in job.operations))


def _submitter(policy: Policy, job: _Job) -> str:
    return f"{job.submitter} is not one of {listed(each.name for each in policy)}"


def _requesting(policy: Policy, job: _Job) -> str:
    return f"{job.submitter} may not act for {job.requesting_ori}, only for {listed(_agencies(policy, job))}"


def _originating(policy: Policy, job: _Job) -> str:
    ori = job.originating_ori or "the originating agency"
    return f"{job.submitter} may not act for {ori}, only for {listed(_agencies(policy, job))}"


def _agreement(policy: Policy, job: _Job) -> str:
    oris = {job.requesting_ori, job.originating_ori or job.requesting_ori}
    dates = [
        f"{agency.agreement.id} of {ori} from {agency.agreement.starts} until {agency.agreement.until}"
        for ori, agency in _agencies(policy, job).items()
        if ori in oris
    ]
    return f"on {job.day}, not every agreement is in force: {'; '.join(dates) or 'the policy has none'}"


def _purpose(policy: Policy, job: _Job) -> str:
    agency = _agencies(policy, job).get(job.requesting_ori)
    return f"{_who(job)} has no purpose {job.purpose}, only {listed(agency.purposes if agency else ())}"


def _operation(policy: Policy, job: _Job) -> str:
    rules = _rules(policy, job)
    missing = listed(set(job.operations) - rules.keys()) if job.operations else "an operation of the job"
    return f"purpose {job.purpose} of {_who(job)} does not justify {missing}, only {listed(rules)}"


def _data_class(policy: Policy, job: _Job) -> str:
    rule = _rule(policy, job)
    has = listed(each.value for each in rule.data_classes) if rule else "other classes"
    missing = job.classes - {each.value for each in rule.data_classes} if rule else job.classes
    return f"{_for_purpose(job)} may not use {listed(missing) if missing else 'all of its data'}, only {has}"


def _recipient(policy: Policy, job: _Job) -> str:
    rule = _rule(policy, job)
    missing = set(job.recipients) - rule.recipients if rule else set(job.recipients)
    to = listed(missing) if missing else "one of its recipients"
    return f"{_for_purpose(job)} may not send results to {to}, only to {listed(rule.recipients) if rule else 'others'}"


def _escrow(policy: Policy, job: _Job) -> str:
    rule = _rule(policy, job)
    missing = frozenset(keys for keys in rule.escrow if keys.isdisjoint(job.recipients)) if rule else frozenset()
    to = escrow_in_words(missing) if missing else "its escrow"
    return f"{_for_purpose(job)} must send results to {to} as well: `escrow` in [job] of the profile"


def _secondary(policy: Policy, job: _Job) -> str:
    rule = _rule(policy, job)
    to = listed(rule.secondary_recipients) if rule else "others"
    return f"results of {_for_purpose(job)} may not go on to {job.secondary_recipient or 'its recipient'}, only to {to}"


def _rows(policy: Policy, job: _Job) -> str:
    rule = _rule(policy, job)
    declared = "more rows" if job.rows is None else f"{job.rows} rows"
    return f"{_for_purpose(job)} has {declared}, and the limit is {rule.rows if rule else 'lower'}"


def _bytes(policy: Policy, job: _Job) -> str:
    rule = _rule(policy, job)
    return f"{_for_purpose(job)} has more bytes, and the limit is {rule.bytes if rule else 'lower'}"


def _jobs_per_day(policy: Policy, job: _Job) -> str:
    agency = _agencies(policy, job).get(job.requesting_ori)
    return f"all {agency.jobs_per_day if agency else ''} jobs of {_who(job)} on {job.day} were used".replace("  ", " ")


def _column_keys(policy: Policy, job: _Job) -> str:
    agency = _agencies(policy, job).get(job.originating_ori or job.requesting_ori)
    granted = agency.sealed_columns.statements if agency and agency.sealed_columns else ()
    listing = listed(each.hex() for each in granted)
    return f"{job.column_rule}; statements of {job.originating_ori or job.requesting_ori}: {listing}"


def _for_purpose(job: _Job) -> str:
    return f"{_who(job)}, purpose {job.purpose}"


_WORDS: Final[Mapping[DeniedBy, Callable[[Policy, _Job], str]]] = {
    DeniedBy.SUBMITTER: _submitter,
    DeniedBy.REQUESTING_AGENCY: _requesting,
    DeniedBy.ORIGINATING_AGENCY: _originating,
    DeniedBy.AGREEMENT: _agreement,
    DeniedBy.PURPOSE: _purpose,
    DeniedBy.OPERATION: _operation,
    DeniedBy.DATA_CLASS: _data_class,
    DeniedBy.RECIPIENT: _recipient,
    DeniedBy.ESCROW: _escrow,
    DeniedBy.SECONDARY_RECIPIENT: _secondary,
    DeniedBy.ROWS: _rows,
    DeniedBy.BYTES: _bytes,
    DeniedBy.JOBS_PER_DAY: _jobs_per_day,
    DeniedBy.COLUMN_KEYS: _column_keys,
}
