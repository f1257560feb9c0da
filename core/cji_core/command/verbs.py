"""Verbs from entry points: a distribution that is installed brings its own, and each is imported when it is used.

An entry point of the group `cji.verbs` is named as the verb is called, with dots between words: `audit.verify` is
`cji audit verify`. What is not installed is not listed. A verb that needs an extra which is not installed names it.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import click

from cji_core.command.common import Failure, extra_of, lacking
from cji_core.command.groups import HELP, ORDER

CHECKS: Final = {"deployment": "cji-deploy", "machine": "cji-worker", "reviews": "cji-audit"}
"""The checks of `cji doctor` that distributions add, and the distribution of each."""


def installed() -> dict[str, EntryPoint]:
    """The verbs of all installed distributions, by name with dots."""
    return {each.name: each for each in entry_points(group="cji.verbs")}


def contributed(name: str) -> Callable[..., Any]:
    """What a distribution adds to a verb of another: its entry point `name` in the group `cji.checks`.

    Failure 2 if no installed one has it.
    """
    found = {each.name: each for each in entry_points(group="cji.checks")}
    if name not in found:
        remedy = f"Install {CHECKS[name]}, which has these checks."
        raise Failure(f"the checks of the {name} are not installed", remedy=remedy, status=2)
    loaded: Callable[..., Any] = found[name].load()
    return loaded


class Verbs(click.Group):
    """The verbs whose names begin with `prefix`, in the order of `ORDER`."""

    def __init__(self, *args: Any, prefix: str = "", verbs: Mapping[str, EntryPoint] | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        found = installed() if verbs is None else verbs
        self._group = prefix
        self._below = {name.removeprefix(f"{prefix}."): each for name, each in found.items()} if prefix else dict(found)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the base's
        """All names."""
        return _ordered({name.partition(".")[0] for name in self._below}, ORDER.get(self._group, ()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the base's
        """The command, imported, or the group of this name; None for an unknown name."""
        below = {name: each for name, each in self._below.items() if name.startswith(f"{cmd_name}.")}
        if below and not self._group:
            named = {f"{cmd_name}.{name.partition('.')[2]}": each for name, each in below.items()}
            return Verbs(cmd_name, prefix=cmd_name, verbs=named, help=HELP[cmd_name])
        if cmd_name not in self._below:
            return None
        try:
            found = self._below[cmd_name].load()
        except ModuleNotFoundError as error:
            return _without_extra(cmd_name, error)
        assert isinstance(found, click.Command)  # noqa: S101 - one of ours
        return found


def _ordered(names: Iterable[str], first: tuple[str, ...]) -> list[str]:
    at = {name: place for place, name in enumerate(first)}
    return sorted(names, key=lambda name: (at.get(name, len(first)), name))


def _without_extra(name: str, error: ModuleNotFoundError) -> click.Command:
    """A verb that ends with the name of the extra that it needs; raises the error if no extra has the module."""
    extra, failure = extra_of(error), lacking(error)
    if extra is None or failure is None:
        raise error

    def fail(arguments: tuple[str, ...]) -> None:  # noqa: ARG001 - taken, so that the refusal is about the extra
        raise failure

    parameters: list[click.Parameter] = [click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)]
    settings = {"ignore_unknown_options": True, "help_option_names": []}
    short = f"Needs an extra of {extra[0]}."
    return click.Command(name, callback=fail, params=parameters, context_settings=settings, short_help=short)
