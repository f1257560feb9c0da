"""`cji policy check`: whether a worker can use a policy, who may do what under it, and which agreements end soon."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import click
import msgspec

from cji_core.command.common import FILE, Failure, configuration, explained
from cji_core.command.json_output import answers, member, print_document
from cji_core.format.configuration.operator_files import FileRefused, PolicyFiles, read_file, signatures_path
from cji_core.format.configuration.policy_files import checked
from cji_core.format.job import Policy
from cji_core.format.job.policy import Agency, Rule, SealedColumns, Submitter
from cji_core.jose import VerifyingKey, key_id
from cji_deploy.verbs.policy.worker_policies import in_words, listed, policy_at, today

_SOON: Final = timedelta(days=30)


class CheckedRule(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one operation for a purpose."""

    purpose: Annotated[str, member("purpose code")]
    operation: Annotated[str, member("name of the operation")]
    data_classes: Annotated[tuple[str, ...], member("classes of data that it may use")]
    recipients: Annotated[tuple[str, ...], member("thumbprints of keys that may open results")]
    escrow: Annotated[tuple[tuple[str, ...], ...], member("thumbprints: one key of each must be a recipient")]
    secondary_recipients: Annotated[tuple[str, ...], member("to whom results may go on")]
    confirmations: Annotated[tuple[str, ...], member("keys that may confirm counts: thumbprint, recipient, days")]
    rows: Annotated[int, member("most rows of a job")]
    bytes: Annotated[int, member("most bytes of a job")]


class CheckedAgency(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """An agency that a submitter may act for."""

    ori: Annotated[str, member("its ORI")]
    agreement: Annotated[str, member("id of the agreement")]
    from_: Annotated[str, member("its first day")]
    until: Annotated[str, member("its last day")]
    jobs_per_day: Annotated[int, member("most jobs in a day")]
    column_signing_key: Annotated[str | None, member("thumbprint of the key that signs statements on column keys")]
    column_statements: Annotated[tuple[str, ...], member("SHA-384 of the statements on column keys that are granted")]
    rules: Annotated[tuple[CheckedRule, ...], member("objects of the kind CheckedRule")]


class CheckedSubmitter(msgspec.Struct, frozen=True, kw_only=True):
    """A submitter."""

    name: Annotated[str, member("its name")]
    san: Annotated[str, member("name in its certificate")]
    suites: Annotated[tuple[str, ...], member("suites that it may use")]
    agencies: Annotated[tuple[CheckedAgency, ...], member("objects of the kind CheckedAgency")]


class CheckedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """`cji policy check`: a policy that a worker can use."""

    policy_sha384: Annotated[str, member("SHA-384 of the policy, hexadecimal, as receipts name it")]
    signers: Annotated[tuple[str, ...], member("thumbprints of the keys that signed it")]
    submitters: Annotated[tuple[CheckedSubmitter, ...], member("objects of the kind CheckedSubmitter")]
    warnings: Annotated[
        tuple[str, ...], member("agreements and confirmation keys that ended or end soon, and keys with two uses")
    ]


@click.command()
@click.argument("file", type=FILE)
@click.option("--config", type=FILE, help="The worker's configuration: check the signatures that it requires as well.")
@answers(CheckedPolicy)
@explained
def check(file: Path, *, config: Path | None, as_json: bool) -> None:
    """Check the policy of a worker in FILE, and print who may do what.

    Agreements that have ended, have not begun, or end within 30 days are warnings, as are confirmation keys that ended
    or end within 30 days, and keys that sign headers and statements on column keys; they change nothing about the exit
    status. It is 2 for a policy that no worker can use.

    \b
    Examples:
      cji policy check policy.toml
      cji policy check policy.toml --config /etc/cji/worker.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    data, policy = policy_at(file)
    if config is not None:
        policy = _signed(file, data, config)
    warnings = list(_warnings(policy, today()))
    if as_json:
        print_document({**_summary(policy), "warnings": warnings}, indent=2)
        return
    for line in _lines(policy):
        click.echo(line)
    for warning in warnings:
        click.echo(f"{click.style('warning', fg='yellow')}  {warning}")


def _signed(file: Path, data: bytes, config: Path) -> Policy:
    settings = configuration(config)
    try:
        signatures = read_file("policy_signatures", signatures_path(str(file))) if settings.policy_signatures else None
        return checked(PolicyFiles(policy=data, signatures=signatures), settings)
    except FileRefused as error:
        raise Failure(f"{error.file}: {error.what}", remedy=error.remedy, status=2) from error


def _lines(policy: Policy) -> Iterator[str]:
    submitters = list(policy)
    yield f"valid: {len(submitters)} submitter{'' if len(submitters) == 1 else 's'}, SHA-384 {policy.sha384.hex()}"
    if policy.signers:
        yield f"signed by {listed(policy.signers)}"
    for submitter in submitters:
        yield f"\n{submitter.name}  {submitter.san}  {listed(submitter.suites)}"
        for ori, agency in submitter.agencies.items():
            agreement = agency.agreement
            until = f"{agreement.id} from {agreement.starts} until {agreement.until}"
            yield f"  {ori}  {until}; {agency.jobs_per_day} jobs a day"
            if (columns := agency.sealed_columns) is not None:
                statements = listed(each.hex() for each in columns.statements)
                yield f"    sealed columns: signed by {key_id(columns.signing_key)}, statements {statements}"
            for purpose, rules in agency.purposes.items():
                for operation, rule in rules.items():
                    yield f"    {purpose:3} {operation:11} {in_words(rule)}"


def _warnings(policy: Policy, day: date) -> Iterator[str]:
    headers = {key_id(key) for each in policy for key in _header_keys(each)}
    for submitter in policy:
        for ori, agency in submitter.agencies.items():
            agreement = agency.agreement
            what = f"agreement {agreement.id} of {submitter.name} and {ori}"
            if agreement.until < day:
                yield f"{what} ended on {agreement.until}: nothing is granted"
            elif agreement.starts > day:
                yield f"{what} begins on {agreement.starts}: nothing is granted before"
            elif agreement.until <= day + _SOON:
                yield f"{what} ends on {agreement.until}, in {(agreement.until - day).days} days"
            yield from _of_confirmations(submitter.name, ori, agency, day)
            columns = agency.sealed_columns
            if columns is not None and key_id(columns.signing_key) in headers:
                yield f"statements on column keys of {submitter.name} and {ori} are signed by a key that signs headers"


def _header_keys(submitter: Submitter) -> Iterator[VerifyingKey]:
    yield submitter.signing_key
    if submitter.other_key is not None:
        yield submitter.other_key[0]


def _of_confirmations(submitter: str, ori: str, agency: Agency, day: date) -> Iterator[str]:
    keys = {key for rules in agency.purposes.values() for rule in rules.values() for key in rule.confirmations}
    for key in sorted(keys, key=lambda each: (each.until, each.key_id)):
        what = f"confirmation key {key.key_id} of {submitter} and {ori}"
        if key.until < day:
            yield f"{what} ended on {key.until}: later confirmations are refused"
        elif key.until <= day + _SOON:
            yield f"{what} ends on {key.until}, in {(key.until - day).days} days"


def _summary(policy: Policy) -> dict[str, Any]:
    return {
        "policy_sha384": policy.sha384.hex(),
        "signers": list(policy.signers),
        "submitters": [
            {
                "name": submitter.name,
                "san": submitter.san,
                "suites": sorted(submitter.suites),
                "agencies": [
                    {
                        "ori": ori,
                        "agreement": agency.agreement.id,
                        "from": agency.agreement.starts.isoformat(),
                        "until": agency.agreement.until.isoformat(),
                        "jobs_per_day": agency.jobs_per_day,
                        **_of_columns(agency.sealed_columns),
                        "rules": [
                            {"purpose": purpose, "operation": operation, **_of_rule(rule)}
                            for purpose, rules in agency.purposes.items()
                            for operation, rule in rules.items()
                        ],
                    }
                    for ori, agency in submitter.agencies.items()
                ],
            }
            for submitter in policy
        ],
    }


def _of_columns(columns: SealedColumns | None) -> dict[str, Any]:
    return {
        "column_signing_key": None if columns is None else key_id(columns.signing_key),
        "column_statements": [] if columns is None else sorted(each.hex() for each in columns.statements),
    }


def _of_rule(rule: Rule) -> dict[str, Any]:
    return {
        "data_classes": sorted(each.value for each in rule.data_classes),
        "recipients": sorted(rule.recipients),
        "escrow": sorted(sorted(keys) for keys in rule.escrow),
        "secondary_recipients": sorted(rule.secondary_recipients),
        "confirmations": sorted(
            f"{key.key_id} for {key.recipient} from {key.starts} until {key.until}" for key in rule.confirmations
        ),
        "rows": rule.rows,
        "bytes": rule.bytes,
    }
