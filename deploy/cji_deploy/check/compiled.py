"""Microsoft's own compiler and linter on the templates, where `bicep` or `az bicep` is on this machine.

It is a .NET program, which no registry of Python has; without it the rules of `compiler` are the second best. With it,
every line that it prints is a problem: warnings too, and three rules that are off by default.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from cji_deploy.check.outcome import Outcome, judged, not_run

__all__ = ["LINTED", "check_with_bicep", "diagnostics"]

LINTED: Final = ("what-if-short-circuiting", "use-recent-api-versions", "no-module-name")
"""Rules of the linter that are off by default, and on here. `use-user-defined-types` stays off: Checkov's parser does
not read the type of tags, `{ *: string }`."""
_CHECK: Final = "bicep: compiler"
_ENTRIES: Final = ("main.bicep", "sentinel.bicep", "gallery.bicep", "engine.bicep")
_TIMEOUT_S: Final = 300
_DIAGNOSTIC: Final = re.compile(r"(?P<place>\S.*\(\d+,\d+\)) : (?P<level>Error|Warning|Info) (?P<what>.+)")


def check_with_bicep(folder: Path) -> Iterator[Outcome]:
    """Outcomes for the entry templates of the folder."""
    command = _program()
    if command is None:
        yield not_run(_CHECK, folder.name, "neither bicep nor az bicep is on this machine; the rules above stand in")
        return
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, "deploy")
        shutil.copytree(folder.parent, copy, ignore=shutil.ignore_patterns("*.py", "image", "byok"))
        rules = {name: {"level": "warning"} for name in LINTED}
        settings = {"analyzers": {"core": {"enabled": True, "rules": rules}}}
        (copy / "bicepconfig.json").write_text(json.dumps(settings))
        for entry in _ENTRIES:
            yield judged(_CHECK, entry, _run(command, copy / folder.name / entry))


def _program() -> Sequence[str] | None:
    for words in (("bicep",), ("az", "bicep")):
        found = shutil.which(words[0])
        if found is None:
            continue
        try:
            version = (found, *words[1:], "--version" if len(words) == 1 else "version")
            done = subprocess.run(version, capture_output=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return (found, *words[1:])
    return None


def _run(command: Sequence[str], entry: Path) -> Iterator[str]:
    given = ("--file", str(entry)) if len(command) > 1 else (str(entry),)
    line = [*command, "build", *given, "--stdout"]
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own compiler
            line, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, env={**os.environ, "LANG": "C"}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield f"the compiler gave no answer ({type(error).__name__})"
        return
    found = list(diagnostics(done.stderr))
    yield from found
    if done.returncode and not found:
        yield f"the compiler ended with status {done.returncode} and named no reason"


def diagnostics(output: str) -> Iterator[str]:
    """The errors and warnings in what the compiler prints, each with the name of its file."""
    for line in output.splitlines():
        if found := _DIAGNOSTIC.search(line):
            yield f"{found['place'].rpartition('/')[2]}: {found['level']} {found['what']}"
