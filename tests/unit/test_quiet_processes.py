"""Every process of a worker's machine holds Python and libraries to events before it does anything else."""

import ast
import importlib
import inspect
import re
import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from cji_core import command
from cji_worker import supervisor
from cji_worker.broker.__main__ import main as broker
from cji_worker.console.process import run as console
from cji_worker.console.sending import send
from cji_worker.door.engine import main as engine
from cji_worker.fleet.run import Fleet
from cji_worker.probe.process import run as probe
from cji_worker.provisioned import main as provisioned
from cji_worker.verbs.audit.deliver import delivers

_UNITS: Final = Path(__file__).parents[2] / "deploy" / "systemd"
_BODIES: Final[dict[str, Callable[..., Any]]] = {
    "serve": supervisor.Supervisor.run,
    "fleet run": Fleet.run,
    "probe": probe,
    "console": console,
    "audit deliver": delivers,
    "cji_worker.broker": broker,
    "cji_worker.door.engine": engine,
    "cji_worker.provisioned": provisioned,
}
_ENDS: Final = {"audit delivered", "bundle apply", "bundle update", "door enroll", "door check", "door limit", "reload"}
"""Verbs that end by themselves: `main` of the command silences libraries, and says errors in its own words."""


def started() -> set[str]:
    """The verb of `cji`, or the module, of each command of ours in a unit."""
    found = set[str]()
    for unit in _UNITS.glob("*.service"):
        for line in re.findall(r"^Exec\w+=(.+)$", unit.read_text(), re.MULTILINE):
            words = shlex.split(line.lstrip("+-@:!"))
            if words[0] == "/opt/cji/bin/cji":
                verb = words[1:] if words[2:3] and not words[2].startswith("-") else words[1:2]
                found.add(" ".join(verb[:2]))
            elif words[0] == "/opt/cji/bin/python":
                found.add(words[words.index("-m") + 1])
    return found


def children() -> list[str]:
    """The modules that a worker's supervisor starts."""
    return re.findall(r'"(cji_worker\.[\w.]+)"', inspect.getsource(supervisor))


def first_call(body: Callable[..., Any]) -> str:
    """The source of the first statement behind the docstring."""
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(body))).body
    assert isinstance(function, ast.FunctionDef)
    return ast.unparse(function.body[1])


def test_every_unit_starts_a_process_that_is_listed() -> None:
    assert started() - _ENDS == set(_BODIES)


def test_a_console_that_sends_logs_events_only() -> None:
    assert first_call(send) == "events_only()"


@pytest.mark.parametrize("name", _BODIES)
def test_a_process_that_stays_logs_events_only(name: str) -> None:
    assert first_call(_BODIES[name]) == "events_only()"


def test_each_process_of_a_worker_logs_events_only() -> None:
    modules = {name if "." in name.removeprefix("cji_worker.") else f"{name}.__main__" for name in children()}
    assert len(modules) == 4
    for name in modules:
        assert first_call(importlib.import_module(name).main) == "events_only()", name


def test_a_command_that_ends_silences_libraries() -> None:
    assert "logging.disable()" in inspect.getsource(command.main)
