"""Runbooks: every command exists with its options, every page is what its runbook writes, every link is executable.

Commands of the Azure CLI are compared with a table from its own help; those of `cji` with the program itself.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from cji_attestation import AZURE_US
from cji_core.command import build
from cji_deploy.check.outcome import Outcome, judged
from cji_deploy.runbooks.az_table import TABLE, az_commands, command_problems, name_of
from cji_deploy.runbooks.books import BOOKS
from cji_deploy.runbooks.pages import pages
from cji_deploy.runbooks.steps import PROGRAMS, Command, Runbook

__all__ = ["cji_problems", "runbook_outcomes"]

_GIVEN: Final = frozenset({"item", "scratch"})


def runbook_outcomes(folder: Path) -> Iterator[Outcome]:
    """The outcomes of all checks of the runbooks in this folder."""
    table = json.loads(TABLE.read_text())
    problems = [each for where, command in az_commands() for each in command_problems(where, command, table)]
    used = {name_of(command) for _, command in az_commands()}
    problems += [f"{name} is in the table, and no runbook uses it" for name in sorted(table["commands"].keys() - used)]
    yield judged("runbooks: az commands", TABLE.name, problems)
    cji = build(AZURE_US)
    named = [(f"{book.name}, step {step}", each) for book in BOOKS.values() for step, each in book.commands]
    yield judged(
        "runbooks: cji commands",
        "books",
        [each for where, command in named for each in cji_problems(where, command, cji)],
    )
    yield judged("runbooks: values", "books", [each for book in BOOKS.values() for each in _values(book)])
    yield judged("runbooks: pages", "pages", _pages(folder))


def cji_problems(where: str, command: Command, cji: click.Command) -> Iterator[str]:
    """How a command of `cji` differs from what the program offers; none for other programs."""
    if command[0] not in PROGRAMS:
        yield f"{where}: {command[0]} is not one of {', '.join(PROGRAMS)}"
    if command[0] != "cji":
        return
    here, words, context = cji, list(command[1:]), click.Context(cji)
    while words and isinstance(here, click.Group) and (found := here.get_command(context, words[0])) is not None:
        here, context = found, click.Context(found, parent=context)
        words = words[1:]
    options = {name: each for each in here.params for name in (*each.opts, *each.secondary_opts)}
    given = {options[word].name for word in words if word in options}
    for word in words:
        if word.startswith("-") and word not in options:
            yield f"{where}: `{context.command_path}` has no option {word}"
    for each in here.params:
        if isinstance(each, click.Option) and each.required and each.name not in given:
            yield f"{where}: `{context.command_path}` needs {each.opts[0]}"


def _values(book: Runbook) -> Iterator[str]:
    """Values that a command uses and nothing sets, and those that nothing uses."""
    set_here = {step.sets for step in book.steps if step.sets}
    used = {name for step in book.steps for name in step.values}
    for step in book.steps:
        if step.option and step.option not in book.options:
            yield f"{book.name}, step {step.id}: --with {step.option} is not explained"
    for name in sorted(used - _GIVEN - set_here - book.needs.keys()):
        yield f"{book.name}: {{{name}}} is neither a value of the site nor read by a step"
    for name in sorted(book.needs.keys() - used):
        yield f"{book.name}: the value {name} is not used"


def _pages(folder: Path) -> Iterator[str]:
    for name, text in pages().items():
        path = folder / name
        if not path.is_file() or path.read_text() != text:
            yield f"{name} is not what its runbook writes: run `python -m cji_deploy.runbooks pages`"
    for name in BOOKS:
        if not os.access(folder / name, os.X_OK):
            yield f"{name} is not an executable link to runbook"
