"""The pairs of every rule on records at hand, and keys that would make a rule tighter.

For anyone who has the records: a refusal cannot name the rule that has too many pairs, because this depends on them.
Whether a job is too large is what `linkage.admit` says, here and in a worker.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from cji_core.operations.link.declaration import Link
from cji_core.operations.link.model import Key, Rule
from cji_operations.kernels.pairs import grouped
from cji_operations.link.blocking import Bound, key_codes, sizes, total_pairs
from cji_operations.link.columns import Table
from cji_operations.link.linkage import admit


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCount:
    """A rule, its blocks, the records of the largest, its pairs, whether it is left out, and blocks that are.

    Of a rule that is left out, before any block is split; of others, after it.
    """

    rule: Rule
    blocks: int
    largest: int
    pairs: int
    left_out: bool
    oversized: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """All blocking rules; `widest` has the most pairs of those that are not left out, `tighter` may take its place.

    `records` are compared, equal ones as one; `accepted`: a worker takes the job. `deterministic` and `relatives`:
    pairs of the rules of these names in the model, which have the same limit.
    """

    records: int
    rules: tuple[RuleCount, ...]
    widest: RuleCount
    tighter: tuple[RuleCount, ...]
    deterministic: int
    relatives: int
    accepted: bool

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
    job = admit(records, schema, parameters, side=side)
    rules = tuple(_bound(job.table, one) for one in job.blocking.rules)
    widest = max(rules, key=lambda one: (not one.left_out, one.pairs))
    more = (Rule(keys=(*widest.rule.keys, key)) for key in job.model.split if _adds(key, widest.rule))
    tighter = sorted((_counted(job.table, rule) for rule in more), key=lambda one: one.pairs, reverse=True)
    share = widest.pairs // 4
    return Counts(
        records=job.table.units,
        rules=rules,
        widest=widest,
        tighter=tuple(one for one in tighter if 0 < one.pairs <= share),
        deterministic=total_pairs([one.counted for one in job.deterministic.rules]),
        relatives=total_pairs([one.counted for one in job.relatives.rules]),
        accepted=job.exceeds is None,
    )


def _adds(key: Key, rule: Rule) -> bool:
    """Whether the key is of a column that the rule does not look at whole."""
    return all(key.column not in one.columns for one in rule.keys)


def _bound(table: Table, one: Bound) -> RuleCount:
    if one.counted.left_out:
        return _counted(table, one.rule)
    found = one.counted
    return RuleCount(
        rule=one.rule,
        blocks=found.number,
        largest=found.largest,
        pairs=found.pairs,
        left_out=False,
        oversized=found.oversized,
    )


def _counted(table: Table, rule: Rule) -> RuleCount:
    number, largest, pairs = sizes(table, *grouped(key_codes(table, rule.keys)))
    out = rule.most_pairs is not None and pairs > rule.most_pairs
    return RuleCount(rule=rule, blocks=number, largest=largest, pairs=pairs, left_out=out, oversized=0)
