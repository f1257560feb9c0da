"""Parameters of `validate`."""

import datetime
from functools import cache
from typing import Final

from msgspec.structs import replace

from cji_core.wire.v1 import worker_pb2 as pb
from cji_operations.nibrs.specification import BY_PERIOD, RULE_SETS
from cji_operations.parameters import Name, Parameters, Sealing, Sha256, decoded, known
from cji_operations.status_codes import ValueCode
from cji_operations.validate.codes import Code

NCIC: Final = "ncic/1"
"""The rule set for columns: of persons, hot files and criminal histories."""


class Validate(Parameters, frozen=True, kw_only=True, tag="validate"):
    """Left out, the rule set is that for the submission's period, or the one for columns, `as_of` the day of sealing.

    What lies after `as_of` is in the future. `without` has rules of the rule set that are switched off, by number;
    `also` has rules that it has withdrawn and that apply anyway. `tables_sha256` is the digest that the
    worker's tables must have.
    """

    rule_set: Name | None = None
    as_of: datetime.date | None = None
    without: tuple[Name, ...] = ()
    also: tuple[Name, ...] = ()
    tables_sha256: Sha256 | None = None

    def __post_init__(self) -> None:
        for field, rules in (("without", self.without), ("also", self.also)):
            if len(set(rules)) != len(rules):
                raise ValueError(f"{field}: a rule twice")
        if set(self.without) & set(self.also):
            raise ValueError("also: a rule that is switched off")
        if self.rule_set is not None:
            unknown = {*self.without, *self.also} - _rules(self.rule_set)
            if unknown:
                raise ValueError(f"without, also: {self.rule_set} has no rule {min(unknown)}")
            if self.rule_set == NCIC and self.also:
                raise ValueError(f"also: {NCIC} has withdrawn no rule")

    @property
    def is_nibrs(self) -> bool:
        """Whether the records are a NIBRS submission, not columns."""
        return self.rule_set != NCIC


@cache
def _rules(rule_set: str) -> frozenset[str]:
    """The rules by number. Raises: ValueError for an unknown rule set."""
    if rule_set == NCIC:
        return frozenset(str(code.value) for code in (*Code, *ValueCode) if code // 100 == 3)
    if rule_set not in (BY_PERIOD, *RULE_SETS):
        raise ValueError(f"rule_set: the rule sets are {', '.join(sorted((BY_PERIOD, *RULE_SETS, NCIC)))}")
    return frozenset(f"{rule.number:03d}" for found in RULE_SETS.values() for rule in found.rules)


def decode(message: pb.Validate) -> Validate:
    """The parameters in a header. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    return decoded(
        Validate,
        {
            "rule_set": message.rule_set,
            "as_of": message.as_of,
            "without": tuple(message.without),
            "also": tuple(message.also),
            "tables_sha256": message.tables_sha256.hex() or None,
        },
    )


def encode(parameters: Validate) -> pb.Validate:
    """The parameters as they stand in a header."""
    return pb.Validate(
        rule_set=known(parameters.rule_set),
        as_of=known(parameters.as_of).isoformat(),
        without=parameters.without,
        also=parameters.also,
        tables_sha256=bytes.fromhex(parameters.tables_sha256 or ""),
    )


def complete(parameters: Validate, sealing: Sealing) -> Validate:
    """With the rule set for the records, and the day of sealing, where there are no others."""
    default = BY_PERIOD if sealing.schema.startswith("nibrs.") else NCIC
    return replace(parameters, rule_set=parameters.rule_set or default, as_of=parameters.as_of or sealing.today)
