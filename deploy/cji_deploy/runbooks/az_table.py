"""The commands of the Azure CLI that runbooks use, with their options: `az_commands.json`, and how it is made.

    python -m cji_deploy.runbooks.az_table [--az PATH]

asks the installed CLI for the help of every command that a runbook names, which needs no sign-in and no network, and
writes the table. The check needs the table only. Source: the package azure-cli, whose version is in the table.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cji_core.strict import parse_object
from cji_deploy.runbooks.books import BOOKS
from cji_deploy.runbooks.export import COMMANDS
from cji_deploy.runbooks.steps import Command

__all__ = ["TABLE", "az_commands", "command_problems", "name_of"]

TABLE: Final = Path(__file__).with_name("az_commands.json")
_OPTION: Final = re.compile(r"^    (-{1,2}[a-z].*?)\s+:", re.MULTILINE)


def az_commands() -> Iterator[tuple[str, Command]]:
    """Every command of the Azure CLI in a runbook or in the export, with the place where it is."""
    for book in BOOKS.values():
        yield from ((f"{book.name}, step {step}", each) for step, each in book.commands if each[0] == "az")
    yield from (("export", each) for each in COMMANDS)


def name_of(command: Command) -> str:
    """`keyvault key show` of the words; it ends at the first option."""
    words = command[1:]
    return " ".join(words[: next((at for at, word in enumerate(words) if word.startswith("-")), len(words))])


def command_problems(where: str, command: Command, table: Mapping[str, Any]) -> Iterator[str]:
    """How a command differs from what the Azure CLI offers."""
    name = name_of(command)
    options = table["commands"].get(name)
    if options is None:
        yield f"{where}: `az {name}` is not in the table; run `python -m cji_deploy.runbooks.az_table`"
        return
    aliases = {alias: names[0] for names in options["options"] for alias in names}
    given = [word for word in command[1:] if re.match(r"--?[a-z]", word)]
    for word in given:
        if word not in aliases:
            yield f"{where}: `az {name}` has no option {word}"
    known = {aliases[word] for word in given if word in aliases}
    for required in options["required"]:
        if required not in known:
            yield f"{where}: `az {name}` needs {required}"
    if len(known) != len([word for word in given if word in aliases]):
        yield f"{where}: an option of `az {name}` is given twice"


def _help(az: str, name: str) -> dict[str, list[Any]]:
    done = subprocess.run([az, *name.split(), "--help"], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise SystemExit(f"az {name}: {done.stderr.strip()[-300:]}")
    options, required = [], []
    for match in _OPTION.finditer(done.stdout):
        names = [word for word in match[1].split() if word.startswith("-")]
        options.append(names)
        if "[Required]" in match[1]:
            required.append(names[0])
    return {"options": sorted(options), "required": sorted(required)}


def main(arguments: Sequence[str]) -> int:
    """Write the table."""
    parser = argparse.ArgumentParser(prog="python -m cji_deploy.runbooks.az_table")
    parser.add_argument("--az", default="az", help="the Azure CLI")
    az: str = parser.parse_args(arguments).az
    version = parse_object(subprocess.run([az, "version"], capture_output=True, check=True).stdout, limit=1 << 20)
    names = sorted({name_of(command) for _, command in az_commands()})
    table = {"azure-cli": version["azure-cli"], "commands": {name: _help(az, name) for name in names}}
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
