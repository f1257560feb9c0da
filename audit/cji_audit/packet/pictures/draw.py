"""A picture as SVG: an element of a page, or a file. Attributes instead of styles, which a page's policy refuses."""

from collections.abc import Iterator
from math import hypot
from typing import Final
from xml.etree.ElementTree import Element, tostring

from cji_audit.packet.pictures.shapes import Box, Label, Line, Picture
from cji_core.page.markup import element

_HEAD: Final = 8
"""Length of an arrow's head."""


def svg_file(picture: Picture) -> bytes:
    """The picture as a file."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(svg(picture), encoding="unicode")}\n'.encode()


def svg(picture: Picture) -> Element:
    """The picture as an element, on white paper."""
    size = {"width": str(picture.width), "height": str(picture.height)}
    view = {"viewBox": f"0 0 {picture.width} {picture.height}"}
    made = element(
        "svg",
        element("title", picture.title),
        element("desc", *(f"{each}; " for each in picture.description.split("; "))),
        element("rect", **size, fill="#FFFFFF"),
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        font_family="Arial, Helvetica, sans-serif",
        font_size="12",
        **size,
        **view,
    )
    for shape in picture.shapes:
        match shape:
            case Box():
                made.append(_box(shape))
            case Line():
                made.extend(_line(shape))
            case Label():
                made.append(_label(shape))
    return made


def _box(of: Box) -> Element:
    dashes = {"stroke_dasharray": "7 4", "stroke_width": "2"} if of.dashed else {}
    return element(
        "rect",
        x=str(of.x),
        y=str(of.y),
        width=str(of.width),
        height=str(of.height),
        rx="3",
        fill=f"#{of.fill}" if of.fill else "none",
        stroke=f"#{of.line}",
        **dashes,
    )


def _line(of: Line) -> Iterator[Element]:
    ends = {"x1": str(of.x1), "y1": str(of.y1), "x2": str(of.x2), "y2": str(of.y2)}
    yield element("line", **ends, stroke=f"#{of.colour}", stroke_width="1.5")
    yield _head(of.x1, of.y1, of.x2, of.y2, of.colour)
    if of.both:
        yield _head(of.x2, of.y2, of.x1, of.y1, of.colour)


def _head(x1: int, y1: int, x2: int, y2: int, colour: str) -> Element:
    """The head at the second point. Rounded to tenths: the same bytes on every machine."""
    length = hypot(x2 - x1, y2 - y1)
    along = (x2 - x1) / length * _HEAD, (y2 - y1) / length * _HEAD
    back = x2 - along[0], y2 - along[1]
    across = -along[1] / 2, along[0] / 2
    points = ((x2, y2), (back[0] + across[0], back[1] + across[1]), (back[0] - across[0], back[1] - across[1]))
    return element("polygon", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), fill=f"#{colour}")


def _label(of: Label) -> Element:
    weight = {"font_weight": "bold"} if of.bold else {}
    return element("text", of.text, x=str(of.x), y=str(of.y + 4), text_anchor=of.at, fill=f"#{of.colour}", **weight)
