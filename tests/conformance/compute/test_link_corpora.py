"""Corpora with known truth, linked with the default model. Their columns are named as `person/1` names them."""

import csv
import os
from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from benchmarks.generate import HEAVY, Population, population
from benchmarks.registers import german_register, street_lists
from cji_core.operations.link import Link
from cji_operations.link import Linked, cluster_quality, curve, link, log2_odds
from cji_operations.link.columns import read_table
from cji_operations.link.score import probability
from tests.reference.link import ignore
from tests.support.corpora import FEBRL

pytestmark = pytest.mark.vectors

_FAKE = {"first_name": "first", "surname": "last", "dob": "DOB", "city": "city", "email": "address_1"}

Ints = npt.NDArray[np.int64]


def _read(name: str, columns: Mapping[str, str], truth: str) -> tuple[pa.RecordBatch, list[str]]:
    with (Path(os.environ["CJI_VECTORS"]) / "cji/linkage" / name).open(encoding="utf-8", newline="") as file:
        rows = [{key.strip(): value.strip() for key, value in row.items()} for row in csv.DictReader(file)]
    batch = pa.RecordBatch.from_pydict(
        {new: pa.array([row[old] or None for row in rows], pa.utf8()) for old, new in columns.items()}
    )
    return batch, [row[truth] for row in rows]


def _best(found: Linked, person: Ints, total: int) -> tuple[float, float, float]:
    """(F1 at the best threshold, recall of what blocking and the lower threshold leave, recall at P >= 0.99)."""
    pairs = found.report.pairs
    order = np.argsort(-pairs.weight, kind="stable")
    true = np.cumsum((person[pairs.left] == person[pairs.right])[order])
    precision, recall = true / np.arange(1, len(true) + 1), true / total
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(f1.max()), float(recall[-1]), float(recall[precision >= 0.99].max(initial=0))


def test_febrl_4_is_linked() -> None:
    (a, of_a), (b, of_b) = (_read(f"febrl_dataset4{one}.csv", FEBRL, "rec_id") for one in "ab")
    person = np.array([int(name.split("-")[1]) for name in of_a + of_b])
    found = link([a], a.schema, Link(), ignore, side=[b])
    f1, _, at_99 = _best(found, person, 5000)
    assert f1 >= 0.995
    assert at_99 >= 0.995


def test_fake_1000_is_deduplicated() -> None:
    batch, of = _read("fake_1000.csv", _FAKE, "cluster")
    person = np.array([int(one) for one in of])
    found = link([batch], batch.schema, Link(), ignore)
    f1, recall, _ = _best(found, person, sum(np.bincount(person) * (np.bincount(person) - 1)) // 2)
    assert f1 >= 0.91
    assert recall >= 0.88  # of blocking


@pytest.mark.parametrize(
    ("make", "least"),
    [
        (partial(german_register, 3000), 0.9),
        (partial(street_lists, 560), 0.91),
        (partial(population, 3000, per_person=3.0), 0.99),
    ],
    ids=["german", "streets", "population"],
)
def test_clusters_are_as_good_as_pairs(make: Callable[[], Population], least: float) -> None:
    made = make()
    found = link([made.records], made.records.schema, Link(), ignore)
    pairs = found.report.pairs
    same = made.person[pairs.left] == made.person[pairs.right]
    matches = curve(pairs.weight, same, made.true_pairs).at(log2_odds(0.9))
    clusters = cluster_quality(found.cluster, made.person)
    assert clusters.f1 >= max(matches.f1 - 0.005, least)
    assert min(matches.precision, clusters.precision) >= 0.97
    likely = probability(pairs.weight) >= 0.5
    assert probability(pairs.weight)[likely].mean() == pytest.approx(same[likely].mean(), abs=0.04)


@pytest.mark.slow
def test_heavy_errors_are_seen_through() -> None:
    made = population(20_000, per_person=10, errors=HEAVY)
    batch = made.records.select(["first", "last", "DOB", "POB", "postcode", "SEX"])
    found = link([batch], batch.schema, Link(), ignore)
    f1, recall, at_99 = _best(found, made.person, made.true_pairs)
    assert (f1 >= 0.79, recall >= 0.76, at_99 >= 0.6) == (True, True, True)
    clusters = cluster_quality(found.cluster, made.person)
    assert (clusters.f1 >= 0.84, clusters.precision >= 0.99) == (True, True)


def test_blocked_is_what_brute_force_finds_among_the_same_pairs() -> None:
    batch, _ = _read("fake_1000.csv", _FAKE, "cluster")
    batch = batch.slice(0, 150)
    found = link([batch], batch.schema, Link(clerical_review_threshold=1e-9), ignore)
    names = frozenset(key.column for rule in found.report.model.rules for key in rule.keys)
    table = read_table([batch], (), names, linking=False)
    rules = [[table.key(key) for key in rule.keys] for rule in found.report.model.blocking]
    expected = {
        (i, j)
        for i, j in combinations(range(150), 2)
        if any(all(code[i] == code[j] >= 0 for code in codes) for codes in rules)
    }
    assert int(found.report.new_pairs.sum()) == len(expected)
    assert {
        (int(i), int(j)) for i, j in zip(found.report.pairs.left, found.report.pairs.right, strict=True)
    } <= expected
