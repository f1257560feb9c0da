"""What is imported when it is first used: names of a package, and the verbs of the command."""

import importlib.util
import subprocess
import sys
from types import ModuleType

import click
import pytest

import cji_client
from cji_core.command.verbs import Verbs, installed
from cji_core.format import job, records
from cji_core.format.job import policy
from cji_core.lazy import lazy

HEAVY = {"numpy", "pyarrow", "grpc", "pandas", "cryptography", "msgspec"}


def loaded(statement: str) -> set[str]:
    """The modules of a new process that has run this."""
    quietly = f"with contextlib.redirect_stdout(io.StringIO()):\n {statement}"
    code = f"import contextlib, io, sys\n{quietly}\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(ran.stdout.split())


def test_the_client_imports_what_a_program_uses() -> None:
    modules = loaded("import cji_client")
    assert not {name.partition(".")[0] for name in modules} & HEAVY
    assert {name for name in modules if name.startswith("cji_")} == {"cji_client", "cji_core", "cji_core.lazy"}


def test_declarations_need_neither_numpy_nor_pyarrow() -> None:
    modules = loaded("from cji_core.operations.registry import OPERATIONS")
    assert not {"numpy", "pyarrow"} & modules


@pytest.mark.parametrize("package", [cji_client, job, policy, records], ids=lambda package: package.__name__)
def test_every_name_is_there_and_no_module_has_it_too(package: ModuleType) -> None:
    """The import of a module binds its name in its package, whatever else the name would be."""
    for name in package.__all__:
        assert getattr(package, name) is not None, name
        assert importlib.util.find_spec(f"{package.__name__}.{name}") is None, name


def test_names_are_found_where_the_source_has_them() -> None:
    found = lazy("cji_client")
    assert found("connect").__module__ == "cji_client.connection"
    assert found("errors").__name__ == "cji_client.errors"
    for name in ("nothing", "__nothing__"):
        with pytest.raises(AttributeError, match=name):
            found(name)


def test_the_help_of_the_command_imports_no_verb() -> None:
    verbs = {each.module for each in installed().values()}
    modules = loaded("import cji_core.command; cji_core.command.build()(['--help'], standalone_mode=False)")
    assert "cji_core.command.verbs" in modules
    assert not verbs & modules
    assert not {name.partition(".")[0] for name in modules} & {"numpy", "pyarrow", "grpc", "azure"}


def test_the_help_of_the_command_says_what_verbs_say_themselves() -> None:
    root = Verbs("cji")
    context = click.Context(root)
    for name in root.list_commands(context):
        own = root.get_command(context, name)
        assert own is not None
        assert root._described(context, name).get_short_help_str(200) == own.get_short_help_str(200), name
        assert own.get_short_help_str(200)
