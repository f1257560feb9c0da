"""The suite and the demo on other days: `python -m tests.support.other_days --days "+40d leap-day" -- tests/unit`.

| day | clock |
|---|---|
| `+40d`, `+400d`, any `+Nd` | so many days from now |
| `monday` | the next Monday, 00:30 UTC: in the agency's time zone the week has not begun |
| `saving` | the hour that the agency's clock shows twice, when daylight saving ends; `TZ` is set as well |
| `new-year` | the next 31 December, 23:50 UTC |
| `leap-day` | the next 29 February, 12:00 UTC |
| `2031-05-01T08:00` | this time, UTC |

Every process gets a library that moves its wall clock (`shifted_clock.c`), also one that is started with another
environment, as another user or in a sandbox: the day's run sees an /etc of its own whose `ld.so.preload` names it. So
it needs root. Monotonic clocks are not moved, and files have the times that the kernel gives them.

A test that fails is repeated alone on its day, and then today: what fails only on its day has expired, or depends on
the day. The table at the end names the first day on which each of them fails.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Final
from zoneinfo import ZoneInfo

from tests.support.paths import ROOT
from tests.support.shifted_clock import compile_clock

__all__ = ["DAYS", "main", "on_day", "when"]

DAYS: Final = ("+40d", "+400d", "monday", "saving", "new-year", "leap-day")
ZONE: Final = ZoneInfo("America/Chicago")
"""Of the agencies in tests and examples."""
_AHEAD: Final = re.compile(r"\+(\d+)d")
_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S+::.+?)(?: - .*)?$", re.MULTILINE)
_LAST: Final = re.compile(r"^.*\d+ (?:passed|failed|error|skipped).*$", re.MULTILINE)
_DEMO: Final = "the demo"
_OWN_ETC: Final = """
set -eu
own="$1/own"
mkdir "$own"
mount -t tmpfs none "$own" -o mode=755
mkdir "$own/etc" "$own/work"
cp "$2" "$own/etc/shifted_clock.so"
echo /etc/shifted_clock.so >"$own/etc/ld.so.preload"
mount -t overlay -o "lowerdir=/etc,upperdir=$own/etc,workdir=$own/work" etc /etc
shift 2
exec "$@"
"""


def when(day: str, now: datetime) -> datetime:
    """The time that a day's clock shows at its start. Raises ValueError for a name that is none of them."""
    if ahead := _AHEAD.fullmatch(day):
        return now + timedelta(days=int(ahead[1]))
    hours = (now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=n) for n in range(1, 9 * 366 * 24))
    match day:
        case "monday":
            return next(t for t in hours if (t.isoweekday(), t.hour) == (1, 0)) + timedelta(minutes=30)
        case "saving":
            return next(t for t in hours if t.astimezone(ZONE).fold) + timedelta(minutes=1)
        case "new-year":
            return next(t for t in hours if (t.month, t.day, t.hour) == (12, 31, 23)) + timedelta(minutes=50)
        case "leap-day":
            return next(t for t in hours if (t.month, t.day, t.hour) == (2, 29, 12))
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def on_day(day: str, command: Sequence[str], folder: Path, output: IO[bytes]) -> int:
    """Run a command whose processes all have the day's clock; returns its exit status.

    `folder` is new and empty. Output and errors both go to `output`.
    """
    now = datetime.now(UTC)
    library = compile_clock(folder, always=round((when(day, now) - now).total_seconds()))
    zone: Mapping[str, str] = {"TZ": ZONE.key} if day == "saving" else {}
    isolated = ["unshare", "--mount", "sh", "-c", _OWN_ETC, "sh", str(folder), str(library), *command]
    done = subprocess.run(isolated, cwd=ROOT, env={**os.environ, **zone}, stdout=output, stderr=output, check=False)
    return done.returncode


def _run(day: str | None, command: Sequence[str], log: Path) -> tuple[int, str]:
    """Exit status and output of a command on a day, or today; the output is added to the log."""
    with log.open("a+b") as output:
        before = output.tell()
        if day is None:
            status = subprocess.run(command, cwd=ROOT, stdout=output, stderr=output, check=False).returncode
        else:
            with tempfile.TemporaryDirectory(prefix="cji-day-", ignore_cleanup_errors=True) as name:
                status = on_day(day, command, Path(name), output)
        output.seek(before)
        return status, output.read().decode(errors="replace")


def _failures(output: str) -> list[str]:
    return sorted(set(_FAILED.findall(output)))


def _suite(day: str, arguments: Sequence[str], log: Path) -> Iterator[tuple[str, bool]]:
    """The tests that fail on a day, twice; and whether they also fail today."""
    pytest = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
    started = time.monotonic()
    status, output = _run(day, [*pytest, *arguments], log)
    failed = _failures(output)
    last = (_LAST.findall(output) or [f"exit status {status}"])[-1].strip("= ")
    print(f"{day:>9}  {last}", flush=True)
    if status not in {0, 1} or (status and not failed):
        yield f"pytest ended with status {status}", False
    if failed:
        again = _failures(_run(day, [*pytest, *failed], log)[1])
        today = _failures(_run(None, [*pytest, *again], log)[1]) if again else []
        for test in failed:
            if test in again:
                yield test, test in today
            else:
                print(f"{'':>9}  passed when repeated alone: {test}")
    print(f"{'':>9}  {time.monotonic() - started:.0f} s", flush=True)


def main() -> int:
    """Run the days; returns 1 if something fails on one of them and not today."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.other_days", description=__doc__)
    parser.add_argument("--days", default=" ".join(DAYS), help="names or times, separated by spaces")
    parser.add_argument("--no-demo", action="store_true", help="only the tests")
    parser.add_argument("pytest", nargs="*", help="arguments of pytest")
    given = parser.parse_args()
    if os.geteuid():
        print("As root: each day's run gets an /etc of its own.", file=sys.stderr)
        return 2
    build = ROOT / "build/other-days"
    build.mkdir(parents=True, exist_ok=True)
    now, first, always = datetime.now(UTC), dict[str, str](), set[str]()
    for day in given.days.split():
        log = build / f"{day}.log"
        log.unlink(missing_ok=True)
        print(f"{day:>9}  {when(day, now):%a %d %b %Y %H:%M} UTC, output in {log.relative_to(ROOT)}", flush=True)
        for test, also_today in _suite(day, given.pytest, log):
            (always.add(test) if also_today else first.setdefault(test, day))
        if not given.no_demo:
            # in one folder for all days: what one of them kept must be good on the next, or replaced
            command = [f"{sys.prefix}/bin/cji-simulator", "demo", "--folder", str(build / "demo")]
            status, output = _run(day, command, log)
            print(f"{'':>9}  demo: exit status {status}, {output.strip().rpartition(chr(10))[2]}", flush=True)
            if status:
                first.setdefault(_DEMO, day)
    for test in sorted(always):
        print(f"fails today as well: {test}")
    for test, day in sorted(first.items(), key=lambda each: each[1]):
        print(f"fails on {day} ({when(day, now):%d %b %Y %H:%M}): {test}")
    print("Nothing expires on these days." if not first else f"{len(first)} fail on another day and not today.")
    return bool(first)


if __name__ == "__main__":
    sys.exit(main())
