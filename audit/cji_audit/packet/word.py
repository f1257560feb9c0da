"""A document as DOCX, by python-docx. The same document has the same bytes."""

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time
from types import MappingProxyType
from typing import Any, Final
from zipfile import ZipFile

from cji_audit.packet.archive import packed
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
    Section,
    Table,
    Text,
)
from cji_audit.packet.errors import PacketError
from cji_audit.packet.pictures import Label, Picture
from cji_core.printable import printable

_COLOURS: Final = MappingProxyType({"good": "0B62A4", "bad": "B3470B", "open": "7A5C00", "plain": "59636E"})
_LINE, _HEAD = "BFC6CF", "EEF2F6"
_PAGE: Final = (279.4, 215.9)
_MARGIN: Final = 15.0
_WIDTH: Final = _PAGE[0] - 2 * _MARGIN
"""US Letter, landscape, in mm."""
_HIGH: Final = _PAGE[1] - 2 * _MARGIN - 25
"""Of a picture, beneath its heading."""
_SHARES: Final = MappingProxyType(
    {
        "unit": 21, "requirement": 72, "responsibility": 29, "what is done": 103, "status": 24,
        "check": 32, "what was found": 110, "fragments": 80, "meaning": 145,
        "what is missing": 170, "sanctionable": 28, "later": 20,
        "kind": 25, "evidence": 65, "SHA-256": 70, "re-check": 85,
        "trail": 30, "lines": 16, "hash of the last line": 70, "Merkle root": 70, "state": 35,
        "PCR": 14, "of": 35, "value": 150, "resource": 60, "found": 80, "export": 45,
    }
)  # fmt: skip
"""How wide the columns with these heads are beside each other; others have `_SHARE`."""
_SHARE: Final = 60
_FONT, _CODE_FONT = "Arial", "Courier New"
"""Fonts that every reader has, or has one of the same measures for (Liberation)."""
_STYLES: Final = ("Normal", "Title", "Heading 1", "Heading 2", "Intense Quote", "List Number", "Footer")


def docx(document: Document, *, dated: date) -> bytes:
    """The file; `dated` is its date of creation. PacketError if python-docx is not installed."""
    try:
        import docx as library  # noqa: PLC0415 - for the DOCX alone
    except ImportError as error:
        raise PacketError(
            "python-docx is not installed, and the DOCX needs it",
            "Install it: pip install python-docx. Or leave the DOCX out with --no-docx.",
        ) from error
    writer = _Writer(library.Document())
    writer.write(document, dated)
    return writer.bytes()


class _Writer:
    """Writes blocks into a python-docx document, whose classes are not typed."""

    def __init__(self, made: Any) -> None:
        from docx.enum.text import WD_TAB_ALIGNMENT  # noqa: PLC0415 - for the DOCX alone
        from docx.shared import Mm, Pt, RGBColor  # noqa: PLC0415

        from cji_audit.packet import wordml  # noqa: PLC0415

        self._made, self._mm, self._pt, self._colour = made, Mm, Pt, RGBColor
        self._pictures = 0
        self._right, self._xml = WD_TAB_ALIGNMENT.RIGHT, wordml

    def write(self, document: Document, dated: date) -> None:
        made, moment = self._made, datetime.combine(dated, time())
        self._lay_out(document.title)
        properties = made.core_properties
        properties.title, properties.author, properties.comments = document.title, "", ""
        properties.created = properties.modified = moment
        made.add_heading(document.title, 0)
        made.add_paragraph(document.notice, style="Intense Quote")
        self._blocks(document.cover)
        made.add_heading("Contents", 1)
        for section in document.sections:
            line = made.add_paragraph(style="List Number")
            line.paragraph_format.tab_stops.add_tab_stop(self._mm(120), self._right)
            self._xml.add_link(line, section.title, _bookmark(section))
            line.add_run("\t")
            self._xml.add_field(line, f"PAGEREF {_bookmark(section)}")
        for number, section in enumerate(document.sections):
            heading = made.add_heading(section.title, 1)
            heading.paragraph_format.page_break_before = True
            self._xml.add_bookmark(heading, _bookmark(section), number)
            self._blocks(section.blocks)
        made.add_paragraph()  # which Word requires after a table

    def _lay_out(self, title: str) -> None:
        """Paper, fonts, and a footer with the number of the page."""
        page, styles = self._made.sections[0], self._made.styles
        page.page_width, page.page_height = map(self._mm, _PAGE)
        for margin in ("left_margin", "right_margin", "top_margin", "bottom_margin"):
            setattr(page, margin, self._mm(_MARGIN))
        page.footer_distance = self._mm(_MARGIN / 2)
        for name in _STYLES:
            self._xml.set_font(styles[name], _FONT)
        styles["Normal"].font.size, styles["Footer"].font.size = self._pt(9), self._pt(8)
        styles["Title"].font.size = self._pt(22)
        self._xml.style_tables(styles["Table Grid"], line=_LINE)
        styles["Footer"].paragraph_format.tab_stops.clear_all()
        line = page.footer.paragraphs[0]
        line.paragraph_format.tab_stops.add_tab_stop(self._mm(_WIDTH), self._right)
        line.add_run(f"{title}\tPage ")
        self._xml.add_field(line, "PAGE")
        line.add_run(" of ")
        self._xml.add_field(line, "NUMPAGES")

    def bytes(self) -> bytes:
        """The file, with one date for all of its parts instead of the time at which it was written."""
        buffer = io.BytesIO()
        self._made.save(buffer)
        with ZipFile(buffer) as archive:
            return packed({name: archive.read(name) for name in archive.namelist()})

    def _blocks(self, blocks: Sequence[Block]) -> None:
        for number, block in enumerate(blocks):
            match block:
                case Heading(text):
                    self._made.add_heading(_printable(text), 2)
                case Text(text):
                    self._made.add_paragraph(_printable(text))
                case Listing(text):
                    self._code(self._made.add_paragraph(), text)
                case Facts(of):
                    self._table((), list(of.items()), (1, 2.5))
                case Picture():
                    self._pictures += 1
                    line = self._made.add_paragraph()
                    wide = min(_WIDTH, _HIGH * block.width / block.height)
                    self._xml.add_picture(line, _visible(block), number=self._pictures, width=self._mm(wide))
                case Table(heads, rows, _):
                    self._table(heads, rows, [_SHARES.get(head, _SHARE) for head in heads])
            # apart from the next table; after the last one it would begin a page of its own
            if isinstance(block, Facts | Table) and number + 1 < len(blocks):
                self._made.add_paragraph().paragraph_format.space_after = 0

    def _table(self, heads: Sequence[str], rows: Sequence[Sequence[Cell]], shares: Sequence[float]) -> None:
        table = self._made.add_table(rows=len(rows) + (1 if heads else 0), cols=len(shares), style="Table Grid")
        made = iter(table.rows)
        if heads:
            first = next(made)
            self._xml.repeated_head(first)
            for cell, head in zip(first.cells, heads, strict=True):
                cell.paragraphs[0].add_run(head).bold = True
                self._xml.shade(cell, _HEAD)
        for row, content in zip(made, rows, strict=True):
            for cell, each in zip(row.cells, content, strict=True):
                self._cell(cell, each)
        self._xml.fixed_grid(table, [self._mm(_WIDTH * share / sum(shares)) for share in shares])

    def _cell(self, cell: Any, content: Cell) -> None:
        paragraph = cell.paragraphs[0]
        match content:
            case Badge(text, tone):
                run = paragraph.add_run(text)
                run.bold, run.font.color.rgb = True, self._colour.from_string(_COLOURS[tone])
            case Code(text):
                self._code(paragraph, text)
            case Link(text):
                paragraph.add_run(_printable(text))
            case Names(of):
                paragraph.add_run(_printable(", ".join(of)))
            case str(text):
                paragraph.add_run(_printable(text))
            case _:
                for number, text in enumerate(content):
                    each = cell.add_paragraph() if number else paragraph
                    each.add_run(_printable(text))
                    each.paragraph_format.space_after = self._pt(2)

    def _code(self, paragraph: Any, text: str) -> None:
        run = paragraph.add_run(_printable(text))
        run.font.name, run.font.size = _CODE_FONT, self._pt(7)


def _bookmark(section: Section) -> str:
    return f"section_{section.id.replace('-', '_')}"


def _visible(picture: Picture) -> Picture:
    """The picture with texts that XML and a reader can show."""
    shapes = [replace(each, text=_printable(each.text)) if isinstance(each, Label) else each for each in picture.shapes]
    return replace(picture, description=_printable(picture.description), shapes=tuple(shapes))


def _printable(text: str) -> str:
    """The text without characters that XML or a reader cannot show."""
    return printable(text, keep="\n")
