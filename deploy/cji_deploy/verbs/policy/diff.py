"""`cji policy diff`: what a new policy grants and withdraws."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Annotated, Final

import click
import msgspec

from cji_core.command.common import FILE, explained
from cji_core.command.json_output import answers, member, print_document
from cji_core.format.job.policy import Change, Subject
from cji_core.format.job.policy.changes import changes
from cji_deploy.verbs.policy.worker_policies import policy_at

_COLOURS: Final = {"granted": "green", "withdrawn": "red"}
_WORDS: Final = {
    Subject.SUBMITTER: "as a submitter",
    Subject.SAN: "certificate {}",
    Subject.SIGNING_KEY: "signing key {}",
    Subject.OTHER_KEY: "second signing key {}",
    Subject.SUITE: "suite {}",
    Subject.ENTRA: "tokens of {}",
    Subject.AGENCY: "acting for {}",
    Subject.AGREEMENT: "agreement {}",
    Subject.JOBS_PER_DAY: "{} jobs a day",
    Subject.COLUMN_SIGNING_KEY: "column keys signed by {}",
    Subject.COLUMN_STATEMENT: "column keys of statement {}",
    Subject.OPERATION: "the operation",
    Subject.DATA_CLASS: "data: {}",
    Subject.RECIPIENT: "to {}",
    Subject.ESCROW: "escrow: {}",
    Subject.SECONDARY_RECIPIENT: "on to {}",
    Subject.CONFIRMATION_KEY: "confirmation key {}",
    Subject.ROWS: "up to {} rows",
    Subject.BYTES: "up to {} bytes",
}


class PolicyChange(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that a new policy grants or withdraws."""

    direction: Annotated[str, member("`granted` or `withdrawn`")]
    submitter: Annotated[str, member("name of the submitter")]
    ori: Annotated[str, member("ORI of the agency; empty if it is about none")]
    purpose: Annotated[str, member("purpose code; empty if it is about none")]
    operation: Annotated[str, member("operation; empty if it is about none")]
    subject: Annotated[str, member("kind of the fact")]
    value: Annotated[str, member("its value")]


@click.command()
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@answers(PolicyChange, listed=True)
@explained
def diff(old: Path, new: Path, *, as_json: bool) -> None:
    """Print what the policy in NEW grants and the one in OLD did not, and what it withdraws.

    A limit, date, key or escrow that changes is withdrawn with its old value and granted with its new one. Without a
    change, both policies decide alike about every job, however their files differ.

    \b
    Example:
      cji policy diff /etc/cji/policy.toml policy.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    found = changes(policy_at(old)[1], policy_at(new)[1])
    if as_json:
        print_document([{"direction": each.direction, **each.fact._asdict()} for each in found], indent=2)
        return
    if not found:
        click.echo("no change: both decide alike about every job")
    for (*where, direction), group in groupby(sorted(found, key=_place), key=_place):
        words = ", ".join(_in_words(group))
        click.echo(f"{click.style(f'{direction:9}', fg=_COLOURS[direction])}  {_where(*where)}: {words}")


def _place(change: Change) -> tuple[str, str, str, str, str]:
    fact = change.fact
    return fact.submitter, fact.ori, fact.purpose, fact.operation, change.direction


def _where(submitter: str, ori: str, purpose: str, operation: str) -> str:
    for_agency = f" for {ori}" if ori else ""
    return f"{submitter}{for_agency}, purpose {purpose}, {operation}" if operation else f"{submitter}{for_agency}"


def _in_words(group: Iterable[Change]) -> list[str]:
    order = list(Subject)
    facts = sorted((change.fact for change in group), key=lambda fact: (order.index(fact.subject), fact.value))
    return [_WORDS[fact.subject].format(fact.value) for fact in facts]
