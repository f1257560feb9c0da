"""`cji policy test`: compare a policy with a file of expected grants and denials."""

from pathlib import Path
from typing import Annotated

import click
import msgspec

from cji_core.command.common import FILE, explained
from cji_core.command.json_output import answers, member, print_document
from cji_deploy.verbs.policy.cases import GRANTED, decide, read_cases
from cji_deploy.verbs.policy.worker_policies import policy_at, today


class DifferingCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case that a policy decides otherwise."""

    line: Annotated[int, member("its line in the file of cases")]
    expected: Annotated[str, member("`granted`, or the rule that should deny")]
    decided: Annotated[str, member("`granted`, or the rule that denies")]


@click.command()
@click.argument("file", type=FILE)
@click.argument("cases", type=FILE)
@answers(DifferingCase, listed=True)
@click.pass_context
@explained
def test(context: click.Context, file: Path, cases: Path, *, as_json: bool) -> None:
    """Decide every case in CASES under the policy of a worker in FILE, and print those that differ, by their line.

    A case expects "granted" or the rule that denies. The exit status is 1 if a case differs. Keep the cases beside the
    policy, and run them before every reload.

    \b
    Example:
      cji policy test policy.toml policy-cases.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    policy, found, day = policy_at(file)[1], read_cases(cases), today()
    decided = [(case, decide(policy, case, day=day) or GRANTED) for case in found]
    differing = [(case, decision) for case, decision in decided if decision != case.expect]
    if as_json:
        rows = [
            {"line": case.line, "expected": str(case.expect), "decided": str(decision)} for case, decision in differing
        ]
        print_document(rows, indent=2)
    else:
        for case, decision in differing:
            click.echo(f"{cases}:{case.line}: expected {_words(case.expect)}, but it is {_words(decision)}")
        click.echo(f"{len(found) - len(differing)} of {len(found)} cases are as expected")
    context.exit(1 if differing else 0)


def _words(decision: str) -> str:
    return GRANTED if decision == GRANTED else f"denied by {decision}"
