"""A document as one HTML page in the design of `cji_core.page`."""

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from cji_audit.packet.document import (
    Badge,
    Block,
    Cell,
    Code,
    Document,
    Facts,
    Heading,
    Link,
    Listing,
    Names,
    Table,
    Text,
)
from cji_audit.packet.pictures import Picture, svg
from cji_core.page.markup import element, facts, page, table

_PIECE: Final = 900
"""Characters in one piece of text; an element bounds each piece that it is given."""


def html(document: Document) -> Iterator[str]:
    """The page, a piece at a time."""
    return page(document.title, document.notice, _content(document))


def _content(document: Document) -> Iterator[Element]:
    yield element("section", *map(_block, document.cover))
    links = (element("li", element("a", each.title, href=f"#{each.id}")) for each in document.sections)
    yield element("nav", element("h2", "Contents"), element("ol", *links))
    for each in document.sections:
        yield element("section", element("h2", each.title), *map(_block, each.blocks), id=each.id)


def _block(block: Block) -> Element:
    match block:
        case Heading(text):
            return element("h3", *_pieces(text))
        case Text(text):
            return element("p", *_pieces(text))
        case Listing(text, anchor):
            made = element("pre", **({"id": anchor} if anchor else {}))
            for line in text.splitlines():
                made.append(element("span", *_pieces(line or " ")))
            return made
        case Facts(of):
            return facts({name: element("bdi", *_pieces(text)) for name, text in of.items()})
        case Table(heads, rows, class_):
            return table(heads, [[_cell(cell) for cell in row] for row in rows], class_=class_)
        case Picture():
            return svg(block)


def _cell(cell: Cell) -> Element:
    match cell:
        case Badge(text, tone):
            return element("span", text, class_=f"chip {tone}")
        case Code(text):
            return element("code", *_pieces(text))
        case Link(text, target):
            return element("a", text, href=f"#{target}")
        case Names(of):
            shown = [f"{name}," for name in of[:-1]] + list(of[-1:])
            return element("div", *(part for name in shown for part in (element("span", name, class_="short"), " ")))
        case str(text):
            return element("div", *_pieces(text))
        case _:
            return element("div", *(element("p", *_pieces(each)) for each in cell))


def _pieces(text: str) -> list[str]:
    return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
