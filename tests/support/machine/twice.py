"""`python -m tests.support.machine.twice KEYS FOLDER`: the image twice, the second time 40 days later.

The second build has no cache of an installed root, and a clock that is 40 days ahead in mkosi and in every process that
runs in the image's root: scripts of packages, the build with compilers, the last steps. mkosi mounts the host's /etc so
that nothing in it is executed, so what it starts beside that root, the initrd's installation included, has today's
clock. Both install the packages of the lock from the same files.
"""

import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.other_days import on_day
from tests.support.paths import ROOT
from tests.support.shifted_clock import compile_clock

DAYS = 40


def main() -> int:
    """Build twice; 1 if a file differs."""
    keys, folder = (Path(one).resolve() for one in sys.argv[1:3])
    first, second = folder / "first", folder / "second"
    build = [str(ROOT / "deploy/image/build"), str(keys)]
    subprocess.run([*build, str(first)], check=True, env={**os.environ, "IMAGE_CACHE": str(folder / "cache")})
    (second / "cache").mkdir(parents=True, exist_ok=True)
    packages = ["cp", "--recursive", "--link", "--force", "--no-target-directory"]
    subprocess.run([*packages, folder / "cache/packages", second / "cache/packages"], check=True)
    with tempfile.TemporaryDirectory(prefix="cji-clock-") as name:
        clock = Path(name, "clock/etc")
        clock.mkdir(parents=True)
        compile_clock(clock, always=DAYS * 86400)
        (clock / "ld.so.preload").write_text("/etc/shifted_clock.so\n")
        own = Path(name, "day")
        own.mkdir()
        more = {
            "IMAGE_CACHE": str(second / "cache"),
            "IMAGE_WHEELS": os.environ.get("IMAGE_WHEELS", str(folder / "cache/wheels")),
            "IMAGE_CLOCK": str(clock.parent),
        }
        command = ["env", *(f"{key}={value}" for key, value in more.items()), *build, str(second)]
        with (folder / "second.log").open("wb") as log:
            status = on_day(f"+{DAYS}d", command, own, log)
    if status:
        print((folder / "second.log").read_text(errors="replace")[-4000:], file=sys.stderr)
        return status
    began = next((second / "cache/mkosi").glob("*64.cache/var/log/alternatives.log")).read_text().split()[1]
    if began < f"{datetime.now(UTC) + timedelta(days=DAYS - 1):%Y-%m-%d}":
        print(f"The scripts of packages saw {began}: the clock was not in force.", file=sys.stderr)
        return 1
    return _compared(first / "image", second / "image")


def _compared(first: Path, second: Path) -> int:
    lines = [(one / "SHA256SUMS").read_text().splitlines() for one in (first, second)]
    for line in lines[0]:
        print(line)
    different = sorted(set(lines[0]) ^ set(lines[1]))
    for line in different:
        print(f"differs: {line}", file=sys.stderr)
    if not different:
        print(f"Both builds have these digests; the second was made {DAYS} days later.")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
