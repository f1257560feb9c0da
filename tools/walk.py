"""`python -m tools.walk install|container`: execute what the documents tell an operator, in a clean Debian 13.

    install      every command under "Install" in deploy/README.md, then the doctor, which names the placeholders
    container    every step of simulator/Containerfile, then the simulator's demo

Each block is printed with its seconds; the exit status is 1 if a command failed. `--base` keeps the empty system in a
tar file, from which the next walk begins. Needs root, mmdebstrap and the network; minutes.
"""

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tools import clean_machine

ROOT: Final = Path(__file__).resolve().parents[1]
_DOCTOR: Final = "/opt/cji/bin/cji doctor --config /etc/cji/worker.toml"
_SHOWN: Final = 2000


class WalkError(Exception):
    """A command of the documents failed."""


def blocks(text: str, heading: str) -> list[str]:
    """The shell blocks of one section of a Markdown page, in order."""
    section = text.partition(f"\n{heading}\n")[2]
    level = heading.split(maxsplit=1)[0]
    section = re.split(rf"^#{{1,{len(level)}}} ", section, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


def steps(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of a Containerfile as word and rest; only those that this walk can execute."""
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if line and not line.startswith("#"):
            if word not in ("ARG", "FROM", "WORKDIR", "RUN", "COPY", "ENV", "VOLUME", "USER", "CMD"):
                raise WalkError(f"the walk has no {word}")
            yield word, rest


class _Walk:
    """One machine, and the time that its commands took."""

    def __init__(self, folder: Path, *, base: Path | None, clone: Path | None) -> None:
        self.folder, self.seconds = folder, 0.0
        began = time.monotonic()
        clean_machine.make(folder, clone, base=base)
        print(f"{time.monotonic() - began:7.1f} s  an empty Debian 13", flush=True)

    def run(self, script: str, *, environment: tuple[str, ...] = (), status: int = 0) -> str:
        """Execute a block; returns its output. Raises WalkError for another status than expected."""
        began = time.monotonic()
        done = clean_machine.run(self.folder, script, environment=environment)
        took = time.monotonic() - began
        self.seconds += took
        first, *more = script.strip().splitlines()
        print(f"{took:7.1f} s  {first[:100]}{f' (and {len(more)} lines more)' if more else ''}", flush=True)
        if done.returncode != status:
            raise WalkError(f"status {done.returncode} from:\n{script}\n{done.stdout[-_SHOWN:]}")
        return done.stdout


def install(folder: Path, base: Path | None) -> None:
    """The operator's walk. Raises WalkError."""
    walk = _Walk(folder, base=base, clone=ROOT)
    for block in blocks((ROOT / "deploy" / "README.md").read_text(), "### Install"):
        walk.run(block)
    print(f"{walk.seconds:7.1f} s  to install the worker")
    report = walk.run(_DOCTOR, status=1)  # nothing is configured, and this machine is not a confidential VM
    for expected in (
        "ok       manifest",
        "ok       secret heap",
        "failed   placeholders",
        f"repeat: {_DOCTOR.partition('/bin/')[2]}",
    ):
        if expected not in report:
            raise WalkError(f"the doctor does not say {expected!r}:\n{report[-_SHOWN:]}")
    refused = walk.run("/opt/cji/bin/cji serve --config /etc/cji/worker.toml", status=2)
    for foreign in ("Traceback", "ERROR:tcti"):
        if foreign in report + refused:
            raise WalkError(f"{foreign} in:\n{report}{refused}")
    print(refused.strip()[-_SHOWN:])
    walk.run("! dpkg -l gcc 2>/dev/null | grep -q ^ii")


def container(folder: Path, base: Path | None) -> None:
    """The simulator's image, and its demo. Raises WalkError."""
    with (ROOT / "simulator.lock").open("wb") as lock:
        subprocess.run([ROOT / "tools" / "select", "simulator"], stdout=lock, check=True)
    subprocess.run([ROOT / "tools" / "wheels", ROOT / "dist"], check=True)
    walk = _Walk(folder, base=base, clone=None)
    environment: tuple[str, ...] = ()
    user = "0:0"
    for word, rest in steps((ROOT / "simulator" / "Containerfile").read_text()):
        match word:
            case "RUN":
                walk.run(rest, environment=environment)
            case "ENV":
                environment += (rest,)
            case "USER":
                user = rest
            case "COPY":
                source, target = rest.split()
                inside = folder / target.lstrip("/")
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, inside, dirs_exist_ok=True)
                else:
                    inside.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / source, inside)
    print(f"{walk.seconds:7.1f} s  to build the image")
    reuid, regid = map(shlex.quote, user.split(":"))
    as_user = f"setpriv --reuid={reuid} --regid={regid} --clear-groups"
    walk.run(f"{as_user} cji-simulator demo --folder /state/demo", environment=environment)


def main() -> int:
    """Parse the command line and walk."""
    parser = argparse.ArgumentParser(description="Execute the documents' commands in a clean Debian 13.")
    parser.add_argument("walk", choices=("install", "container"))
    parser.add_argument("--base", type=Path, help="tar file of the empty system, written if it is not there")
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="cji-walk-"))
    try:
        {"install": install, "container": container}[arguments.walk](scratch / "root", arguments.base)
    except WalkError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        # mounts were those of a namespace that has ended
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
