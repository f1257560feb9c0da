"""The pairs of every rule on records at hand, and keys that would make a rule tighter.

For anyone who has the records: a refusal cannot name the rule that has too many pairs, because this depends on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from cji_core.operations.link.declaration import Link
from cji_core.operations.link.model import Key, Rule
from cji_operations.link.blocking import sizes
from cji_operations.link.columns import Table, read_table
from cji_operations.link.linkage import bind, columns_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCount:
    """A rule, its blocks, the rows of the largest, its pairs before any block is split, and whether it is left out."""

    rule: Rule
    blocks: int
    largest: int
    pairs: int
    left_out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """All blocking rules; `widest` has the most pairs of those that are not left out, `tighter` may take its place."""

    rules: tuple[RuleCount, ...]
    widest: RuleCount
    tighter: tuple[RuleCount, ...]

    @property
    def pairs(self) -> int:
        """Of all rules that are not left out; one that several rules have counts several times."""
        return sum(one.pairs for one in self.rules if not one.left_out)


def count_rules(
    records: Sequence[pa.RecordBatch],
    schema: pa.Schema,
    parameters: Link,
    *,
    side: Sequence[pa.RecordBatch] | None = None,
) -> Counts:
    """Count the pairs of the model's blocking rules. Raises: Refusal(BAD_PARAMETERS) as `linkage.bind` does."""
    model = bind(parameters, schema)
    table = read_table(records, side or (), columns_of(model), linking=side is not None)
    rules = tuple(_counted(table, rule) for rule in model.blocking)
    widest = max(rules, key=lambda one: (not one.left_out, one.pairs))
    more = (Rule(keys=(*widest.rule.keys, key)) for key in model.split if _adds(key, widest.rule))
    tighter = sorted((_counted(table, rule) for rule in more), key=lambda one: one.pairs, reverse=True)
    share = widest.pairs // 4
    return Counts(rules=rules, widest=widest, tighter=tuple(one for one in tighter if 0 < one.pairs <= share))


def _adds(key: Key, rule: Rule) -> bool:
    """Whether the key is of a column that the rule does not look at whole."""
    return all(key.column not in one.columns for one in rule.keys)


def _counted(table: Table, rule: Rule) -> RuleCount:
    number, largest, pairs = sizes(table, rule.keys)
    out = rule.most_pairs is not None and pairs > rule.most_pairs
    return RuleCount(rule=rule, blocks=number, largest=largest, pairs=pairs, left_out=out)
