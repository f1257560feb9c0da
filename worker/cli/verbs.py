"""A group of commands whose modules are imported when one is used: `cji serve` does not wait for `cji job`."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click


class Verbs(click.Group):
    """Commands by name, in the order of `verbs`; the value is the module of each, and after a colon its object.

    A module's name is relative to `package`. Without an object it is that of the command, with `_` for `-`.
    A verb whose module is not installed is not listed: `cji-client` alone has those of submitters.
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
        found = getattr(import_module(f"{self._package}.{module}"), name or cmd_name.replace("-", "_"))
        assert isinstance(found, click.Command)  # noqa: S101 - one of ours
        return found
