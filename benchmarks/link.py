"""`link`: one model on one population, here and in Splink with DuckDB, clusters of both, and the cost as work grows.

`link_models` has the model. docs/benchmarks.md defines what is inside the clock.
"""

import math
import re
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

from benchmarks import battery
from benchmarks.generate import population
from benchmarks.harness import Result, paired
from benchmarks.link_corpora import CORPORA
from benchmarks.link_models import MATCH, Found, linked, same_model, splink
from benchmarks.machine import facts
from benchmarks.report import Report
from cji_core.operations.link import Link
from cji_operations.link import calibration, calibration_error, cluster_quality, false_share, link
from cji_operations.link.score import probability

__all__ = ["run"]

_PAIRS: Final = ("blocking", "precision", "recall", "F1", "best F1", "recall at P >= 0.99")
_CLUSTERS: Final = ("precision", "recall", "F1", "largest", "of pairs' seconds")
_SCORES: Final = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99)
_BINS: Final = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)

_Found = dict[tuple[str, str], Found]


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; two minutes, or ten without `quick`."""
    machine = facts()
    report.heading("link", machine)
    people = population(20_000 if quick else 50_000, per_person=3.0)
    model = Link(model=same_model(people.records.schema.names))
    last: dict[str, Found] = {}

    def timed(name: str, find: Callable[[], Found]) -> Callable[[], float]:
        def measure() -> float:
            last[name] = find()
            per_second: float = people.records.num_rows / last[name].cpu_seconds
            return per_second

        return measure

    with report.doing("the same model here and in Splink"):
        both = timed("ours", lambda: linked(people, model)), timed("splink", lambda: splink(people))
        found = paired(*both, pairs=1 if quick else 3)
    report.table(
        f"{people.records.num_rows} records, training and clusters included, one thread",
        ("", "records a CPU second", "pairs", "clusters' seconds"),
        [
            (name, rate.text(), f"{len(one.weight)}", f"{one.seconds - one.pair_seconds:.2f}")
            for (name, one), rate in zip(last.items(), (found.subject, found.peer), strict=True)
        ],
    )
    report.note(f"ratio {found.ratio.text(2)}")
    corpora = _corpora(report)
    _print(report, corpora)
    of_kinds = _battery(report)
    costs = _costs(report, quick=quick)
    figures = {
        "records_per_s": found.subject.middle,
        "splink_records_per_s": found.peer.middle,
        "f1": last["ours"].curve.best()[1].f1,
        "splink_f1": last["splink"].curve.best()[1].f1,
        "cluster_f1": last["ours"].clusters.f1,
        "splink_cluster_f1": last["splink"].clusters.f1,
        "recall_at_99": last["ours"].curve.recall_at(0.99),
        "splink_recall_at_99": last["splink"].curve.recall_at(0.99),
        "blocking_recall": last["ours"].blocked / last["ours"].true,
        "clusters_of_pairs_seconds": last["ours"].seconds / last["ours"].pair_seconds - 1,
    }
    for (corpus, name), one in corpora.items():
        key = re.sub(r"\W+", "_", f"{name} {corpus}".lower())
        figures |= {f"{key}_f1": one.pairs.f1, f"{key}_cluster_f1": one.clusters.f1}
    figures |= of_kinds
    growth = {"seconds": [(n, s) for n, s, _ in costs], "peak MiB": [(n, mib) for n, _, mib in costs]}
    return Result(name="link", machine=machine, figures=figures, ratios={"splink": found.ratio.middle}, growth=growth)


# ------------------------------------------------------------------ corpora with truth


def _corpora(report: Report) -> _Found:
    """Of every corpus: the same model here and in Splink, and the default model."""
    found: _Found = {}
    for corpus, make in CORPORA.items():
        with report.doing(corpus):
            people = make()
            found[corpus, "same model"] = linked(people, Link(model=same_model(people.records.schema.names)))
            found[corpus, "splink"] = splink(people)
            found[corpus, "default"] = linked(people, Link())
            found[corpus, "components"] = linked(people, Link(linkage="components"))
    return found


def _print(report: Report, found: _Found) -> None:
    report.table(
        f"Pairs: a match has a probability of {MATCH} or more",
        ("", "", *_PAIRS),
        [
            (
                corpus,
                name,
                f"{one.blocked / one.true:.4f}",
                *(f"{value:.4f}" for value in (one.pairs.precision, one.pairs.recall, one.pairs.f1)),
                f"{one.curve.best()[1].f1:.4f}",
                f"{one.curve.recall_at(0.99):.4f}",
            )
            for (corpus, name), one in found.items()
            if name != "components"
        ],
    )
    report.table(
        "Clusters: average linkage, in Splink components",
        ("", "", *_CLUSTERS),
        [
            (
                corpus,
                name,
                *(f"{value:.4f}" for value in (one.clusters.precision, one.clusters.recall, one.clusters.f1)),
                f"{one.largest}",
                f"{one.seconds / one.pair_seconds - 1:.3f}",
            )
            for (corpus, name), one in found.items()
        ],
    )
    default = {corpus: one for (corpus, name), one in found.items() if name == "default"}
    report.table(
        "Calibration of the default model: the share of pairs of one person, by their probability",
        ("", *(f"{low:g} to {high:g}" for low, high in pairwise(_BINS))),
        [(corpus, *_shares(one)) for corpus, one in default.items()],
    )


def _shares(found: Found) -> list[str]:
    """`mean probability: share (pairs)` for each bin."""
    bins = {one.low: one for one in calibration(found.probability, found.same, _BINS)}
    return [
        f"{bins[low].probability:.3f}: {bins[low].share:.3f} ({bins[low].pairs})" if low in bins else ""
        for low in _BINS[:-1]
    ]


# ------------------------------------------------------------------ corpora of many kinds


def _battery(report: Report) -> dict[str, float]:
    """Match scores and the interval of the share of false pairs beside the truth, on every corpus of the battery."""
    lines = list[tuple[str, ...]]()
    held = {"chosen by": list[bool](), "kept": list[bool]()}
    for name, kind in (battery.KINDS | battery.KEPT).items():
        with report.doing(name):
            corpus = battery.make(kind)
            side = None if corpus.side is None else [corpus.side]
            found = link([corpus.records], corpus.records.schema, Link(), _untold, side=side)
        pairs = found.report.pairs
        same = corpus.person[pairs.left] == corpus.person[pairs.right]
        score = probability(pairs.weight)
        some = (score >= _SCORES[0]) & (score < _SCORES[-1])
        error = f"{calibration_error(score[some], same[some], _SCORES):.3f}"
        means = f"{score[some].mean():.2f}: {same[some].mean():.2f}" if some.any() else ""
        intervals = list[tuple[float, bool]]()
        for least in _SCORES:
            above = score >= least
            if (stated := false_share(pairs.weight[above])) is not None:
                is_in = stated.low <= 1 - same[above].mean() <= stated.high
                intervals.append((stated.high - stated.low, bool(is_in)))
        held["chosen by" if name in battery.KINDS else "kept"] += [is_in for _, is_in in intervals]
        quality = cluster_quality(found.cluster, corpus.person[: len(found.cluster)]).f1 if side is None else math.nan
        widest = max((width for width, _ in intervals), default=math.nan)
        inside = f"{sum(is_in for _, is_in in intervals)} of {len(intervals)}"
        lines.append((name, f"{some.sum()}", means, error, inside, f"{widest:.2f}", f"{quality:.3f}"))
    report.table(
        f"Match scores from {_SCORES[0]} to {_SCORES[-1]}, and intervals of the share of false pairs from each on",
        ("", "pairs", "score: truth", "calibration error", "intervals with the truth", "widest", "clusters' F1"),
        lines,
    )
    return {f"intervals_{name.replace(' ', '_')}": sum(each) / len(each) for name, each in held.items()}


# ------------------------------------------------------------------ cost as the work grows


def _costs(report: Report, *, quick: bool) -> list[tuple[int, float, float]]:
    costs = list[tuple[int, float, float]]()
    for rows in (10_000, 30_000, 100_000) if quick else (10_000, 100_000, 1_000_000):
        with report.doing(f"{rows} records with the default model"):
            costs.append((rows, *_alone(rows)))
    report.table(
        "The default model, in a process of its own",
        ("records", "seconds", "records/s", "peak MiB"),
        [(f"{n}", f"{s:.1f}", f"{n / s:.0f}", f"{mib:.0f}") for n, s, mib in costs],
    )
    return costs


def _alone(rows: int) -> tuple[float, float]:
    """(seconds, peak MiB) of a dedupe with the default model, in a process that does nothing else."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.link", str(rows)], check=True, capture_output=True, text=True
    )
    seconds, mib = map(float, done.stdout.split())
    return seconds, mib


def _untold(step: str, per_cent: int) -> None:
    """Ignore the progress."""


def _main() -> None:
    people = population(int(sys.argv[1]), per_person=2.0)
    records = people.records
    del people
    started = time.perf_counter()
    found = link([records], records.schema, Link(), _untold)
    for part in found.parts().values():
        for _ in part:
            pass
    seconds = time.perf_counter() - started
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))  # ru_maxrss has the parent's
    assert peak is not None
    sys.stdout.write(f"{seconds} {int(peak[1]) / 1024}\n")


if __name__ == "__main__":
    _main()
