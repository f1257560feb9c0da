"""Tables of parameters in docs/operations: names, kinds and defaults from the declarations, meanings from the page.

A table stands between `<!-- parameters: NAME -->` and `<!-- /parameters -->`, with a row for each parameter that a job
spec may give: `| name | meaning | kind | default |`. Only the meaning is written by hand.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import inspect

from cji_core.operations.registry import OPERATIONS

__all__ = ["ParametersTableError", "rewritten"]

_TABLE: Final = re.compile(r"(?<=<!-- parameters: )([a-z_]+)( -->\n)(.*?)(?=<!-- /parameters -->)", re.DOTALL)
_ROW: Final = re.compile(r"^\| `(\w+)` \| (.*) \|[^|]*\|[^|]*\|$", re.MULTILINE)


class ParametersTableError(ValueError):
    """A table has not exactly the parameters of its operation."""


def rewritten(page: str) -> str:
    """The page with its tables of parameters as they are declared."""

    def table(found: re.Match[str]) -> str:
        name, end, rows = found.groups()
        return "\n".join((name + end.rstrip("\n"), *_table(name, dict(_ROW.findall(rows))), ""))

    return _TABLE.sub(table, page)


def _table(name: str, meanings: Mapping[str, str]) -> Iterator[str]:
    declared = inspect.type_info(OPERATIONS[name].parameters)
    if not isinstance(declared, inspect.StructType):
        raise TypeError(name)
    # bytes are filled when a job is sealed
    fields = {each.name: each for each in declared.fields if not isinstance(each.type, inspect.BytesType)}
    if differ := fields.keys() ^ meanings.keys():
        raise ParametersTableError(f"{name}: {', '.join(sorted(differ))} is declared or described, and not both")
    yield "| parameter | meaning | kind | default |"
    yield "|---|---|---|---|"
    for each, meaning in meanings.items():
        yield f"| `{each}` | {meaning} | {_kind(fields[each].type)} | {_default(fields[each])} |"


def _kind(of: inspect.Type) -> str:
    match of:
        case inspect.UnionType(types=types):
            return ", or ".join(_kind(one) for one in types if not isinstance(one, inspect.NoneType))
        case inspect.LiteralType(values=values):
            return ", ".join(f"`{value}`" for value in values)
        case inspect.IntType() | inspect.FloatType():
            return ("whole number" if isinstance(of, inspect.IntType) else "number") + _range(of)
        case inspect.VarTupleType(max_length=most):
            return "list" if most is None else f"list of at most {most}"
        case inspect.DictType(max_length=most):
            return "table" if most is None else f"table of at most {most}"
        case _:
            return _SIMPLE[type(of)]


_SIMPLE: Final[Mapping[type, str]] = {
    inspect.BoolType: "`true`, `false`",
    inspect.CustomType: "name of a file",
    inspect.DateType: "`YYYY-MM-DD`",
    inspect.StrType: "text",
    inspect.StructType: "table",
}


def _range(of: inspect.IntType | inspect.FloatType) -> str:
    limits = {"above": of.gt, "from": of.ge, "below": of.lt, "to": of.le}
    return "".join(f" {word} {limit:,}".replace(",", " ") for word, limit in limits.items() if limit is not None)


def _default(of: inspect.Field) -> str:
    if of.required:
        return "**required**"
    match of.default:
        case bool(value):
            return f"`{str(value).lower()}`"
        case int(value) | float(value):
            return f"{value:,}".replace(",", " ")
        case str(value) if value:
            return f"`{value}`"
        case tuple(values) if values:
            return "all"
        case _:
            return ""
