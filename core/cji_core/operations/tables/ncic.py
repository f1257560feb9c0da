"""`ncic.toml`: what columns of persons, hot files and criminal histories may hold."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cji_core.format.records import SCHEMAS


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class _Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    required: bool = False
    warning: bool = False


_Size = Annotated[int, Meta(ge=1, le=64)]


class TextRule(_Rule, frozen=True, kw_only=True, tag="text"):
    """`least` to `most` characters of the alphabet: A capitals, 9 digits; and of `also`."""

    least: _Size
    most: _Size
    alphabet: Literal["A", "9", "A9"]
    also: Annotated[str, Meta(pattern=r"^[ -~]*\Z")] = ""


class CodeRule(_Rule, frozen=True, kw_only=True, tag="code"):
    """A code of a table."""

    table: str


class NameRule(_Rule, frozen=True, kw_only=True, tag="name"):
    """`LAST, FIRST MIDDLE SUFFIX`."""

    least: _Size
    most: _Size


class NamePartRule(_Rule, frozen=True, kw_only=True, tag="name_part"):
    """A surname, a given name or a middle name."""

    least: _Size
    most: _Size


class DateRule(_Rule, frozen=True, kw_only=True, tag="date"):
    """A date, partial or in the future where it may be."""

    partial: bool = False
    future: bool = False


class NumberRule(_Rule, frozen=True, kw_only=True, tag="number"):
    """Exactly `digits` digits, X for an unknown one; a whole number lies in low..high."""

    digits: Annotated[int, Meta(ge=1, le=9)]
    low: int
    high: int


class HeightRule(_Rule, frozen=True, kw_only=True, tag="height"):
    """Feet and two digits of inches, in low..high."""

    low: int
    high: int


class SsnRule(_Rule, frozen=True, kw_only=True, tag="social"):
    """A Social Security number, X for an unknown digit."""


class VinRule(_Rule, frozen=True, kw_only=True, tag="vin"):
    """A vehicle identification number; of 17 characters, with its check digit."""

    most: _Size


class StatePrefixRule(_Rule, frozen=True, kw_only=True, tag="prefixed"):
    """A code of two characters, a hyphen, a number; `most` characters in all."""

    table: str
    most: _Size


class ShapeRule(_Rule, frozen=True, kw_only=True, tag="shape"):
    """Exactly this shape: A a capital, 9 a digit, N either."""

    shape: Annotated[str, Meta(pattern=r"^[A9N]{1,32}\Z")]


ColumnRule = (
    TextRule
    | CodeRule
    | NameRule
    | NamePartRule
    | DateRule
    | NumberRule
    | HeightRule
    | SsnRule
    | VinRule
    | StatePrefixRule
    | ShapeRule
)


class Order(_Table, frozen=True, kw_only=True):
    """Two date columns of which `first` is not after `then`."""

    first: str
    then: str


class Ncic(_Table, frozen=True, kw_only=True):
    """The permitted values of columns; a column without a rule is not checked."""

    version: Literal[1]
    codes: dict[str, Annotated[tuple[Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,8}\Z")], ...], Meta(min_length=1)]]
    columns: Annotated[dict[str, ColumnRule], Meta(min_length=1)]
    order: tuple[Order, ...] = ()

    def __post_init__(self) -> None:
        known = {name for schema in SCHEMAS.values() for name in schema.columns}
        for name, rule in self.columns.items():
            if name not in known:
                raise ValueError(f"a rule for the column {name}, which no schema has")
            if isinstance(rule, CodeRule | StatePrefixRule) and rule.table not in self.codes:
                raise ValueError(f"no table of codes {rule.table}")
            if isinstance(rule, NumberRule | HeightRule) and not 0 <= rule.low <= rule.high:
                raise ValueError(f"an empty range for {name}")
        for pair in self.order:
            if not all(isinstance(self.columns.get(name), DateRule) for name in (pair.first, pair.then)):
                raise ValueError(f"{pair.first} and {pair.then} are not both dates")
