"""Check the variants with Scyther: `python check.py FOLDER SCYTHER COMMIT`; `--compare TABLE` compares.

COMMIT is that of Scyther's source, for the first line of the table: the program's own version does not name it.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

RUNS = {"once": 4, "onceFree": 4}
SECONDS = 300
CLAIM = re.compile(r"claim\s+(\w+),(\w+)\s+(\w+?)_\w+\s+(\S+)\s+(Ok|Fail)\s+(?:\[(.*?)\])?")


def verdict(kind: str, ok: bool, detail: str) -> str:
    """One word for what Scyther prints."""
    if kind == "Reachable":
        return "reached" if ok else "absent"
    if not ok:
        return "attack"
    return "proof" if "proof" in detail else "bounded"


def check(folder: Path, scyther: str, commit: str) -> list[str]:
    """The lines of the table."""
    lines = [f"# Scyther {commit}: variant, runs, role, claim, of, verdict"]
    for path in sorted(folder.glob("*.spdl")):
        name = path.stem
        runs = RUNS.get(name, 3)
        command = [scyther, f"--max-runs={runs}", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        found = CLAIM.findall(re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr))
        if not found:
            raise SystemExit(f"{name}: {done.stdout}{done.stderr}")
        lines += [
            "\t".join((name, str(runs), role, kind, of, verdict(kind, ok == "Ok", more)))
            for _, role, kind, of, ok, more in found
        ]
    return lines


def main() -> int:
    """Print the table, or the lines that differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("scyther")
    parser.add_argument("commit")
    parser.add_argument("--compare", type=Path)
    options = parser.parse_args()
    lines = check(options.folder, options.scyther, options.commit)
    if options.compare is None:
        print("\n".join(lines))
        return 0
    expected, found = set(options.compare.read_text().splitlines()[1:]), set(lines[1:])
    print("\n".join(sorted([f"expected {x}" for x in expected - found] + [f"found {x}" for x in found - expected])))
    return int(expected != found)


if __name__ == "__main__":
    sys.exit(main())
