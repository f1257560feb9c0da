"""A command below the system-call filter of a unit, as systemd would install it.

python -m tests.support.unit_filter UNIT COMMAND...
"""

import errno
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pyseccomp as seccomp

from cji_worker.memory import forbid_new_privileges

__all__ = ["allowed"]


@cache
def _group(name: str) -> frozenset[str]:
    """The calls of one of systemd's groups, and of those in it."""
    done = subprocess.run(["systemd-analyze", "syscall-filter", name], check=True, capture_output=True, text=True)
    words = [line.strip() for line in done.stdout.splitlines()[1:] if not line.strip().startswith("#")]
    return frozenset().union(*(_group(each) if each.startswith("@") else {each} for each in words if each))


def allowed(unit: Path) -> frozenset[str]:
    """The calls that the unit's SystemCallFilter= lines leave, in their order (systemd.exec(5))."""
    found = set(_group("@default"))
    for line in re.findall(r"(?m)^SystemCallFilter=(.*)$", unit.read_text()):
        names = line.removeprefix("~").split()
        calls = frozenset().union(*(_group(name) if name.startswith("@") else {name} for name in names))
        found = found - calls if line.startswith("~") else found | calls
    return frozenset(found)


def main() -> None:
    """Never returns."""
    unit, *command = sys.argv[1:]
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for name in sorted(allowed(Path(unit))):
        try:
            rules.add_rule(seccomp.ALLOW, name)
        except (OSError, ValueError):
            continue  # of another architecture, or newer than the library
    forbid_new_privileges()
    rules.load()
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
