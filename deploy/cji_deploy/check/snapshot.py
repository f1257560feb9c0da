"""`python -m cji_deploy.check.snapshot`: write what `main.bicep` deploys.

Review the difference with `git diff deploy/bicep` before you commit it.
"""

import argparse
import sys
from pathlib import Path

from cji_deploy.check.bicep import parse
from cji_deploy.check.deployment import EXAMPLES, planned, snapshot
from cji_deploy.check.outcome import DeployError


def main(arguments: list[str]) -> int:
    """Exit code: 0 written, 1 a template or its parameters cannot be resolved."""
    parser = argparse.ArgumentParser(
        prog="python -m cji_deploy.check.snapshot", description="Write the snapshots of what the templates deploy."
    )
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).parents[2], help="deploy folder (default: this one)"
    )
    folder = parser.parse_args(arguments).root / "bicep"
    try:
        templates = {path.name: parse(path.name, path.read_bytes()) for path in sorted(folder.glob("*.bicep"))}
        for example in EXAMPLES:
            path = folder / example.snapshot
            path.parent.mkdir(exist_ok=True)
            path.write_text(snapshot(planned(folder, templates, example)))
            print(f"wrote {path}")
    except DeployError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
