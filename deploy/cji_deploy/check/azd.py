"""`azure.yaml` of the Azure Developer CLI: the keys that we use, and the hook that checks before it deploys.

The file is read as maps of text in two-space steps, which is the YAML that it may have.
Source: learn.microsoft.com, "Azure Developer CLI's azure.yaml schema".
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from cji_deploy.check.outcome import DeployError

__all__ = ["azd_problems"]

_LINE: Final = re.compile(r"((?:  )*)([A-Za-z]+):(?: ([^#\s].*))?")
_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({"name", "metadata", "infra", "hooks"}),
    "metadata": frozenset({"template"}),
    "infra": frozenset({"provider", "path", "module"}),
    "hooks": frozenset({"preprovision"}),
    "hooks.preprovision": frozenset({"shell", "continueOnError", "run"}),
}
_CHECK: Final = "python -m cji_deploy.check"


def azd_problems(folder: Path) -> Iterator[str]:
    """One text per deviation of the file in the deploy folder, with its line."""
    try:
        lines = (folder / "azure.yaml").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        yield "azure.yaml:1: cannot be read"
        return
    try:
        values = dict(_values(lines))
    except DeployError as error:
        yield from error.problems
        return
    path, module = values.get("infra.path", (1, ""))[1], values.get("infra.module", (1, ""))[1]
    wanted = {
        "infra.provider": "bicep",
        "hooks.preprovision.shell": "sh",
        "hooks.preprovision.continueOnError": "false",
    }
    for key, value in wanted.items():
        line, found = values.get(key, (1, ""))
        if found != value:
            yield f"azure.yaml:{line}: {key} must be {value}"
    if not (folder / path / f"{module}.bicep").is_file():
        yield f"azure.yaml:{values.get('infra.path', (1, ''))[0]}: no template {path}/{module}.bicep"
    line, command = values.get("hooks.preprovision.run", (1, ""))
    if not command.endswith(_CHECK):
        yield f"azure.yaml:{line}: the hook must run `{_CHECK}` before anything is deployed"


def _values(lines: list[str]) -> Iterator[tuple[str, tuple[int, str]]]:
    """Dotted keys with their lines and texts."""
    above: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        depth = len(found[1]) // 2 if found else 0
        if found is None or depth > len(above):
            raise DeployError(f"azure.yaml:{number}: not a key with a text or keys below it")
        del above[depth:]
        if found[2] not in _KEYS.get(".".join(above), frozenset()):
            raise DeployError(f"azure.yaml:{number}: {found[2]!r} is not a key here")
        above.append(found[2])
        if found[3] is not None:
            yield ".".join(above), (number, found[3])
