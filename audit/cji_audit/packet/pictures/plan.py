"""The plan of a picture: parts in columns and rows, lines between neighbouring sides, numbers, and a legend."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from cji_audit.packet.material import Material
from cji_audit.packet.pictures.shapes import Box, Label, Line, Picture, Shape
from cji_audit.packet.pictures.system import Carries, Facts, Flow, Node, Zone, flows, nodes, others, sources

_WIDTH: Final = 190
_GAP: Final = 62
_MARGIN: Final = 16
_LINE: Final = 17
_BETWEEN: Final = 30
_BADGE: Final = 16
_FILLS: Final[Mapping[Zone, tuple[str, str]]] = {
    "agency": ("F0FDF4", "15803D"),
    "boundary": ("FDF4FF", "7E22CE"),
    "cloud": ("EFF6FF", "2563EB"),
}
_ZONES: Final[Mapping[Zone, str]] = {
    "agency": "of the agency",
    "boundary": "inside the boundary: the confidential virtual machine of each worker",
    "cloud": "leveraged, of the cloud",
}
_COLOURS: Final[Mapping[Carries, str]] = {"sealed": "2563EB", "keys": "B3470B", "state": "59636E"}
_CARRIED: Final[Mapping[Carries, str]] = {"sealed": "sealed CJI", "keys": "keys", "state": "neither CJI nor keys"}
_INSIDE: Final = (1, 2)
"""Columns of the boundary."""


def boundary(material: Material) -> Picture:
    """The parts, the boundary of authorization, and what goes across it."""
    of = Facts(material)
    parts = nodes(of)
    inside = {each.id for each in parts if each.zone == "boundary"}
    crossing = [each for each in flows(of, parts) if not {each.source, each.target} <= inside]
    sets, more = of.deployed("compute/virtualmachinescalesets"), others(of)
    notes = [f"Scale set of the workers: {', '.join(sets)}."] if sets else []
    notes += [f"Also in the resource group: {more}."] if more else []
    title = "Authorization boundary"
    return _picture("authorization-boundary", title, parts, crossing, [*notes, *sources(of)])


def data_flow(material: Material) -> Picture:
    """The parts, and everything that flows between them."""
    of = Facts(material)
    parts = nodes(of)
    return _picture("data-flow", "Data flow", parts, flows(of, parts), [*sources(of)])


def _picture(name: str, title: str, parts: Sequence[Node], lines: Sequence[Flow], notes: Sequence[str]) -> Picture:
    boxes = _placed(parts)
    drawn = [*_around(boxes, parts), *_lines(boxes, lines)]
    for part in parts:
        drawn += _part(boxes[part.id], part)
    width = 2 * _MARGIN + 4 * _WIDTH + 3 * _GAP
    y = max(box.y + box.height for box in boxes.values()) + 2 * _BETWEEN
    legend = [*_legend(lines)]
    half = (len(legend) + 1) // 2
    for number, (text, colour) in enumerate(legend):
        column, row = divmod(number, half)
        drawn.append(Label(x=_MARGIN + column * width // 2, y=y + _LINE * row, text=text, colour=colour))
    y += _LINE * (half + 1)
    below = [*_wrapped(notes)]
    drawn += [Label(x=_MARGIN, y=y + _LINE * number, text=text) for number, text in enumerate(below)]
    words = "; ".join(f"{_titled(parts, each.source)} to {_titled(parts, each.target)}: {each.what}" for each in lines)
    return Picture(
        name=name, title=title, description=words, width=width, height=y + _LINE * len(below), shapes=tuple(drawn)
    )


def _titled(parts: Sequence[Node], id_: str) -> str:
    return next(each.title for each in parts if each.id == id_)


def _placed(parts: Sequence[Node]) -> dict[str, Box]:
    """The box of each part; a row is as high as its highest part, and an empty one is left out."""
    y, found = _MARGIN + _BETWEEN, dict[str, Box]()
    for row in sorted({each.row for each in parts}):
        of = [each for each in parts if each.row == row]
        height = max(_LINE * (len(each.lines) + 1) + 12 for each in of)
        for each in of:
            fill, line = _FILLS[each.zone]
            x = _MARGIN + each.column * (_WIDTH + _GAP)
            found[each.id] = Box(x=x, y=y, width=_WIDTH, height=height, fill=fill, line=line)
        y += height + _BETWEEN
    return found


def _around(boxes: Mapping[str, Box], parts: Sequence[Node]) -> Iterator[Shape]:
    """The boundary, with its name."""
    inside = [boxes[each.id] for each in parts if each.zone == "boundary"]
    x, y = min(box.x for box in inside) - 14, min(box.y for box in inside) - 26
    width = (len(_INSIDE) * _WIDTH) + _GAP + 28
    height = max(box.y + box.height for box in inside) + 14 - y
    yield Box(x=x, y=y, width=width, height=height, fill="", line=_FILLS["boundary"][1], dashed=True)
    yield Label(x=x + width // 2, y=y + 13, text="Authorization boundary", at="middle", bold=True, colour="7E22CE")


def _part(box: Box, part: Node) -> Iterator[Shape]:
    yield box
    middle = box.x + box.width // 2
    yield Label(x=middle, y=box.y + 6 + _LINE // 2, text=part.title, at="middle", bold=True)
    for number, text in enumerate(part.lines, 1):
        yield Label(x=middle, y=box.y + 6 + _LINE // 2 + _LINE * number, text=text, at="middle")


def _lines(boxes: Mapping[str, Box], lines: Sequence[Flow]) -> Iterator[Shape]:
    """Each flow from side to side; those that end at one side are spread over it. Numbers stand on the lines."""
    sides: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for number, each in enumerate(lines):
        for one, other in ((each.source, each.target), (each.target, each.source)):
            sides.setdefault((one, _side(boxes[one], boxes[other])), []).append((boxes[other].y, number))
    for number, each in enumerate(lines):
        (x1, y1), (x2, y2) = (
            _point(boxes[one], _side(boxes[one], boxes[other]), sides, one, number)
            for one, other in ((each.source, each.target), (each.target, each.source))
        )
        colour = _COLOURS[each.carries]
        yield Line(x1=x1, y1=y1, x2=x2, y2=y2, colour=colour, both=each.both)
        x, y = (x1 + x2) // 2, (y1 + y2) // 2
        half = _BADGE // 2
        yield Box(x=x - half, y=y - half, width=_BADGE, height=_BADGE, fill="FFFFFF", line=colour)
        yield Label(x=x, y=y, text=str(number + 1), at="middle", colour=colour)


def _side(box: Box, other: Box) -> str:
    if box.x == other.x:
        return "bottom" if box.y < other.y else "top"
    return "right" if box.x < other.x else "left"


def _point(
    box: Box, side: str, sides: Mapping[tuple[str, str], Sequence[tuple[int, int]]], id_: str, number: int
) -> tuple[int, int]:
    """The end of a line: the lines of one side stand in the order of their other ends."""
    order = [n for _, n in sorted(sides[id_, side])]
    share = (order.index(number) + 1) / (len(order) + 1)
    if side in {"top", "bottom"}:
        return box.x + round(box.width * share), box.y + (box.height if side == "bottom" else 0)
    return box.x + (box.width if side == "right" else 0), box.y + round(box.height * share)


def _legend(lines: Sequence[Flow]) -> Iterator[tuple[str, str]]:
    for number, each in enumerate(lines, 1):
        yield f"{number}  {each.what} ({_CARRIED[each.carries]})", _COLOURS[each.carries]
    for zone, words in _ZONES.items():
        yield f"■  {words}", _FILLS[zone][1]


def _wrapped(notes: Sequence[str]) -> Iterator[str]:
    """Notes in lines that fit the width."""
    for note in notes:
        line = ""
        for word in note.split():
            if len(line) + len(word) > 130:
                yield line
                line = ""
            line = f"{line} {word}".strip()
        yield line
