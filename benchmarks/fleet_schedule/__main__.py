"""`python -m benchmarks.fleet_schedule`: run every case, write tables and plots into docs/; `--check` compares digests.

The page has the SHA-256 of the code that made its tables: a change of that code without a new run is found in a second.
"""

import argparse
import hashlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.fleet_schedule.tables import TABLES, row

__all__ = ["PAGE", "digest", "main", "rendered"]

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "fleet.md"
_SOURCES: Final = (
    "worker/cji_worker/keyholder/schedule.py",
    "worker/cji_worker/keyholder/pacing.py",
    "benchmarks/fleet_schedule/services.py",
    "benchmarks/fleet_schedule/fleet.py",
    "benchmarks/fleet_schedule/scenarios.py",
    "benchmarks/fleet_schedule/tables.py",
)
_TABLE: Final = re.compile(r"(?<=<!-- table: )(fleet-[a-z]+)( -->\n).*?(?=<!-- /table -->)", re.DOTALL)
_DIGEST: Final = re.compile(r"(?<=<!-- simulated with )[0-9a-f]{64}")


def digest() -> str:
    """The SHA-256 of the code that decides what the tables say."""
    return hashlib.sha256(b"\0".join((ROOT / name).read_bytes() for name in _SOURCES)).hexdigest()


def rendered(cells: Sequence[str]) -> str:
    """One row of a table, as the page has it."""
    return f"| {' | '.join(cells)} |"


def _table(name: str) -> list[str]:
    table, lines = TABLES[name], []
    for case in table.cases:
        lines.append(rendered(row(name, case)))
        print(lines[-1], flush=True)
    return [rendered(table.columns), "|---" * len(table.columns) + "|", *lines]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and the plots, or with `--check` return 1 if the page was made by other code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fleet_schedule", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--check", action="store_true", help="compare the digest of the code, and run nothing")
    options = parser.parse_args(arguments)
    page = PAGE.read_text("utf-8")
    if options.check:
        if _DIGEST.findall(page) == [digest()]:
            return 0
        print("docs/fleet.md was made by other code; run `python -m benchmarks.fleet_schedule`", file=sys.stderr)
        return 1
    page = _TABLE.sub(lambda found: "\n".join((found[1] + found[2].rstrip("\n"), *_table(found[1]), "")), page)
    PAGE.write_text(_DIGEST.sub(digest(), page), "utf-8")
    from benchmarks.fleet_schedule import figures  # noqa: PLC0415 - matplotlib is an extra that `--check` does not need

    figures.write(PAGE.parent / "fleet")
    return 0


if __name__ == "__main__":
    sys.exit(main())
