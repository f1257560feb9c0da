"""Runbooks: steps with a reason, a command, checks around it and a remedy. Runbooks are data.

A command is a list of words, never a shell line. `{name}` in a word is a value of the site or of an earlier step,
`{item}` the item of a step that runs once for each. The first word, `az`, `cji` or `python`, is replaced by the
site's own tool.
"""

import re
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Check", "Command", "Runbook", "Step"]

Command = tuple[str, ...]
PROGRAMS: Final = ("az", "cji", "python")
NAME: Final = re.compile(r"\{([a-z_]+)\}")
"""A value in a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A command that changes nothing, and the answer that it must have.

    `path` selects a value of its JSON output, such as `attributes.enabled`, `value.0.id` or `*.id` for each item of a
    list; without it, the text as a whole counts. The value must equal `equals`, if given, or match the regular
    expression `matches` anywhere. `statuses` are the permitted exit statuses.
    """

    holds: str
    command: Command
    path: str = ""
    equals: str | None = None
    matches: str = ""
    statuses: tuple[int, ...] = (0,)
    within: str = "0"
    """Seconds for which it is repeated until it holds; a number, or the name of a value as `{name}`."""
    never: str = ""
    """An answer that matches this ends the wait: the check cannot hold any more."""
    in_a_row: int = 1
    """Number of times that it must hold, one after the other."""
    measures: str = ""
    """The thing that ends when it holds: the time of the last other answer is printed, in seconds."""
    since: str = ""
    """Id of the step with whose command that time begins; by default that of this check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. Without a command, a person acts as `person` states, or the site's command for this step does.

    A step whose `done` holds is skipped. `requires` must hold before the command, `verify` after it.
    """

    id: str
    title: str
    why: str
    command: Command = ()
    person: str = ""
    remedy: str
    requires: tuple[Check, ...] = ()
    done: Check | None = None
    verify: tuple[Check, ...] = ()
    sets: str = ""
    """Name of a value that this step reads; such a step changes nothing, and runs in every run."""
    path: str = ""
    """Its place in the output, as in a check; a list becomes the items of a later step."""
    each: str = ""
    """Name of a list: the step runs once for each `{item}`."""
    saves: str = ""
    """File that gets the command's output."""
    option: str = ""
    """The step runs only if this option is chosen with `--with`."""
    unless: str = ""
    """The step does not run if this option is chosen."""
    statuses: tuple[int, ...] = (0,)
    """Exit statuses with which the run goes on: a finding is not always a reason to stop."""
    only_real: str = ""
    """Why only a real deployment can do this step: a drill prints it with this reason, and does not execute it."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks."""
        return (*self.requires, *([self.done] if self.done else []), *self.verify)

    @property
    def commands(self) -> list[Command]:
        """Its command and those of its checks."""
        return [each for each in (self.command, *(check.command for check in self.checks)) if each]

    @property
    def values(self) -> set[str]:
        """Names of the values that it uses."""
        texts = [self.saves, self.person, *(word for command in self.commands for word in command)]
        for check in self.checks:
            texts += [check.equals or "", check.matches, check.within]
        return {name for text in texts for name in NAME.findall(text)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """A procedure for one situation. `needs` are the values of the site, each with its explanation."""

    name: str
    title: str
    when: str
    who: str
    prerequisites: tuple[str, ...]
    steps: tuple[Step, ...]
    undo: str
    verification: str
    needs: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    simulated: str = ""
    """How much of it runs against the simulator, in a test."""

    @property
    def commands(self) -> list[tuple[str, Command]]:
        """Every command, with the id of its step."""
        return [(step.id, each) for step in self.steps for each in step.commands]
