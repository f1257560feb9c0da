"""The difference between two policies: what the new one grants and the old one did not, and what it withdraws.

A policy is a set of facts, and a change is a fact that only one of the two has. So a limit, a date or an escrow that
changes is withdrawn with its old value and granted with its new one. Without a change, two policies decide alike about
every job.
"""

import enum
from collections.abc import Iterator
from typing import Literal, NamedTuple

from cji_core.format.job.policy.decision import Agency, Policy, Submitter
from cji_core.format.job.policy.grant import Rule
from cji_core.jose import key_id


class Subject(enum.StrEnum):
    """The subject of a fact."""

    SUBMITTER = "submitter"
    SAN = "san"
    SIGNING_KEY = "signing_key"
    OTHER_KEY = "other_key"
    SUITE = "suite"
    ENTRA = "entra"
    AGENCY = "agency"
    AGREEMENT = "agreement"
    JOBS_PER_DAY = "jobs_per_day"
    COLUMN_SIGNING_KEY = "column_signing_key"
    COLUMN_STATEMENT = "column_statement"
    OPERATION = "operation"
    DATA_CLASS = "data_class"
    RECIPIENT = "recipient"
    ESCROW = "escrow"
    SECONDARY_RECIPIENT = "secondary_recipient"
    CONFIRMATION_KEY = "confirmation_key"
    ROWS = "rows"
    BYTES = "bytes"


class Fact(NamedTuple):
    """One value in a policy, and where it applies; "" for an agency, a purpose or an operation that it is not about."""

    submitter: str
    ori: str
    purpose: str
    operation: str
    subject: Subject
    value: str


class Change(NamedTuple):
    """A fact that came or went."""

    direction: Literal["granted", "withdrawn"]
    fact: Fact


def changes(old: Policy, new: Policy) -> tuple[Change, ...]:
    """The changes in the order of submitter, agency, purpose and operation."""
    before, after = set(facts(old)), set(facts(new))
    found = [
        *(Change("granted", fact) for fact in after - before),
        *(Change("withdrawn", fact) for fact in before - after),
    ]
    return tuple(sorted(found, key=lambda change: (change.fact, change.direction)))


def facts(policy: Policy) -> Iterator[Fact]:
    """All that the policy decides by."""
    for submitter in policy:
        yield from _of_submitter(submitter)
        for ori, agency in submitter.agencies.items():
            yield from _of_agency(submitter.name, ori, agency)
            for purpose, rules in agency.purposes.items():
                for operation, rule in rules.items():
                    yield from _of_rule((submitter.name, ori, purpose, operation), rule)


def _of_submitter(submitter: Submitter) -> Iterator[Fact]:
    where = submitter.name, "", "", ""
    yield Fact(*where, Subject.SUBMITTER, submitter.name)
    yield Fact(*where, Subject.SAN, submitter.san)
    yield Fact(*where, Subject.SIGNING_KEY, key_id(submitter.signing_key))
    if submitter.other_key is not None:
        key, days = submitter.other_key
        yield Fact(*where, Subject.OTHER_KEY, f"{key_id(key)} from {days.starts} until {days.until}")
    yield from (Fact(*where, Subject.SUITE, suite.value) for suite in submitter.suites)
    if (entra := submitter.entra) is not None:
        roles = ", ".join(sorted(entra.roles))
        yield Fact(*where, Subject.ENTRA, f"application {entra.client} of tenant {entra.tenant} with a role of {roles}")


def _of_agency(submitter: str, ori: str, agency: Agency) -> Iterator[Fact]:
    where, agreement = (submitter, ori, "", ""), agency.agreement
    yield Fact(*where, Subject.AGENCY, ori)
    yield Fact(*where, Subject.AGREEMENT, f"{agreement.id} from {agreement.starts} until {agreement.until}")
    yield Fact(*where, Subject.JOBS_PER_DAY, str(agency.jobs_per_day))
    if (columns := agency.sealed_columns) is not None:
        yield Fact(*where, Subject.COLUMN_SIGNING_KEY, key_id(columns.signing_key))
        yield from (Fact(*where, Subject.COLUMN_STATEMENT, each.hex()) for each in columns.statements)


def _of_rule(where: tuple[str, str, str, str], rule: Rule) -> Iterator[Fact]:
    yield Fact(*where, Subject.OPERATION, where[-1])
    yield from (Fact(*where, Subject.DATA_CLASS, each.value) for each in rule.data_classes)
    yield from (Fact(*where, Subject.RECIPIENT, each) for each in rule.recipients)
    yield Fact(*where, Subject.ESCROW, escrow_in_words(rule.escrow))
    yield from (Fact(*where, Subject.SECONDARY_RECIPIENT, each) for each in rule.secondary_recipients)
    for key in rule.confirmations:
        value = f"{key.key_id} for {key.recipient} from {key.starts} until {key.until}"
        yield Fact(*where, Subject.CONFIRMATION_KEY, value)
    yield Fact(*where, Subject.ROWS, str(rule.rows))
    yield Fact(*where, Subject.BYTES, str(rule.bytes))


def escrow_in_words(escrow: frozenset[frozenset[str]]) -> str:
    """Which keys a job must be sealed to; "none" for none."""
    return " and ".join(sorted(" or ".join(sorted(keys)) for keys in escrow)) or "none"
