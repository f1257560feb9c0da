"""A page whose commands are executed in order: the fenced `sh` blocks of a tutorial.

    python -m tests.support.walk docs/tutorial/first-job.md

runs the page literally, as a reader does: each command in a shell, in a new copy of what git knows, the simulation in
the background. It prints the time of each command and of all.
"""

import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.paths import ROOT

_BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.M | re.DOTALL)
_STATUS: Final = re.compile(r"\s+# status (\d)$")
_STAYS: Final = "cji-simulator up"
_READY: Final = "Running."
_MOST_S: Final = 600


class Command(NamedTuple):
    """A command as written, heredoc included, and the exit status that the page promises."""

    text: str
    status: int

    @property
    def words(self) -> list[str]:
        """The command's words; of one with a heredoc, those of its first line."""
        return shlex.split(self.text.partition("\n")[0], comments=True)


def commands(page: Path) -> Iterator[Command]:
    """All commands of a page, in order."""
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        lines = iter(block.splitlines())
        for line in lines:
            text, end = line, re.search(r"<<'(\w+)'$", line)
            while end and text.splitlines()[-1] != end[1]:
                text += f"\n{next(lines)}"
            promised = _STATUS.search(line)
            yield Command(_STATUS.sub("", text), int(promised[1]) if promised else 0)


def _copy(folder: Path) -> None:
    """What git knows, with the environment of this clone: `tools/setup` then has nothing to do but look."""
    names = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True).stdout
    pack = subprocess.run(
        ["tar", "-C", ROOT, "--null", "-T-", "-cf-"], input=names, check=True, capture_output=True
    ).stdout
    subprocess.run(["tar", "-C", folder, "-xf-"], input=pack, check=True)
    for name in (".venv", ".azurite", ".always-encrypted", ".engine"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)


def _until_ready(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if _READY in line:
            return
    raise SystemExit("the simulation ended")


def main() -> None:
    """Execute the page; exit status 1 at the first command with another status than promised."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # the processes of a worker run as other users, and read its code here
        _copy(folder)
        staying: list[subprocess.Popen[str]] = []
        try:
            for command in commands(ROOT / sys.argv[1]):
                began = time.monotonic()
                shell = ["bash", "-c", f". .venv/bin/activate; {command.text}"]
                if command.text == _STAYS:
                    shell[-1] = f". .venv/bin/activate; exec {command.text}"
                    staying.append(subprocess.Popen(shell, cwd=folder, stdout=subprocess.PIPE, text=True))
                    _until_ready(staying[-1])
                else:
                    done = subprocess.run(shell, cwd=folder, check=False, timeout=_MOST_S)
                    if done.returncode != command.status:
                        raise SystemExit(f"{command.text}: status {done.returncode}, not {command.status}")
                print(f"-- {time.monotonic() - began:6.1f} s  {command.text.partition(chr(10))[0]}", flush=True)
        finally:
            for process in staying:
                process.terminate()
                process.wait(60)
    print(f"-- {time.monotonic() - started:6.1f} s  {sys.argv[1]}, all commands")


if __name__ == "__main__":
    main()
