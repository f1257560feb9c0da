"""Samples of the discrete Laplace distribution beside its exact probabilities, and tables with them."""

from collections.abc import Sequence
from fractions import Fraction
from math import exp

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from cji_core.errors import Reason, Stage
from cji_core.format.records import tagged
from cji_core.operations.aggregate import Aggregate, Privacy
from cji_core.wire.v1 import worker_pb2 as wire
from cji_operations.aggregate import noise, private, run
from tests.support.contexts import context, planned
from tests.support.parts import on_one_machine
from tests.support.refusals import refused

KEY, OTHER = bytes(range(32)), bytes(32)
SAMPLES = 200_000


def probability(z: int, s: int, t: int) -> float:
    p = exp(-s / t)
    return (1 - p) / (1 + p) * p ** abs(z)


@pytest.mark.parametrize(("s", "t"), [(1, 1), (1, 6), (7, 3), (3, 7), (1, 20_000), (20, 1), (499, 3000)])
def test_samples_have_the_probabilities_of_the_distribution(s: int, t: int) -> None:
    found = noise.discrete_laplace(KEY, SAMPLES, s, t)
    width = max(1, round(t / s / 2))
    edges = [width * i for i in range(-12, 13)]
    expected = np.array([sum(probability(z, s, t) for z in range(a, a + width)) for a in edges]) * SAMPLES
    seen = np.array([np.count_nonzero((found >= a) & (found < a + width)) for a in edges])
    kept = expected > 20
    rest = (SAMPLES - seen[kept].sum(), SAMPLES - expected[kept].sum())
    observed, awaited = np.append(seen[kept], rest[0]), np.append(expected[kept], rest[1])
    many = awaited > 5
    assert abs(seen[12] - expected[12]) < 5 * expected[12] ** 0.5
    chi = float((((observed - awaited) ** 2) / awaited)[many].sum())
    assert many.sum() == 1 or stats.chi2.sf(chi, int(many.sum()) - 1) > 1e-4, (seen, expected)


def test_other_probabilities_would_be_noticed() -> None:
    found = noise.discrete_laplace(KEY, SAMPLES, 1, 6)
    zeros = np.count_nonzero(found == 0) / SAMPLES
    assert abs(zeros - probability(0, 1, 6)) < 0.003 < abs(zeros - probability(0, 1, 7))


@pytest.mark.parametrize("m", [1, 2, 3, 1000, (1 << 40) - 1, (1 << 62) + 1])
def test_whole_numbers_below_are_as_likely_each(m: int) -> None:
    found = noise._Words(KEY).below(50_000, m)
    assert found.min() >= 0
    assert int(found.max()) < m
    counts = np.bincount((found.astype(object) * 8 // m).astype(np.int64) if m >= 8 else found)
    assert stats.chisquare(counts).pvalue > 1e-4 if len(counts) > 1 and m >= 8 else counts.min() > 16_000


@pytest.mark.parametrize("u", [0, 1, 3, 5])
def test_heads_have_the_probability_of_the_exponential(u: int) -> None:
    """By the series of Algorithm 1: the sum over k of (-u / t) ** k / k!, in fractions."""
    share, term = Fraction(0), Fraction(1)
    for k in range(1, 25):
        share += term
        term *= Fraction(-u, 5) / k
    true = np.count_nonzero(noise._heads(noise._Words(KEY), np.full(SAMPLES, u), 5)) / SAMPLES
    assert abs(true - float(share)) < 0.005
    assert float(share) == pytest.approx(exp(-u / 5))


def test_noise_depends_on_the_key_alone() -> None:
    first = noise.discrete_laplace(KEY, 1000, 1, 6)
    assert np.array_equal(first, noise.discrete_laplace(KEY, 1000, 1, 6))
    assert np.count_nonzero(first == noise.discrete_laplace(OTHER, 1000, 1, 6)) < 200


@pytest.mark.parametrize(("s", "t"), [(0, 1), (1, 0), (1 << 40, 1), (1, 1 << 40)])
def test_a_scale_out_of_range_is_refused(s: int, t: int) -> None:
    with pytest.raises(ValueError, match="s, t"):
        noise.discrete_laplace(KEY, 1, s, t)


# ------------------------------------------------------------------ tables

VALUES = tuple(f"{i:04d}" for i in range(4000))


def parameters(epsilon: int = 500, rows: int = 1, keys: Sequence[str] = VALUES) -> Aggregate:
    privacy = Privacy(epsilon_thousandths=epsilon, rows_per_person=rows, project="p", wrapped_project_key=bytes(60))
    return Aggregate(keys={"a": tuple(keys)}, person="p", privacy=privacy)


def table(of: Aggregate, batch: pa.RecordBatch, key: bytes = KEY) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The rows of the cells of the finest table, without the unclassifiable."""
    found = pa.Table.from_batches(list(run(of, [batch], lambda *_: None, key).result))
    assert not any(found["hidden"].to_pylist())
    assert found["persons"].null_count == found.num_rows
    rows: np.ndarray[tuple[int], np.dtype[np.int64]] = found["rows"].to_numpy()[: len(of.keys["a"])]
    return rows


def people(count: int, each: int = 1) -> pa.RecordBatch:
    """So many persons in every value, each with so many rows."""
    values = np.repeat(np.array(VALUES), count * each)
    return pa.RecordBatch.from_pydict({"a": values, "p": np.char.mod("%d", np.arange(len(values)) // each)})


def test_small_numbers_are_not_published_as_they_are() -> None:
    found = table(parameters(), people(1))
    assert found.min() == 0
    same = np.count_nonzero(found == 1) / len(found)
    assert abs(same - probability(0, 1, 2)) < 0.03


def test_one_person_moves_no_probability_by_more_than_epsilon() -> None:
    """The numbers of 4000 cells with five persons each beside those with four."""
    five, four = (table(parameters(), people(n)) for n in (5, 4))
    for z in range(1, 9):
        ratio = np.count_nonzero(five == z) / np.count_nonzero(four == z)
        assert exp(-0.5) * 0.75 < ratio < exp(0.5) / 0.75


def test_rows_beyond_the_bound_are_left_out() -> None:
    often = table(parameters(20_000, rows=2), people(1, each=50))
    assert abs(often.mean() - 2) < 0.1
    kept = private.first_rows(pa.array(["x", "y", "x", "", "x", None, "", None, "y"]).cast(pa.binary()), 2)
    assert kept.tolist() == [True, True, True, True, False, True, True, True, True]


def test_totals_add_up_what_is_noisy_already() -> None:
    found = pa.Table.from_batches(list(run(parameters(), [people(400)], lambda *_: None, KEY).result))
    rows = found["rows"].to_pylist()
    assert 0 <= sum(rows[:-1]) - rows[-1] < 40  # none but the unclassifiable is below 0, and shown as 0


def test_a_repeat_has_the_same_noise_and_any_change_another() -> None:
    of, few = parameters(), people(400)
    first = table(of, few)
    assert np.array_equal(first, table(of, few))
    order = np.random.default_rng(1).permutation(few.num_rows)
    assert np.array_equal(first, table(of, few.take(pa.array(order))))
    for changed in (table(of, few.slice(1)), table(of, few, OTHER), table(parameters(501), few)):
        assert np.count_nonzero(changed == first) < 0.4 * len(first)


def test_every_cell_is_listed_and_no_row_is_marked() -> None:
    batch = pa.RecordBatch.from_pydict({"a": ["0001", "elsewhere", None], "p": ["x", None, "y"]})
    outputs = run(parameters(), [batch], lambda *_: None, KEY)
    assert pa.Table.from_batches(list(outputs.result)).num_rows == len(VALUES) + 2
    assert not len(outputs.status.codes)


def message(**changes: object) -> wire.Operation:
    """A private table as it stands in a header, with these fields instead."""
    privacy = wire.Privacy(epsilon_thousandths=500, rows_per_person=3, project="p", wrapped_project_key=bytes(384))
    key = wire.GroupKey(column="SEX", categories=["F", "M"])
    fields = {"keys": [key], "person": "SID", "threshold": 1, "base": 1, "privacy": privacy}
    return wire.Operation(aggregate=wire.Aggregate(**fields | changes))  # type: ignore[arg-type]


def privacy_of(**changes: object) -> wire.Privacy:
    fields = {"epsilon_thousandths": 500, "rows_per_person": 3, "project": "p", "wrapped_project_key": bytes(384)}
    return wire.Privacy(**fields | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(message(privacy=privacy_of(epsilon_thousandths=0)), id="no epsilon"),
        pytest.param(message(privacy=privacy_of(epsilon_thousandths=20_001)), id="an epsilon too large"),
        pytest.param(message(privacy=privacy_of(rows_per_person=0)), id="no rows"),
        pytest.param(message(privacy=privacy_of(project="")), id="no project"),
        pytest.param(message(privacy=privacy_of(wrapped_project_key=b"")), id="no key"),
        pytest.param(message(threshold=11), id="a threshold"),
        pytest.param(message(base=5), id="rounding"),
        pytest.param(message(sums=["n"]), id="sums"),
        pytest.param(message(person=""), id="no person"),
        pytest.param(message(keys=[wire.GroupKey(column="SEX")]), id="values that occur"),
    ],
)
def test_parameters_of_no_private_table_are_refused(bad: wire.Operation) -> None:
    planned([message()], "person/1")
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        planned([bad], "person/1")


def test_without_the_key_of_the_project_nothing_is_counted() -> None:
    schema = tagged("person/1", [pa.field("SEX", pa.utf8()), pa.field("SID", pa.utf8())])
    batch = pa.RecordBatch.from_arrays([pa.array(["F"]), pa.array(["x"])], schema=schema)
    on_one_machine(message(), batch, context(KEY))
    with refused(Reason.BAD_PARAMETERS, stage=Stage.COMPUTE):
        on_one_machine(message(), batch, context())
