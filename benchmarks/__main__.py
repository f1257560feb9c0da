"""`python -m benchmarks NAME...`: run benchmarks, print tables, write JSON."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
import msgspec

from benchmarks import deidentify, pipeline, start
from benchmarks.harness import Result
from benchmarks.report import Report

__all__ = ["BENCHMARKS", "main"]

BENCHMARKS: Final[dict[str, tuple[str, Callable[..., Result]]]] = {
    "pipeline": (pipeline.SUMMARY, pipeline.run),
    "deidentify": (deidentify.SUMMARY, deidentify.run),
    "start": (start.SUMMARY, start.run),
}
"""Name -> what it measures, and how."""

_LIST: Final = "\n".join(f"  {name:<12} {summary}" for name, (summary, _) in BENCHMARKS.items())


@click.command(
    help=f"""Measure the worker beside a peer in the same run, in turns.

\b
Benchmarks:
{_LIST}

\b
Examples:
  python -m benchmarks pipeline
  python -m benchmarks pipeline --quick --profile
  python -m benchmarks pipeline --json pipeline.json

Ratios may be compared between machines, figures may not. docs/benchmarks.md says what is inside each clock. Run as
root, which reading the worker's /proc takes, on a machine that does nothing else. Needs the extras bench and dev.
"""
)
@click.argument("names", nargs=-1, required=True, type=click.Choice(list(BENCHMARKS)), metavar="NAME...")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write the results here too.")
@click.option("--quick", is_flag=True, help="Less input and fewer runs: a first look, not a result.")
@click.option("--profile", is_flag=True, help="Show the CPU time of each process as well.")
def main(names: tuple[str, ...], *, target: Path | None, quick: bool, profile: bool) -> None:
    """Run the benchmarks of these names in order."""
    report = Report(profile=profile)
    results = [BENCHMARKS[name][1](report, quick=quick) for name in dict.fromkeys(names)]
    if target is not None:
        target.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")


if __name__ == "__main__":
    sys.exit(main())
