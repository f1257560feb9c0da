"""`python -m tools.lock`: write requirements.lock, all versions that are installed, with hashes and without addresses.

Each version is followed by the names of those who install it on Linux, for `tools/select`: a distribution with its
required libraries, or a group of pyproject.toml. A version stays until it has to change or its lines are removed.
Needs uv.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = ROOT / "requirements.lock"
_PYTHONS: Final = ("3.11.9", "3.13.5")


def distributions() -> tuple[str, ...]:
    """The folders of all distributions; the engine is installed alone, outside of the workspace."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return (*table["tool"]["uv"]["workspace"]["members"], "engine")


def selections() -> dict[str, list[str]]:
    """The names of `tools/select`, each with its arguments of `uv pip compile`."""
    folders = [name for name in distributions() if name != "engine"]
    alone = {name: [f"{name}/pyproject.toml"] for name in distributions()}
    tests = [f"{name}/pyproject.toml" for name in folders]
    groups = {
        name: ["--group", f"pyproject.toml:{name}"]
        for name in tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    }
    extras = [f"--extra={name}" for name in ("check", "cli", "evidence", "excel", "fleet")]
    developed = [*tests, *extras, *groups["dev"]]
    return {**alone, **groups, "dev": developed, "bench": [*developed, *groups["bench"]]}


def compiled(arguments: list[str], constraints: str, *, hashes: bool = False) -> str:
    """The versions that uv chooses, without our own distributions."""
    ours = [f"--no-emit-package=cji-{name}" for name in distributions()]
    options = ["--universal", "--python-version=3.11", "--no-header", "--no-annotate", "--quiet", *ours]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(constraints)
        file.flush()
        command = [shutil.which("uv") or "uv", "pip", "compile", *options, "-c", file.name, *arguments]
        command += ["--generate-hashes"] if hashes else []
        return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def _on_linux(lines: str) -> Iterator[str]:
    for line in lines.splitlines():
        wanted = Requirement(line)
        for version in _PYTHONS:
            machine = {"sys_platform": "linux", "python_full_version": version, "python_version": version[:4]}
            if wanted.marker is None or wanted.marker.evaluate(machine):
                yield f"{wanted.name}{wanted.specifier}"


def main() -> int:
    """Compile everything once, then each selection from the versions of that."""
    kept = LOCK.read_text() if LOCK.exists() else ""
    everything = [argument for one in ("bench", "docs", "oscal", "pkcs11", "engine") for argument in selections()[one]]
    lock = compiled(everything, kept, hashes=True)
    if address := re.search(r"https?://\S+", lock):
        sys.exit(f"the lock would have an address: {address[0]}")
    who: dict[str, list[str]] = {}
    for name, arguments in selections().items():
        for pin in dict.fromkeys(_on_linux(compiled(arguments, lock))):
            who.setdefault(pin, []).append(name)
    blocks = re.split(r"\n(?=\S)", lock.rstrip())
    of = {block: who.get(re.split(r"[ ;\\]", block, maxsplit=1)[0]) for block in blocks}
    LOCK.write_text("".join(f"{block}\n    # for {' '.join(names)}\n" for block, names in of.items() if names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
