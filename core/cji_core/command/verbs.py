"""A group of commands whose modules are imported when one is used: `cji serve` does not wait for `cji job`."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click


class Verbs(click.Group):
    """Commands by name, in the order of `verbs`; the value is the module of each, and after a colon its object.

    A module's name is relative to `package`. Without an object it is that of the command, with `_` for `-`.
    A verb whose module is not installed is not listed: `cji-client` alone has those of submitters. One that needs an
    extra which is not installed names it.
    """

    def __init__(self, *args: Any, package: str, verbs: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._package = package
        self._verbs = {name: verb for name, verb in verbs.items() if find_spec(f"{package}.{verb.partition(':')[0]}")}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the base's
        """All names."""
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the base's
        """The command, imported; None for an unknown name."""
        if cmd_name not in self._verbs:
            return None
        module, _, name = self._verbs[cmd_name].partition(":")
        try:
            found = getattr(import_module(f"{self._package}.{module}"), name or cmd_name.replace("-", "_"))
        except ModuleNotFoundError as error:
            return _without_extra(cmd_name, error)
        assert isinstance(found, click.Command)  # noqa: S101 - one of ours
        return found


def _without_extra(name: str, error: ModuleNotFoundError) -> click.Command:
    """A verb that ends with the name of the extra that it needs; raises the error if no extra has the module."""
    from cji_core.command.common import lacking  # noqa: PLC0415 - not needed by a command that works

    failure = lacking(error)
    if failure is None:
        raise error

    def fail(arguments: tuple[str, ...]) -> None:  # noqa: ARG001 - taken, so that the refusal is about the extra
        raise failure

    parameters: list[click.Parameter] = [click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)]
    settings = {"ignore_unknown_options": True, "help_option_names": []}
    return click.Command(
        name, callback=fail, params=parameters, context_settings=settings, short_help="Needs an extra of cji-client."
    )
