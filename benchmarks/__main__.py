"""`python -m benchmarks NAME...`: run benchmarks, print tables, write JSON."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from benchmarks import kept
from benchmarks.harness import Result
from benchmarks.report import Report

__all__ = ["BENCHMARKS", "main"]

BENCHMARKS: Final[dict[str, str]] = {
    "pipeline": "a sealed job's MB/s beside an echo's, a small job's added latency, a large job's peak memory",
    "door": "an echo behind the TLS door beside the same echo with gRPC's own TLS: MB/s, latency, CPU",
    "latency": "a small job step by step, in all processes of the worker",
    "load": "200 streams of two submitters for five minutes: failures, fair shares, health p99, memory",
    "isolation": "a job in an isolated cell beside the same code in an ordinary process",
    "start": "seconds from exec of the supervisor to SERVING, and what they were spent on",
    "history": "seconds to start after five million jobs, and what the replay ledger adds to a job",
    "audit": "a year's audit trail verified, searched and proven; tree and proofs beside pymerkle",
    "validate": "NIBRS segments a second with all rules, beside a slow twin and beside reading every field",
    "deidentify": "tokens and FF1 beside a loop and the package ff3, a job of six keyed columns beside a copy",
    "link": "one model trained and applied here and in Splink on DuckDB; cost and memory up to a million records",
    "fleet": "link in parts beside link, the growth of both to ten million records, comparisons beside Splink's",
    "screen": "inquiries a second against a hot file in memory, beside the same search and score in SQL by DuckDB",
    "kernels": "Jaro-Winkler of any pairs and above a cut-off beside rapidfuzz, phonetic codes beside jellyfish",
    "clear": "events of criminal histories a second with the rules of a state, beside a slow twin",
    "fleet-schedule": "the keys of up to 1000 workers by simulation: start, renewal, revocation, outages, restarts",
    "aggregate": "group-by and all totals beside DuckDB and Polars, Return A beside a slow twin",
}
"""Name of a module in this package, with hyphens -> what its `run` measures."""

_LIST: Final = "\n".join(f"  {name:<14} {summary}" for name, summary in BENCHMARKS.items())


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
  python -m benchmarks link screen aggregate --plot core.svg
  python -m benchmarks pipeline validate --keep docs/benchmarks/seen.json

Ratios can be compared between machines, figures cannot. docs/benchmarks.md defines what is inside each clock. Run as
root, which reading the worker's /proc requires, on an otherwise idle machine. Needs the extras bench and dev.
"""
)
@click.argument("names", nargs=-1, required=True, type=click.Choice(list(BENCHMARKS)), metavar="NAME...")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write the results here too.")
@click.option(
    "--keep",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Put the results into this file in place of earlier ones of their names, and draw it: FILE.json, FILE.svg.",
)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw them here too: .svg, .png, .pdf.")
@click.option("--quick", is_flag=True, help="Less input and fewer runs: a first look, not a result.")
@click.option("--profile", is_flag=True, help="Show the CPU time of each process as well.")
def main(
    names: tuple[str, ...], *, target: Path | None, keep: Path | None, plot: Path | None, quick: bool, profile: bool
) -> None:
    """Run the benchmarks of these names in order."""
    if keep is not None and quick:
        raise click.UsageError("--quick gives no result to keep: leave out --quick or --keep")
    report = Report(profile=profile)
    results = [_run(name)(report, quick=quick) for name in dict.fromkeys(names)]
    if target is not None:
        kept.write(results, target)
    if keep is not None:
        import_module("benchmarks.plot").write(kept.keep(results, keep), keep.with_suffix(".svg"))
    if plot is not None:
        import_module("benchmarks.plot").write(results, plot)  # an extra of its own needs no more than a table


def _run(name: str) -> Callable[..., Result]:
    """The benchmark of this name; its peers are imported here, because they need not be installed."""
    try:
        run: Callable[..., Result] = import_module(f"benchmarks.{name.replace('-', '_')}").run
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{name} needs {error.name}; install requirements-bench.lock") from error
    return run


if __name__ == "__main__":
    sys.exit(main())
