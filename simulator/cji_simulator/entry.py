"""The command `cji-simulator`: names what this machine lacks, before anything that needs it is imported."""

import sys

from cji_simulator.prerequisites import missing

__all__ = ["main"]


def main() -> None:
    """Run the command, or end with status 1 and one line for each thing that is missing."""
    without_worker = "--no-worker" in sys.argv or sys.argv[1:2] == ["image"]  # which brings its own
    if lacking := missing(worker=not without_worker):
        print("cji-simulator cannot run on this machine:", *lacking, sep="\n  ", file=sys.stderr)
        sys.exit(1)
    from cji_simulator.cli import main as command

    command(prog_name="cji-simulator")
