"""`python -m cji_deploy.check [--complete]`: print every outcome; exit with 1 if one failed.

With `--complete`, a check that could not run counts as a failure too: use it where every tool is installed.
"""

import argparse
import os
import sys
from pathlib import Path

from cji_deploy.check import Status, run


def main(arguments: list[str]) -> int:
    """Exit code: 0 nothing failed, 1 something did (or did not run, with --complete)."""
    parser = argparse.ArgumentParser(prog="python -m cji_deploy.check", description="Check deploy/ without Azure.")
    parser.add_argument("--complete", action="store_true", help="a check that cannot run counts as failed")
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).parents[2], help="deploy folder (default: this one)"
    )
    options = parser.parse_args(arguments)
    vectors = os.environ.get("CJI_VECTORS")
    outcomes = run(options.root, Path(vectors, "azure-types") if vectors else None)
    for outcome in outcomes:
        print(f"{outcome.status:8} {outcome.check:24} {outcome.subject}")
        for reason in outcome.reasons:
            print(f"         - {reason}")
    count = {status: sum(outcome.status is status for outcome in outcomes) for status in Status}
    print(f"deploy-check: {', '.join(f'{number} {status}' for status, number in count.items())}")
    return 1 if count[Status.FAILED] or (options.complete and count[Status.NOT_RUN]) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
