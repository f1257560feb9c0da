"""A case of the kit, and a file of cases."""

from dataclasses import dataclass, field
from typing import Any, Literal, Self

Result = Literal["valid", "invalid", "acceptable"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One input for a reader, `data`, with what it must find there, `expected`, and whether it must refuse.

    An invalid case breaks the one `rule`, for which a worker gives `reason` and a client `check`; without its one
    change it is the valid case `made_from`.
    """

    name: str
    result: Result
    rule: str = ""
    reason: str = ""
    check: str = ""
    made_from: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    expected: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def valid(cls, name: str, *, expected: dict[str, Any] | None = None, **data: Any) -> Self:
        """A case that opens, with what is in it."""
        return cls(name=name, result="valid", data=data, expected=expected or {})

    @classmethod
    def acceptable(cls, name: str, why: str, **data: Any) -> Self:
        """A case that opens here, and that another reader may refuse."""
        return cls(name=name, result="acceptable", rule=why, data=data)

    @classmethod
    def broken(cls, name: str, rule: str, reason: str, *, made_from: str, **data: Any) -> Self:
        """A case that a worker refuses."""
        return cls(name=name, result="invalid", rule=rule, reason=reason, made_from=made_from, data=data)

    @classmethod
    def untrue(cls, name: str, rule: str, check: str, *, made_from: str, **data: Any) -> Self:
        """A case that a client refuses."""
        return cls(name=name, result="invalid", rule=rule, check=check, made_from=made_from, data=data)

    def members(self) -> dict[str, Any]:
        """As it stands in a file: what is empty is left out."""
        named = ("result", "rule", "reason", "check", "data", "expected")
        found = {"id": self.name} | {name: getattr(self, name) for name in named if getattr(self, name)}
        return found | ({"from": self.made_from} if self.made_from else {})
