"""Runbooks: steps with a reason, a command, checks around it and a remedy. Runbooks are data.

A command is a list of words, never a shell line. `{name}` in a word is a value of the site or of an earlier step,
`{item}` the item of a step that runs once for each. The first word, `az`, `cji` or `python`, is replaced by the
site's own tool.
"""

from dataclasses import dataclass, field
from typing import Final

__all__ = ["Check", "Command", "Runbook", "Step"]

Command = tuple[str, ...]
PROGRAMS: Final = ("az", "cji", "python")


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
    in_a_row: int = 1
    """Number of times that it must hold, one after the other."""
    measures: str = ""
    """The thing that ends when it holds: the time of the last other answer is printed, in seconds after the command."""


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
        found = []
        for step in self.steps:
            checks = (*step.requires, *([step.done] if step.done else []), *step.verify)
            found += [(step.id, each) for each in (step.command, *(check.command for check in checks)) if each]
        return found
