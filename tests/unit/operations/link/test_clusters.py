"""Clusters: what joins records, what does not, and what a clerk is shown of them."""

import numpy as np
import pytest
from msgspec.structs import replace

from cji_core.operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
from cji_operations.link import link
from cji_operations.link.clusters import LEAST
from tests.reference.link import ignore, people
from tests.support.link_tools import given_model, linked, part

_PRIOR = 2.0**-4 / (1 + 2.0**-4)


def _column(name: str, *, weight: float) -> Comparison:
    """Agreement adds this weight; disagreement takes it away."""
    m = 2**weight / (2**weight + 1)
    same = Level(label="the same", conditions=(Condition(column=name),), m=m, u=1 - m)
    return Comparison(name=name, levels=(same, Level(label="different", m=1 - m, u=m)))


def _model(*names: str, weight: float = 4.0) -> Model:
    """A prior of -4 bits, +4 for each value that is equal, -4 for each that is not; every value is a blocking key."""
    return Model(
        comparisons=tuple(_column(name, weight=weight) for name in names),
        blocking=tuple(Rule(keys=(Key(column=name),)) for name in names),
        prior=_PRIOR,
    )


def test_a_bridge_joins_no_families_and_is_listed() -> None:
    """Rows 2 and 3 share a number and nothing else, which weighs 4 bits; in each family, pairs weigh 6."""
    model = replace(
        _model("last", "first", "SOC"),
        comparisons=(_column("last", weight=5.0), _column("first", weight=5.0), _column("SOC", weight=18.0)),
    )
    batch = people(
        record_id=[f"r{i}" for i in range(6)],
        last=["A", "A", "A", "B", "B", "B"],
        first=["C", "C", "C", "D", "D", "D"],
        SOC=[None, None, "9", "9", None, None],
    )
    found = linked(batch, model=model)
    assert found.cluster.tolist() == [0, 0, 0, 3, 3, 3]
    (bridge,) = part(found, "bridges")
    assert (bridge["left"], bridge["right"]) == (2, 3)
    assert (bridge["left_id"], bridge["right_id"]) == (b"r2", b"r3")
    assert (bridge["left_cluster"], bridge["right_cluster"]) == (0, 3)
    assert bridge["weight"] == pytest.approx(4.0)
    assert bridge["probability"] == pytest.approx(16 / 17)
    assert bridge["mean"] == pytest.approx((4.0 + 8 * LEAST) / 9)
    together = linked(batch, model=model, linkage="components")
    assert together.cluster.tolist() == [0] * 6
    assert not part(together, "bridges")


def test_a_cluster_shows_its_cohesion_and_its_weakest_record() -> None:
    batch = people(
        record_id=["a", "b", "c", "d"], last=["A"] * 3 + ["B"], first=["C", "C", "D", "D"], city=["E"] * 3 + ["F"]
    )
    found = linked(batch, model=_model("last", "first", "city"), match=0.45)
    assert found.cluster.tolist() == [0, 0, 0, 3]
    (cluster,) = part(found, "clusters")
    assert (cluster["cluster"], cluster["first_id"], cluster["rows"]) == (0, b"a", 3)
    assert (cluster["pairs"], cluster["listed"]) == (3, 3)
    assert cluster["cohesion"] == pytest.approx((8.0 + 0.0 + 0.0) / 3)
    assert (cluster["weakest"], cluster["weakest_id"], cluster["weakest_of_link_to"]) == (2, b"c", False)
    assert cluster["weakest_weight"] == pytest.approx(0.0)


def test_a_pair_that_is_not_listed_counts_against() -> None:
    """Rows 0 and 2 fit row 1, by different values, and were never compared: they do not come together."""
    batch = people(last=["A", "A", None], first=[None, "D", "D"])
    model = replace(_model("last", "first"), prior=0.5)
    chain = linked(batch, model=model, match=0.9, cluster_stop=-0.5)
    assert sorted(np.bincount(chain.cluster, minlength=3).tolist()) == [0, 1, 2]
    assert len(part(chain, "bridges")) == 1
    assert linked(batch, model=model, match=0.9, linkage="components").cluster.tolist() == [0, 0, 0]


def test_the_stop_says_how_loose_a_cluster_may_be() -> None:
    batch = people(last=["A", "A"], first=["C", "D"], city=["E", "E"])
    model = _model("last", "first", "city")  # -4 + 4 - 4 + 4: 0 bits
    assert linked(batch, model=model, match=0.45, cluster_stop=-0.5).cluster.tolist() == [0, 0]
    assert linked(batch, model=model, match=0.45, cluster_stop=0.5).cluster.tolist() == [0, 1]


def test_a_clerks_threshold_changes_no_cluster() -> None:
    rng = np.random.default_rng(4)
    columns = {name: [f"{value}" for value in rng.integers(0, 6, 60)] for name in ("last", "first", "city")}
    batch = people(**columns)
    found = [
        linked(batch, model=_model(*columns), clerical_review_threshold=threshold)
        for threshold in (1e-6, 0.01, 0.5, 0.9)
    ]
    assert len({one.cluster.tobytes() for one in found}) == 1
    assert len({len(one.report.pairs) for one in found}) > 2
    assert len({len(part(one, "bridges")) for one in found}) == 1


def test_clusters_of_two_tables_count_pairs_across_them_only() -> None:
    """Two records of one table are never compared: that says nothing against their being of one person."""
    model = _model("last", "first")
    one = people(record_id=["a", "b", "c"], last=["A", "A", "B"], first=["C", "C", "X"])
    other = people(record_id=["d", "e", "f"], last=["A", "A", "Y"], first=["C", "C", "D"])
    found = link([one], one.schema, Link(model=model), ignore, side=[other])
    assert found.cluster.tolist() == [0, 0, 2]
    (cluster,) = part(found, "clusters")
    assert (cluster["rows"], cluster["pairs"], cluster["listed"]) == (4, 4, 4)
    assert cluster["cohesion"] == pytest.approx(4.0)
    assert not part(found, "bridges")


def test_a_record_of_link_to_that_is_alone_has_no_cluster() -> None:
    """The best of three takes the record; the match that is left over leads to a record of the other table."""
    model = replace(_model("last", "first", "city"), prior=0.5)
    one = people(record_id=["a"], last=["A"], first=["B"], city=["C"])
    other = people(record_id=["d", "e"], last=["A", "A"], first=["B", "B"], city=["C", "Z"])
    found = link([one], one.schema, Link(model=model, cluster_stop=9.0), ignore, side=[other])
    (bridge,) = part(found, "bridges")
    assert (bridge["left"], bridge["right"], bridge["right_id"]) == (0, 1, b"e")
    assert (bridge["left_cluster"], bridge["right_cluster"]) == (0, None)
    assert bridge["mean"] == pytest.approx(4.0)
    (cluster,) = part(found, "clusters")
    assert (cluster["weakest"], cluster["weakest_of_link_to"]) == (0, False)


def test_pairs_say_whether_they_are_joined() -> None:
    found = linked(people(last=["A", "A"]), model=given_model(0.9, 1e-4))
    assert [(row["match"], row["joined"]) for row in part(found, "pairs")] == [(True, True)]
    apart = linked(people(last=["A", "A"]), model=given_model(0.9, 1e-4), cluster_stop=50.0)
    assert [(row["match"], row["joined"]) for row in part(apart, "pairs")] == [(True, False)]
