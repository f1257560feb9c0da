"""Verbs from entry points: a distribution that is installed brings its own, and each is imported when it is used.

An entry point of the group `cji.verbs` is named as the verb is called, with dots between words: `audit.verify` is
`cji audit verify`. What is not installed is not listed. A verb that needs an extra which is not installed names it.
"""

import ast
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

import click
from click.exceptions import NoSuchCommand

from cji_core.command.common import Failure, extra_of, lacking
from cji_core.command.groups import HELP, ORDER

CHECKS: Final = {"client": "cji-client", "deployment": "cji-deploy", "machine": "cji-worker", "reviews": "cji-audit"}
"""The checks of `cji doctor` that distributions add, and the distribution of each."""


def installed() -> dict[str, EntryPoint]:
    """The verbs of all installed distributions, by name with dots."""
    return {each.name: each for each in entry_points(group="cji.verbs")}


def contributed(name: str) -> Callable[..., Any]:
    """The addition of a distribution to a verb of another: its entry point `name` in the group `cji.checks`.

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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As the base, which suggests names of commands that are in `commands`, and these are imported later."""
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            raise NoSuchCommand(args[0], possibilities=self.list_commands(ctx), ctx=ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As the base; of `cji` itself without importing a verb."""
        if self._group:
            super().format_commands(ctx, formatter)
            return
        names = self.list_commands(ctx)
        limit = formatter.width - 6 - max(map(len, names))
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._described(ctx, name).get_short_help_str(limit)) for name in names])

    def _described(self, ctx: click.Context, name: str) -> click.Command:
        """A command of this name with its help alone: that of a verb is read from its source."""
        if name in self._below:
            return click.Command(name, help=_help_of(self._below[name]))
        group = self.get_command(ctx, name)
        assert group is not None  # noqa: S101 - it is listed
        return group


def _help_of(verb: EntryPoint) -> str:
    """The help of a verb, the docstring of its function."""
    package, *folders = verb.module.split(".")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return ""
    path = Path(spec.origin).parent.joinpath(*folders)
    source = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    functions = (node for node in ast.parse(source.read_bytes()).body if isinstance(node, ast.FunctionDef))
    return next((ast.get_docstring(each) or "" for each in functions if each.name == verb.attr), "")


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
