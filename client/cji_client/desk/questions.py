"""The questions of a form about the parameters of an operation.

A question names a field of the parameters. Its control, its bounds and its default are read from the declaration of
that field: a switch, a number, a day, a text, one of several words, or a choice for each column of the records.
"""

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final

import msgspec
from msgspec import inspect

from cji_client.errors import SpecError
from cji_core.operations.parameters import Parameters

TODAY: Final = "today"
"""As the first answer of a day."""
YES: Final = "yes"


class Control(Enum):
    """How an answer is given."""

    SWITCH = auto()
    NUMBER = auto()
    DAY = auto()
    TEXT = auto()
    ONE = auto()
    """One of `words`."""
    SEVERAL = auto()
    """Any of `words`."""
    COLUMN = auto()
    """One column, or none."""
    COLUMNS = auto()
    """Any of the columns that `choices` lets be chosen."""
    EACH = auto()
    """One of `words` for each column."""


_BY_TYPE: Final[Mapping[type, Control]] = {
    inspect.BoolType: Control.SWITCH,
    inspect.IntType: Control.NUMBER,
    inspect.DateType: Control.DAY,
    inspect.LiteralType: Control.ONE,
    inspect.VarTupleType: Control.SEVERAL,
    inspect.DictType: Control.EACH,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """One field of the parameters, in words. `words` are the options by value; the declaration may know more of them.

    `choices` are the options of a column, the one that is right for most first; a column without any is not asked for.
    `first` is the answer before anybody gave one, where it is not the default of the declaration.
    """

    of: type[Parameters]
    field: str
    label: str
    hint: str = ""
    words: Mapping[str, str] = dataclasses.field(default_factory=dict)
    choices: Callable[[str], Sequence[str]] | None = None
    first: Any = None

    @property
    def _type(self) -> Any:
        known = inspect.type_info(self.of)
        fields = known.fields if isinstance(known, inspect.StructType) else ()
        found = next(each.type for each in fields if each.name == self.field)
        if isinstance(found, inspect.UnionType):
            found = next(each for each in found.types if not isinstance(each, inspect.NoneType))
        return found

    @property
    def control(self) -> Control:
        """By the type of the field."""
        found = _BY_TYPE.get(type(self._type), Control.TEXT)
        if found is Control.TEXT:
            return Control.ONE if self.words else Control.TEXT if self.choices is None else Control.COLUMN
        return Control.COLUMNS if found is Control.SEVERAL and self.choices is not None else found

    @property
    def bounds(self) -> tuple[int | None, int | None]:
        """Of a number."""
        found = self._type
        return found.ge, found.le

    def asked(self, columns: Sequence[str]) -> dict[str, Sequence[str]]:
        """The columns that it is about, each with its options."""
        return {name: found for name in columns if self.choices is not None and (found := self.choices(name))}

    def suggested(self, columns: Sequence[str]) -> Any:
        """The answer before anybody gave one."""
        options = self.asked(columns)
        if self.control is Control.EACH:
            return {name: found[0] for name, found in options.items()}
        if self.control is Control.COLUMNS:
            return [name for name, found in options.items() if found[0]]
        if self.control is Control.COLUMN:
            return next((name for name, found in options.items() if found[0]), "")
        if self.first is not None:
            return datetime.datetime.now(tz=datetime.UTC).date().isoformat() if self.first == TODAY else self.first
        given = next(each for each in msgspec.structs.fields(self.of) if each.name == self.field).default
        if self.control is Control.SEVERAL:
            return list(self.words)
        return "" if given is msgspec.NODEFAULT or given is None else given

    def current(self, columns: Sequence[str], answers: Mapping[str, Any]) -> Any:
        """The answer that was given, as far as these columns have it; else the suggested one."""
        suggested = self.suggested(columns)
        if self.field not in answers:
            return suggested
        given, options = answers[self.field], self.asked(columns)
        if self.control is Control.EACH:
            return {name: given.get(name, found) for name, found in suggested.items()}
        if self.control is Control.COLUMNS:
            return [name for name in given if name in options]
        return suggested if self.control is Control.COLUMN and given not in ("", *options) else given

    def read(self, form: Mapping[str, str], columns: Sequence[str]) -> Any:
        """The answer in a form; SpecError for one that it cannot have."""
        options = self.asked(columns)
        if self.control is Control.EACH:
            return {name: self._one(form.get(self.name(name), ""), found) for name, found in options.items()}
        if self.control is Control.COLUMNS:
            return [name for name in options if form.get(self.name(name)) == YES]
        if self.control is Control.SEVERAL:
            return [name for name in self.words if form.get(self.name(name)) == YES]
        reads: dict[Control, Callable[[str], Any]] = {
            Control.SWITCH: lambda text: text == YES,
            Control.COLUMN: lambda text: self._one(text, ("", *options)),
            Control.ONE: lambda text: self._one(text, tuple(self.words)),
            Control.NUMBER: self._number,
            Control.DAY: self._day,
            Control.TEXT: str,
        }
        return reads[self.control](form.get(self.name(), "").strip())

    def name(self, column: str = "") -> str:
        """Of a control in the form."""
        return f"q-{self.field}-{column}" if column else f"q-{self.field}"

    def _one(self, text: str, options: Sequence[str]) -> str:
        if text not in options:
            raise SpecError(f"{self.label}: no answer was chosen", remedy="Choose one.")
        return text

    def _number(self, text: str) -> int:
        least, most = self.bounds
        if not text.isdecimal() or len(text) > 9 or not (least or 0) <= int(text) <= (most or 10**9):
            span = f"from {least or 0:,}" if most is None else f"from {least or 0:,} to {most:,}"
            raise SpecError(f"{self.label}: this is not a whole number {span}", remedy="Write one.")
        return int(text)

    def _day(self, text: str) -> str:
        try:
            return datetime.date.fromisoformat(text).isoformat()
        except ValueError:
            raise SpecError(f"{self.label}: this is not a day", remedy="Write it as 2026-12-31.") from None
