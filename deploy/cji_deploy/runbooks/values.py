"""Values of a site, and words of commands: what is replaced, and which values are refused."""

import json
import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cji_core.strict import parse
from cji_deploy.errors import DeploymentError
from cji_deploy.runbooks.steps import NAME, PROGRAMS, Command

__all__ = ["RunbookError", "Site", "plain", "read_site", "select", "shown", "words"]

_VALUE: Final = re.compile(r"[A-Za-z0-9_/.~][A-Za-z0-9 ._:/@+,=~{}$-]{0,1023}")
_MAX_SITE: Final = 1 << 16
_MAX_OUTPUT: Final = 16 << 20
_DEPTH: Final = 64  # levels; a template of Azure has 20 and more


class RunbookError(DeploymentError):
    """A runbook cannot go on; the first argument is the reason, the second the remedy."""

    code = "runbook-stopped"

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason, remedy, remedy=remedy)


class Site:
    """The values of one deployment, the programs that stand for `az`, `cji` and `python`, and commands for persons."""

    def __init__(
        self,
        values: Mapping[str, str],
        *,
        tools: Mapping[str, Command] | None = None,
        persons: Mapping[str, Command] | None = None,
    ) -> None:
        for name, value in values.items():
            _refuse(name, value)
        self.values, self.tools, self.persons = dict(values), dict(tools or {}), dict(persons or {})


def _refuse(name: str, value: str) -> None:
    if not _VALUE.fullmatch(value):
        raise RunbookError(
            f"the value of {name} is empty, begins with a dash or has characters that no name, id or path has",
            "Correct it in the site's file.",
        )


def read_site(path: Path | None, assignments: Sequence[str] = ()) -> Site:
    """The site of a TOML file, and `name=value` assignments over it. Raises RunbookError."""
    document: dict[str, Any] = {}
    if path is not None:
        try:
            with path.open("rb") as file:
                document = tomllib.loads(file.read(_MAX_SITE).decode())
        except (OSError, ValueError) as error:
            raise RunbookError(f"{path} cannot be read: {error}", "See deploy/runbooks/site.example.toml.") from error
    values = {name: str(value) for name, value in document.items() if not isinstance(value, dict)}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise RunbookError(f"{assignment!r} is not name=value", "Give --set name=value.")
        values[name] = value
    tools = {name: tuple(shlex.split(str(text))) for name, text in document.get("tools", {}).items()}
    if unknown := tools.keys() - set(PROGRAMS):
        raise RunbookError(f"[tools] has {', '.join(sorted(unknown))}", f"Only {', '.join(PROGRAMS)} can be replaced.")
    persons = {name: tuple(shlex.split(str(text))) for name, text in document.get("persons", {}).items()}
    return Site(values, tools=tools, persons=persons)


def words(command: Command, values: Mapping[str, str], *, tools: Mapping[str, Command] | None = None) -> list[str]:
    """The words to execute. Raises RunbookError for a value that is not known."""

    def value(match: "re.Match[str]") -> str:
        if match[1] not in values:
            raise RunbookError(f"{match[1]} is not set", "Set it in the site's file or with --set.")
        return values[match[1]]

    first, *rest = command
    program = (tools or {}).get(first, (first,)) if first in PROGRAMS else (first,)
    return [*program, *(NAME.sub(value, word) for word in rest)]


def shown(command: Command, values: Mapping[str, str]) -> str:
    """The command for people; a value that is not known stays `NAME`."""
    return shlex.join(plain(word, values) for word in command)


def plain(text: str, values: Mapping[str, str] | None = None) -> str:
    """A sentence with its values; one that is not known stays its name in capitals."""
    return NAME.sub(lambda match: (values or {}).get(match[1], match[1].upper()), text)


def select(output: str, path: str) -> str | list[str]:
    """The value at a path of a JSON text, as text; a list where the path has `*`. Raises RunbookError if absent."""
    if not path:
        return output.strip()
    try:
        document = parse(output.encode(), limit=_MAX_OUTPUT, depth=_DEPTH)
    except ValueError:
        raise RunbookError("the command did not print JSON", "Run it by itself and read its answer.") from None
    found = _at(document, path.split("."))
    return [_text(each) for each in found] if "*" in path.split(".") else _text(found[0])


def _at(value: Any, steps: Sequence[str]) -> list[Any]:
    if not steps:
        return [value]
    first, *rest = steps
    if first == "*" and isinstance(value, list):
        return [found for item in value for found in _at(item, rest)]
    if isinstance(value, list) and first.lstrip("-").isdigit() and -len(value) <= int(first) < len(value):
        return _at(value[int(first)], rest)
    if isinstance(value, dict) and first in value:
        return _at(value[first], rest)
    raise RunbookError(f"the answer has no {first}", "Compare the resource with the site's file.")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
