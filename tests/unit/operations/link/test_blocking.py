"""Blocks: counted before they are expanded, split or left out where they are too large."""

from dataclasses import replace as replace_table

import numpy as np
import pytest
from msgspec.structs import replace

from cji_core.errors import Limit, Reason
from cji_core.format.records.column import Ints
from cji_core.operations.link import Key, Link, Rule
from cji_core.operations.link.declaration import Code
from cji_operations.link import link
from cji_operations.link.blocking import CHUNK, WEIGHT, plan
from cji_operations.link.columns import read_table
from cji_operations.link.conclusion import MEMORY
from tests.reference.link import ignore, people
from tests.support.link_tools import BY_LAST, given_model, linked, part
from tests.support.refusals import refused


@pytest.mark.parametrize("limits", [{"pairs": 44}, {"memory": 1 << 14, "rows": 200}])
def test_a_limit_is_enforced_before_a_pair_is_compared(limits: dict[str, int]) -> None:
    steps: list[str] = []
    names = [f"SMITH{row}" for row in range(limits.pop("rows", 10))]
    batch = people(last=names, SEX=["M"] * len(names))
    memory = limits.pop("memory", MEMORY)
    model = replace(given_model(0.9, 0.1), blocking=(Rule(keys=(Key(column="SEX"),)),))
    parameters = Link(model=model, **limits)  # type: ignore[arg-type]
    with refused(Reason.LIMIT_EXCEEDED) as caught:
        link([batch], batch.schema, parameters, lambda step, _: steps.append(step), memory=memory)
    assert caught.value.limit is (Limit.LINK_MEMORY if memory < MEMORY else Limit.PAIRS)
    assert steps == ["count"]


def test_pairs_that_are_kept_have_a_limit_of_memory() -> None:
    batch = people(last=[f"SMITH{row // 8}" for row in range(200)], SEX=["M"] * 200)
    model = replace(given_model(0.9, 0.1), blocking=(Rule(keys=(Key(column="SEX"),)),))
    parameters = Link(model=model, clerical_review_threshold=1e-6)
    assert len(link([batch], batch.schema, parameters, ignore, memory=3 << 20).report.pairs) == 19_900
    with refused(Reason.LIMIT_EXCEEDED) as caught:
        link([batch], batch.schema, parameters, ignore, memory=1 << 20)
    assert caught.value.limit is Limit.LINK_MEMORY


def test_a_block_that_is_too_large_is_split_and_reported() -> None:
    batch = people(last=["SMITH"] * 6, SEX=["M", "M", "M", "F", "F", None])
    split = (Key(column="SEX"),)
    model = replace(given_model(0.9, 0.1), split=split)
    found = linked(batch, model=model, block_rows=3, clerical_review_threshold=1e-3)
    pairs = {(row["left"], row["right"]) for row in part(found, "pairs")}
    assert pairs == {(0, 1), (0, 2), (1, 2), (3, 4)}
    (block,) = part(found, "blocks")
    assert (block["split"], block["split_rows"], block["pairs"], block["largest"]) == (1, 6, 4, 3)


@pytest.mark.parametrize(("oversized", "split"), [("split", 1), ("leave_out", 0)])
def test_a_block_that_stays_too_large_is_left_out(oversized: str, split: int) -> None:
    """Its pairs come from other rules, or from none; `blocks` says so."""
    batch = people(
        last=["SMITH"] * 5 + ["LEE"] * 2, SEX=["M"] * 5 + ["F"] * 2, first=["A", "A", "B", "C", "D", "E", "F"]
    )
    rules = (BY_LAST, Rule(keys=(Key(column="first"),)))
    model = replace(given_model(0.9, 0.1), blocking=rules, split=(Key(column="SEX"),))
    found = linked(batch, model=model, block_rows=3, oversized=oversized, clerical_review_threshold=1e-3)
    assert [(row["left"], row["right"]) for row in part(found, "pairs")] == [(0, 1), (5, 6)]
    block, other = part(found, "blocks")
    assert (block["oversized"], block["oversized_rows"], block["split"]) == (1, 5, split)
    assert (block["blocks"], block["largest"], block["pairs"], block["new_pairs"]) == (2, 5, 1, 1)
    assert (other["oversized"], other["new_pairs"]) == (0, 1)


def test_a_rule_with_too_many_pairs_is_left_out_and_reported() -> None:
    batch = people(last=["SMITH"] * 4, first=["A", "A", "B", "C"])
    rules = (Rule(keys=(Key(column="last"),), most_pairs=5), Rule(keys=(Key(column="first"),)))
    found = linked(batch, model=replace(given_model(0.9, 0.1), blocking=rules), clerical_review_threshold=1e-3)
    assert [(row["left"], row["right"]) for row in part(found, "pairs")] == [(0, 1)]
    wide, narrow = part(found, "blocks")
    assert (wide["left_out"], wide["pairs"], wide["new_pairs"], wide["blocks"]) == (True, 5, 0, 0)
    assert (narrow["left_out"], narrow["pairs"], narrow["new_pairs"]) == (False, 1, 1)
    assert found.status.rows[found.status.codes == Code.NO_BLOCKING_KEY].tolist() == []


@pytest.mark.parametrize(("most", "pairs"), [(4, 4), (3, 0)])
def test_pairs_of_two_tables_are_counted_before_they_are_made(most: int, pairs: int) -> None:
    one, other = people(last=["A", "A", "B", None]), people(last=["A", "B", "B", "C"])
    rules = (replace(BY_LAST, most_pairs=most), Rule(keys=(Key(column="last"), Key(column="last", form="soundex"))))
    model = replace(given_model(0.9, 0.1), blocking=rules)
    found = link([one], one.schema, Link(model=model, clerical_review_threshold=1e-3), ignore, side=[other])
    blocks = part(found, "blocks")
    assert [row["pairs"] for row in blocks] == [min(most, 4), 4]
    assert [row["left_out"] for row in blocks] == [most < 4, False]
    assert [row["new_pairs"] for row in blocks] == [pairs, 4 - pairs]


def test_a_pair_counts_for_its_first_rule_only() -> None:
    batch = people(last=["SMITH", "SMITH"], first=["A", "A"])
    rules = (Rule(keys=(Key(column="last"),)), Rule(keys=(Key(column="first"),)))
    found = linked(batch, model=replace(given_model(0.9, 0.1), blocking=rules), clerical_review_threshold=1e-3)
    assert [row["new_pairs"] for row in part(found, "blocks")] == [1, 0]
    assert len(found.report.pairs) == 1


def _drawn(names: list[str], share: float, rows: Ints | None = None) -> dict[tuple[int, int], int]:
    """The weight of each pair of a sample, by the numbers of its rows."""
    table = read_table([people(last=names)], (), frozenset(("last",)), linking=False)
    table = table if rows is None else replace_table(table, rows=rows)
    found = dict[tuple[int, int], int]()
    for left, right, weight in plan(table, (BY_LAST,), (), Link()).sample(0, share, 3):
        assert len(left) <= CHUNK
        pairs = zip(table.rows[left].tolist(), table.rows[right].tolist(), strict=True)
        found |= dict(zip(pairs, weight.tolist(), strict=True))
    return found


@pytest.mark.parametrize("share", [0.5, 2.0, 1e6])
def test_a_sample_stands_for_the_pairs_of_its_rule(share: float) -> None:
    """Each pair at most once, all where there are no more, and about `share` for each row; weights add up to all."""
    names = ["A"] * 700 + ["B"] * 1000 + ["C"] * 2
    found = _drawn(names, share)
    assert all(left < right and names[left] == names[right] for left, right in found)
    if share > 1000:
        assert (len(found), set(found.values())) == (744_151, {WEIGHT})
    else:
        assert len(found) == pytest.approx(share * 1700, rel=0.05)
        assert sum(found.values()) / WEIGHT == pytest.approx(744_151, rel=0.05)


def test_a_sample_is_the_same_without_other_blocks() -> None:
    names = ["A", "B", "A", "C", "B", "A"] * 50
    whole = _drawn(names, 1.5)
    rows = np.array([row for row, name in enumerate(names) if name != "B"])
    some = _drawn([names[row] for row in rows], 1.5, rows)
    assert some == {pair: weight for pair, weight in whole.items() if names[pair[0]] != "B"}
