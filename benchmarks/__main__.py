"""`python -m benchmarks NAME...`: run benchmarks, print tables, write JSON."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from benchmarks import kept
from benchmarks.harness import Result
from benchmarks.kept import LOSS
from benchmarks.quiet import QUIET, WINDOWS, LoadClock, busiest
from benchmarks.report import Report

__all__ = ["BENCHMARKS", "main"]

BENCHMARKS: Final[dict[str, str]] = {
    "pipeline": "a sealed job's MB/s beside an echo's, a small job's added latency, a large job's peak memory",
    "door": "an echo behind the TLS door beside the same echo with gRPC's own TLS: MB/s, latency, CPU",
    "latency": "a small job step by step, in all processes of the worker",
    "small": "jobs of a hundred rows beside an echo, quiet and beside other load, and CPU for each job",
    "load": "200 streams of two submitters for five minutes: failures, fair shares, health p99, memory",
    "scale": "MB/s with 1, 2 and 4 fronts while each process has a small part of a core, and what the limit is",
    "isolation": "a job in an isolated cell beside the same code in an ordinary process",
    "start": "seconds from exec of the supervisor to SERVING, and what they were spent on",
    "history": "seconds to start after five million jobs, and what the replay ledger adds to a job",
    "audit": "a year's audit trail verified, searched and proven; tree and proofs beside pymerkle",
    "trail": "a quarter's trail by the commands of an auditor: CPU time, memory and bytes for each 100 000 lines",
    "validate": "NIBRS segments a second with all rules, beside a slow twin and beside reading every field",
    "deidentify": "tokens and FF1 beside a loop and the package ff3, a job of six keyed columns beside a copy",
    "link": "one model trained and applied here and in Splink on DuckDB; cost and memory up to a million records",
    "fleet": "link in parts beside link, the growth of both to ten million records, comparisons beside Splink's",
    "stages": "where the CPU time of sealed stages goes beside plain ones, by kind of work",
    "screen": "inquiries a second against a hot file in memory, beside the same search and score in SQL by DuckDB",
    "inquiry": "an inquiry as a sealed job against a million held records beside an echo, and its CPU by process",
    "kernels": "Jaro-Winkler of any pairs and above a cut-off beside rapidfuzz, phonetic codes beside jellyfish",
    "clear": "events of criminal histories a second with the rules of a state, beside a slow twin",
    "redact": "narratives with every class beside a slow twin; how much is found of labelled ones",
    "standardize": "names, addresses and dates beside a slow twin, addresses beside usaddress",
    "fleet-schedule": "the keys of up to 1000 workers by simulation: start, renewal, revocation, outages, restarts",
    "columns": "cells of Always Encrypted opened a second, beside tedious and beside their bare AES and SHA-256",
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

\b
What a result is worth:
  Ours and the peer take turns, and a measurement is repeated until others take {QUIET:.0%} of the machine or less,
  {WINDOWS} windows at most; the quietest counts. Every number is printed with the share that others took: other
  processes, and the host ("steal"). Work of one process counts its CPU time, which other load changes least.
  Ratios can be compared between machines, figures cannot.

\b
What was kept:
  --keep FILE.json puts the results into FILE.json and FILE.svg, and appends a line for each benchmark to its file
  in the folder `history` beside them, which is committed. It refuses on a machine that others use.
  Every run is compared with docs/benchmarks/history, with lines of the same CPU and number of cores. A loss of
  {LOSS:.0%} against the best or the last line is printed, ends the command with status 3, and is not kept.
  --accept REASON keeps it: the line has the reason, and from then on later results are compared with it.

docs/benchmarks.md defines what is inside each clock. Run as root, which reading the worker's /proc requires. Needs the
extras bench and dev.
"""
)
@click.argument("names", nargs=-1, required=True, type=click.Choice(list(BENCHMARKS)), metavar="NAME...")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write the results here too.")
@click.option(
    "--keep",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Put the results into this file in place of earlier ones of their names, and draw it: FILE.json, FILE.svg.",
)
@click.option("--accept", metavar="REASON", help="With --keep: keep a loss as well, for this reason.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw them here too: .svg, .png, .pdf.")
@click.option("--quick", is_flag=True, help="Less input and fewer runs: a first look, not a result.")
@click.option("--profile", is_flag=True, help="Show the CPU time of each process as well.")
def main(
    names: tuple[str, ...],
    *,
    target: Path | None,
    keep: Path | None,
    accept: str | None,
    plot: Path | None,
    quick: bool,
    profile: bool,
) -> None:
    """Run the benchmarks of these names in order."""
    if keep is not None and quick:
        raise click.UsageError("--quick gives no result to keep: leave out --quick or --keep")
    if accept is not None and keep is None:
        raise click.UsageError("--accept is about what is kept: add --keep FILE.json")
    if keep is not None:
        _require_quiet()
    history = kept.HISTORY if keep is None else keep.parent / kept.HISTORY.name
    report = Report(profile=profile)
    results, lost = list[Result](), list[str]()
    for name in dict.fromkeys(names):
        result = _measured(_run(name), report, quick=quick)
        standings = kept.compare(result, () if quick else kept.lines(history, result.name))
        report.standing(result, standings)
        results.append(result)
        lost += [_loss(result, each) for each in standings if each.lost]
    if target is not None:
        kept.write(results, target)
    if plot is not None:
        import_module("benchmarks.plot").write(results, plot)  # an extra of its own needs no more than a table
    if keep is not None and (accept is not None or not lost):
        _keep(results, keep, history, accepted=accept or "")
    if lost and accept is None:
        raise _Lost("\n".join(lost))


class _Lost(click.ClickException):
    exit_code = 3


def _measured(run: Callable[..., Result], report: Report, *, quick: bool) -> Result:
    clock = LoadClock()
    result = run(report, quick=quick)
    return result.after(clock.read())


def _loss(result: Result, standing: kept.Standing) -> str:
    return (
        f"{result.name}: {standing.name} lost {standing.lost:.0%}: {standing.value:.4g} now, "
        f"{standing.last:.4g} in the last line kept, {standing.best:.4g} in the best; "
        f"others took {result.load_of(standing.name) or 0.0:.0%} of the machine now"
    )


def _require_quiet() -> None:
    load, processes = busiest()
    if load > QUIET:
        most = "; ".join(f"{name} ({pid}) {cores:.1f} cores" for name, pid, cores in processes)
        raise click.ClickException(
            f"nothing is kept on this machine now: others take {load:.0%} of it, at most {QUIET:.0%} is allowed. "
            f"Stop them or wait, or leave out --keep. Most is taken by {most or 'the host'}."
        )


def _keep(results: Sequence[Result], keep: Path, history: Path, *, accepted: str) -> None:
    if loud := list(kept.too_loud(results)):
        raise click.ClickException(
            f"nothing is kept: others used the machine in the quietest of {WINDOWS} windows, at most {QUIET:.0%} is "
            "allowed. Run it again on an idle machine.\n" + "\n".join(loud)
        )
    for result in results:
        kept.add(result, history, accepted=accepted)
    import_module("benchmarks.plot").write(kept.keep(results, keep), keep.with_suffix(".svg"))


def _run(name: str) -> Callable[..., Result]:
    """The benchmark of this name; its peers are imported here, because they need not be installed."""
    try:
        run: Callable[..., Result] = import_module(f"benchmarks.{name.replace('-', '_')}").run
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{name} needs {error.name}; install what `tools/select bench` prints") from error
    return run


if __name__ == "__main__":
    sys.exit(main())
