"""JSON with the place of every value: what a person reads in a file has a line, and so has what is wrong with it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, Final

from cji_deploy.check.outcome import DeployError

__all__ = ["Placed", "read_placed"]

_BLANK: Final = re.compile(r"[ \t\r\n]*")
_SCALAR: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
_MAX_DEPTH: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A value, and where each value in it begins: line and column from 1, by JSON pointer."""

    value: Any
    at: Mapping[str, tuple[int, int]]

    def place(self, pointer: str) -> str:
        """`LINE:COLUMN` of the value at a pointer, or of the nearest one around it."""
        while pointer not in self.at and pointer:
            pointer = pointer.rpartition("/")[0]
        line, column = self.at[pointer]
        return f"{line}:{column}"


def read_placed(name: str, text: str) -> Placed:
    """Read the text of file `name`. Raises DeployError, also for a member that comes twice."""
    reader = _Reader(text)
    try:
        value = reader.value("", 0)
        reader.blank()
        if reader.index != len(text):
            raise ValueError("something after the value")
    except (ValueError, IndexError) as error:
        line, column = reader.here()
        what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise DeployError(f"{name}:{line}:{column}: not JSON: {what}") from error
    return Placed(value=value, at=reader.at)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.index = text, 0
        self.at: dict[str, tuple[int, int]] = {}

    def here(self) -> tuple[int, int]:
        before = self.text[: self.index]
        return before.count("\n") + 1, self.index - before.rfind("\n")

    def blank(self) -> None:
        found = _BLANK.match(self.text, self.index)
        self.index = found.end() if found else self.index

    def value(self, pointer: str, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError("too deep")
        self.blank()
        self.at[pointer] = self.here()
        match self.text[self.index]:
            case "{":
                return self._object(pointer, depth)
            case "[":
                return self._array(pointer, depth)
            case '"':
                return self._string()
        found = _SCALAR.match(self.text, self.index)
        if found is None:
            raise ValueError("no value")
        self.index = found.end()
        return json.loads(found[0])

    def _string(self) -> str:
        if self.text[self.index] != '"':
            raise ValueError("no name")
        text, self.index = scanstring(self.text, self.index + 1, True)
        return str(text)

    def _next(self, end: str) -> bool:
        """Whether the end comes, which is read; otherwise a comma must."""
        self.blank()
        mark = self.text[self.index]
        if mark not in (end, ","):
            raise ValueError(f"neither , nor {end}")
        self.index += 1
        return mark == end

    def _object(self, pointer: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self.index += 1
        self.blank()
        if self.text[self.index] == "}":
            self.index += 1
            return found
        while True:
            self.blank()
            start = self.index
            name = self._string()
            if name in found:
                self.index = start
                raise ValueError(f"{name!r} comes twice")
            self.blank()
            if self.text[self.index] != ":":
                raise ValueError("no colon")
            self.index += 1
            found[name] = self.value(f"{pointer}/{name}", depth + 1)
            if self._next("}"):
                return found

    def _array(self, pointer: str, depth: int) -> list[Any]:
        found: list[Any] = []
        self.index += 1
        self.blank()
        if self.text[self.index] == "]":
            self.index += 1
            return found
        while True:
            found.append(self.value(f"{pointer}/{len(found)}", depth + 1))
            if self._next("]"):
                return found
