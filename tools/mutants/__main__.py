"""`python -m tools.mutants [MODULE]...`: exits with 1 if a mutant survives that EQUIVALENT does not have."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tools import mutants
from tools.mutants.rooms import ROOMS, ROOT, Room
from tools.mutants.run import Runner, name_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mutants of the modules asked for, each room in a process of its own, and print what survived."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=(mutants.__doc__ or "").split("\n")[0])
    parser.add_argument("modules", nargs="*", help="rooms, or parts of paths such as trail/rules; all if none")
    parser.add_argument("--afresh", action="store_true", help="also run what the last run has killed and measured")
    parser.add_argument("--alone", action="store_true", help="run every test to its end: which kill a mutant alone")
    options = parser.parse_args(arguments)
    asked = {room: _modules(room, options.modules) for room in ROOMS}
    wanted = [room for room in ROOMS if asked[room]]
    if not wanted:
        parser.error(f"no module of a room is named so; rooms: {', '.join(room.name for room in ROOMS)}")
    if len(wanted) == 1:
        return _run(wanted[0], asked[wanted[0]], afresh=options.afresh, alone=options.alone)
    flags = [f"--{name}" for name in ("afresh", "alone") if vars(options)[name]]
    command = [sys.executable, "-m", "tools.mutants", *flags]
    return max(subprocess.call([*command, *asked[room]], cwd=ROOT) for room in wanted)


def _modules(room: Room, asked: Sequence[str]) -> list[str]:
    """Those of the room that are asked for: by the name of the room, or by a part of their path."""
    names = [name_of(path) for path in room.paths]
    names += ["cji_core/trail/rules/rules.toml"] if room.rules else []
    parts = [part for part in asked if part not in {other.name for other in ROOMS}]
    return names if not asked or room.name in asked else [name for name in names if any(part in name for part in parts)]


def _run(room: Room, modules: Sequence[str], *, afresh: bool, alone: bool) -> int:
    os.environ["TSS2_LOG"] = "all+NONE"  # refusals by the TPM are expected in tests
    runner = Runner(room, modules, afresh=afresh, alone=alone)
    status: int = pytest.ExitCode.OK
    if runner.left:
        patterns = room.tests if room.served.isdisjoint(modules) else (*room.tests, *room.served_tests)
        tests = [str(path) for pattern in patterns for path in sorted((ROOT / "tests").glob(pattern))]
        settings = ["-q", "--no-header", "-s", "-m", "not slow"]
        settings += ["-k", f"not ({room.leaves_out})"] if room.leaves_out else []
        settings += [option for plugin in ("cacheprovider", "faulthandler") for option in ("-p", f"no:{plugin}")]
        status = pytest.main([*settings, f"--rootdir={ROOT}", *tests], plugins=[runner])
    runner.report()
    was_run = status in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}  # pytest itself has run none
    return int(runner.total["survived"] + runner.total["stale"] > 0 or not was_run)


if __name__ == "__main__":
    sys.exit(main())
