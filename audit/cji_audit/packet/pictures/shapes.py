"""The shapes of a picture, in pixels from its upper left corner; `draw` and `wordml` write them."""

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle; colours as RRGGBB, no fill if empty."""

    x: int
    y: int
    width: int
    height: int
    fill: str
    line: str
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line with a head at its end, and at its start if `both`."""

    x1: int
    y1: int
    x2: int
    y2: int
    colour: str
    both: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A line of text whose middle is at `y`; `x` is its start or its middle."""

    x: int
    y: int
    text: str
    at: Literal["start", "middle"] = "start"
    bold: bool = False
    colour: str = "1B1F24"


Shape: TypeAlias = Box | Line | Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture; `name` is that of its file, without a suffix."""

    name: str
    title: str
    description: str
    width: int
    height: int
    shapes: tuple[Shape, ...]
