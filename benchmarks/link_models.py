"""One model for both sides of the benchmark `link`: here and in Splink with DuckDB, with the clusters of both.

Both train on the same records, block by the same rules and compare the same columns at the same levels, on one thread.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink import comparison_level_library as cll
from splink import comparison_library as cl

from benchmarks.generate import Population
from cji_core.operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
from cji_operations.link import Curve, Quality, cluster_quality, curve, link, log2_odds
from cji_operations.link.blocking import plan
from cji_operations.link.columns import read_table
from cji_operations.link.linkage import columns_of
from cji_operations.link.score import probability

__all__ = ["MATCH", "Found", "linked", "same_model", "splink"]

MATCH: Final = 0.9
_RECALL: Final = 0.6
_RULES: Final = (
    ("SOC",),
    ("first", "last"),
    ("last", "DOB"),
    ("first", "DOB"),
    ("DOB", "postcode"),
    ("first", "postcode"),
    ("last", "postcode"),
    ("last", "address_1"),
    ("first", "address_1"),
)
_DETERMINISTIC: Final = (
    ("SOC", "last"),
    ("last", "DOB"),
    ("first", "DOB", "postcode"),
    ("first", "last", "address_1"),
)
_TRAINING: Final = (("first", "last"), ("DOB",), ("address_1",))
"""Training rules of Splink: two rules that leave each comparison free in one of them, as its manual advises."""
_NAMES: Final = (0.92, 0.8)
_SPELLED: Final = ("first", "last", "address_1")
_SLIPS: Final = ("SOC", "postcode", "street_number")
_VALUES: Final = ("POB", "city", "middle")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Listed pairs and clusters beside the truth: quality by threshold, and of clusters.

    `compared`: pairs that some rule brings together; `blocked`: the true ones of them. weight float64[p] and same
    bool[p] are of the listed pairs.
    `seconds` are in all, training included; `pair_seconds` without clusters.
    """

    weight: Floats
    same: npt.NDArray[np.bool_]
    true: int
    blocked: int
    compared: int
    clusters: Quality
    largest: int
    seconds: float
    cpu_seconds: float
    pair_seconds: float

    @property
    def curve(self) -> Curve:
        """Quality by threshold."""
        return curve(self.weight, self.same, self.true)

    @property
    def pairs(self) -> Quality:
        """Quality of the matches."""
        return self.curve.at(log2_odds(MATCH))

    @property
    def probability(self) -> Floats:
        """float64[p]: of the listed pairs."""
        return probability(self.weight)


def linked(people: Population, parameters: Link) -> Found:
    """By `link`, here."""
    steps = list[tuple[str, float]]()
    started, cpu = time.perf_counter(), time.process_time()
    found = link(
        [people.records],
        people.records.schema,
        parameters,
        lambda step, _: steps.append((step, time.perf_counter() - started)),
    )
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    pairs, model = found.report.pairs, found.report.model
    table = read_table([people.records], (), columns_of(model), linking=False)
    blocking = plan(table, model.blocking, model.split, parameters)
    return Found(
        weight=pairs.weight,
        same=people.person[pairs.left] == people.person[pairs.right],
        true=people.true_pairs,
        blocked=sum(people.same(left, right) for _, _, left, right in blocking.chunks()),
        clusters=cluster_quality(found.cluster, people.person),
        largest=int(np.bincount(found.cluster).max()),
        compared=int(found.report.new_pairs.sum()),
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        pair_seconds=next(at for step, at in steps if step == "cluster"),
    )


def same_model(names: list[str]) -> Model:
    """The model, of the columns of these names."""

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
        *(comparison(name, *spelling, frequency=True) for name in _SPELLED),
        comparison("DOB", ("date_slip", 0), ("year", 0)),
        *(comparison(name, ("number_slip", 0)) for name in _SLIPS),
        *(comparison(name, frequency=True) for name in _VALUES),
        comparison("SEX"),
    )
    return Model(
        comparisons=tuple(one for one in comparisons if one.name in names),
        blocking=_rules(_of(_RULES, names)),
        deterministic_rules=_rules(_of(_DETERMINISTIC, names)),
        recall=_RECALL,
    )


def splink(people: Population) -> Found:
    """By Splink, at its closest levels: Damerau-Levenshtein distance 1 for a typing error."""
    table = pa.Table.from_batches([people.records])
    text = pa.schema([(name, pa.utf8()) for name in table.schema.names])
    table = table.cast(text).append_column("unique_id", pa.array(np.arange(table.num_rows)))
    connection = duckdb.connect(config={"threads": 1})
    connection.register("records", table)
    names = people.records.schema.names
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=_comparisons(names),
        blocking_rules_to_generate_predictions=[block_on(*rule) for rule in _of(_RULES, names)],
        retain_matching_columns=False,
    )
    started, cpu = time.perf_counter(), time.process_time()
    database = DuckDBAPI(connection)
    linker = Linker(database.register("records"), settings, log_level=logging.ERROR)
    linker.training.estimate_probability_two_random_records_match(
        [block_on(*rule) for rule in _of(_DETERMINISTIC, names)], recall=_RECALL
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    for rule in _of(_TRAINING, names):
        linker.training.estimate_parameters_using_expectation_maximisation(block_on(*rule))
    predicted = linker.inference.predict(threshold_match_probability=0.01)
    pair_seconds = time.perf_counter() - started
    clustered = linker.clustering.cluster_pairwise_predictions_at_threshold(
        predicted, threshold_match_probability=MATCH
    )
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    blocked = linker.inference.deterministic_link().as_pandas_dataframe()
    frame = predicted.as_pandas_dataframe()
    left, right = frame["unique_id_l"].to_numpy(), frame["unique_id_r"].to_numpy()
    of_row = clustered.as_pandas_dataframe().set_index("unique_id")["cluster_id"].to_numpy()
    rows = clustered.as_pandas_dataframe()["unique_id"].to_numpy()
    cluster = np.empty(len(rows), np.int64)
    cluster[rows] = np.unique(of_row, return_inverse=True)[1]
    return Found(
        weight=frame["match_weight"].to_numpy(),
        same=people.person[left] == people.person[right],
        true=people.true_pairs,
        blocked=people.same(blocked["unique_id_l"].to_numpy(), blocked["unique_id_r"].to_numpy()),
        clusters=cluster_quality(cluster, people.person),
        largest=int(np.bincount(cluster).max()),
        compared=len(blocked),
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        pair_seconds=pair_seconds,
    )


def _comparisons(names: list[str]) -> list[Any]:
    def slip(column: str, *more: Any) -> Any:
        levels = [cll.NullLevel(column), cll.ExactMatchLevel(column), cll.DamerauLevenshteinLevel(column, 1)]
        return cl.CustomComparison(output_column_name=column, comparison_levels=[*levels, *more, cll.ElseLevel()])

    def with_frequency(comparison: Any) -> Any:
        return comparison.configure(term_frequency_adjustments=True)

    year = cll.CustomLevel("substr(DOB_l, 1, 4) = substr(DOB_r, 1, 4)", "the same year")
    comparisons = {
        **{name: with_frequency(cl.JaroWinklerAtThresholds(name, list(_NAMES))) for name in _SPELLED},
        "DOB": slip("DOB", year),
        **{name: slip(name) for name in _SLIPS},
        **{name: with_frequency(cl.ExactMatch(name)) for name in _VALUES},
        "SEX": cl.ExactMatch("SEX"),
    }
    return [comparisons[name] for name in comparisons if name in names]


def _of(rules: tuple[tuple[str, ...], ...], names: list[str]) -> tuple[tuple[str, ...], ...]:
    """The rules for these columns."""
    return tuple(rule for rule in rules if set(rule) <= set(names))


def _rules(rules: tuple[tuple[str, ...], ...]) -> tuple[Rule, ...]:
    return tuple(Rule(keys=tuple(Key(column=column) for column in rule)) for rule in rules)
