"""Shared by the verbs on the policy of a worker: reading one, and its rules in words."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

import click

from cji_core.command.common import Failure
from cji_core.format.configuration.operator_files import FileRefused, read_file
from cji_core.format.job import Policy, PolicyInvalid
from cji_core.format.job.policy import Rule
from cji_core.format.job.policy.changes import escrow_in_words

DAY = click.DateTime(formats=["%Y-%m-%d"])


def policy_at(path: Path) -> tuple[bytes, Policy]:
    """The bytes of a policy file, and the policy; a Failure with status 2 for a file that is none."""
    try:
        data = read_file("policy_file", str(path))
        return data, Policy.load(data)
    except FileRefused as error:
        raise Failure(f"{path}: {error.what}", remedy=error.remedy, status=2) from error
    except PolicyInvalid as error:
        raise Failure(f"{path}: {error.where}", remedy="Compare the file with docs/policy.md.", status=2) from error


def today() -> date:
    """The day in UTC, by which agreements and jobs per day count."""
    return datetime.now(UTC).date()


def listed(values: Iterable[str]) -> str:
    """The values, sorted; "none" for none."""
    return ", ".join(sorted(values)) or "none"


def in_words(rule: Rule) -> str:
    """One rule on one line."""
    onward = f"; on to {listed(rule.secondary_recipients)}" if rule.secondary_recipients else ""
    classes = listed(each.value for each in rule.data_classes)
    confirmed = listed(f"{key.key_id} until {key.until}" for key in rule.confirmations)
    onward += f"; confirmed by {confirmed}" if rule.confirmations else ""
    to = listed(rule.recipients) + (f", always to {escrow_in_words(rule.escrow)}" if rule.escrow else "")
    return f"{classes}; to {to}{onward}; up to {rule.rows} rows, {rule.bytes} bytes"
