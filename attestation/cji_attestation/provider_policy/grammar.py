"""The parts of an attestation policy, as `provider_policy.parser` reads them and names their sources."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Version: TypeAlias = Literal["1.0", "1.1", "1.2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A property of a claim that a condition of the same rule found."""

    name: str
    property: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function of policy version 1.2."""

    function: str
    arguments: tuple["Operand", ...]


Operand: TypeAlias = str | int | bool | Reference | Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One property of a claim compared with an operand."""

    property: str
    operator: str
    operand: Operand


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Some claim passes every test; with `absent`, none does."""

    name: str | None
    absent: bool
    tests: tuple[Comparison, ...]

    def equals(self, prop: str) -> Operand | None:
        """The literal that the property must equal, or None unless there is exactly one."""
        said = [test for test in self.tests if test.property == prop]
        literal = len(said) == 1 and said[0].operator == "==" and not isinstance(said[0].operand, Reference | Call)
        return said[0].operand if literal else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """The action of a rule: nothing else, pass on the claim that a condition names `claim`, or make `assigned`."""

    verb: str
    claim: str | None
    assigned: Mapping[str, Operand]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRule:
    """If all conditions hold, the action is done. `where` names the section and the rule's number in it, from 1."""

    conditions: tuple[Condition, ...]
    action: Action
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MaaPolicy:
    """A policy that follows the grammar."""

    version: Version
    configuration: tuple[ClaimRule, ...]
    authorization: tuple[ClaimRule, ...]
    issuance: tuple[ClaimRule, ...]
