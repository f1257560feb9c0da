"""`python -m tools.version`: write the version of `cji_core.manifest` into every distribution; `--check` compares.

`python -m tools.version 0.3.0` changes it there first. Each distribution has this version, which the others require:
they share internals.
"""

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCE: Final = "core/cji_core/manifest.py"
_STATED: Final = re.compile(r'^(VERSION: Final = )"([^"]*)"$', re.MULTILINE)
_OWN: Final = re.compile(r'^(version = )"[^"]*"$', re.MULTILINE)
_OTHERS: Final = re.compile(r'^(  "cji-[a-z]+(?:\[[a-z0-9,]+\])?==)[^"]*"', re.MULTILINE)
_SEMVER: Final = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")


def distributions(root: Path) -> tuple[str, ...]:
    """The folders of all distributions."""
    table = tomllib.loads((root / "pyproject.toml").read_text())
    return (*table["tool"]["uv"]["workspace"]["members"], "engine")


def stated(root: Path = ROOT) -> str:
    """The version in the one place where it stands. Raises ValueError."""
    found = _STATED.search((root / SOURCE).read_text())
    if found is None or not _SEMVER.fullmatch(found[2]):
        raise ValueError(f"{SOURCE} states no version of the form 1.2.3")
    return found[2]


def rewritten(text: str, version: str) -> str:
    """A pyproject.toml of ours with this version."""
    return _OTHERS.sub(rf'\g<1>{version}"', _OWN.sub(rf'\g<1>"{version}"', text, count=1))


def main(arguments: Sequence[str], *, root: Path = ROOT) -> int:
    """The command; 1 where `--check` finds another version."""
    check = list(arguments) == ["--check"]
    if arguments and not check:
        if len(arguments) != 1 or not _SEMVER.fullmatch(arguments[0]):
            print("give one version of the form 1.2.3, or --check", file=sys.stderr)
            return 2
        source = root / SOURCE
        source.write_text(_STATED.sub(rf'\g<1>"{arguments[0]}"', source.read_text()))
    version, other = stated(root), []
    for name in distributions(root):
        path = root / name / "pyproject.toml"
        text = path.read_text()
        if (new := rewritten(text, version)) != text:
            other.append(name)
            if not check:
                path.write_text(new)
    if check and other:
        print(f"not of version {version}: {', '.join(other)}; run python -m tools.version", file=sys.stderr)
    return int(check and bool(other))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
