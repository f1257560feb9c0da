"""Run the tests of a suite that failed beside others once more, one after another: for `.ci/run` alone.

python -m tools.again SUITE STATUS

Suites of running processes share two processors, and one test of many thousands may lose a race against the load.
Such a test has to pass alone, and it is named in the output, so that its race gets mended. Tests of more than three
files are not a matter of load: then nothing is run again. Nor is it if pytest ended with another status than 1, that of
failed tests: then it did not run all of them.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

MOST_FILES = 3


def failed(cache: Path) -> list[str]:
    """The ids of the tests that failed in the last run with this cache folder of pytest; none without such a run."""
    file = cache / "v/cache/lastfailed"
    return sorted(json.loads(file.read_bytes())) if file.exists() else []


def may_run_again(tests: Sequence[str]) -> bool:
    """Whether there are any, of at most three files."""
    return 0 < len({test.partition("::")[0] for test in tests}) <= MOST_FILES


def main(suite: str, status: str) -> int:
    """The status of the suite: that of its failed tests when they are run alone; 1 where that is not to be done."""
    if int(status) != pytest.ExitCode.TESTS_FAILED:
        print(f"{suite}: pytest ended with status {status}: not all tests were run.")
        return 1
    tests = failed(Path(".pytest_cache") / suite)
    if not may_run_again(tests):
        print(f"{suite}: {len(tests)} tests failed; at most {MOST_FILES} files are run again.")
        return 1
    print(f"UNSTEADY in {suite}, run again alone:", *tests, sep="\n  ", flush=True)
    return subprocess.run([sys.executable, "-m", "pytest", "--no-header", "-q", *tests], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
