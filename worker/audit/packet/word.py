"""A document as DOCX, by python-docx, which the extra `auditor` installs. The same document has the same bytes."""

import io
from collections.abc import Sequence
from datetime import date, datetime, time
from types import MappingProxyType
from typing import Any, Final
from zipfile import ZipFile

from worker.audit.packet.archive import packed
from worker.audit.packet.document import Badge, Block, Cell, Code, Document, Facts, Heading, Listing, Table, Text
from worker.audit.packet.errors import PacketError

_COLOURS: Final = MappingProxyType({"good": "0B62A4", "bad": "B3470B", "open": "7A5C00", "plain": "59636E"})
_WIDTHS: Final = MappingProxyType(
    {
        "family": (22, 95, 28, 97, 25),
        "open": (35, 130, 102),
        "pieces": (25, 72, 75, 95),
        "counts": (30, 25, 212),
        "pcrs": (20, 247),
    }
)
"""Widths of columns in mm, on A4 landscape with margins of 15 mm."""
_WIDTH: Final = 267


def docx(document: Document, *, dated: date) -> bytes:
    """The file; `dated` is its date of creation. PacketError if python-docx is not installed."""
    try:
        import docx as library  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise PacketError(
            "python-docx is not installed, and the DOCX needs it",
            "Install the extra: pip install 'cji-worker[auditor]'. Or leave the DOCX out with --no-docx.",
        ) from error
    writer = _Writer(library.Document())
    writer.write(document, dated)
    return writer.bytes()


class _Writer:
    """Writes blocks into a python-docx document, whose classes are not typed."""

    def __init__(self, made: Any) -> None:
        from docx.oxml import OxmlElement  # noqa: PLC0415 - an extra
        from docx.oxml.ns import qn  # noqa: PLC0415
        from docx.shared import Mm, Pt, RGBColor  # noqa: PLC0415

        self._made, self._mm, self._pt, self._colour = made, Mm, Pt, RGBColor
        self._element, self._qn = OxmlElement, qn

    def write(self, document: Document, dated: date) -> None:
        made, moment = self._made, datetime.combine(dated, time())
        page = made.sections[0]
        page.page_width, page.page_height = self._mm(297), self._mm(210)
        for margin in ("left_margin", "right_margin", "top_margin", "bottom_margin"):
            setattr(page, margin, self._mm(15))
        made.styles["Normal"].font.size = self._pt(9)
        properties = made.core_properties
        properties.title, properties.author, properties.comments = document.title, "", ""
        properties.created = properties.modified = moment
        made.add_heading(document.title, 0)
        made.add_paragraph(document.notice, style="Intense Quote")
        self._blocks(document.cover)
        made.add_heading("Contents", 1)
        for section in document.sections:
            made.add_paragraph(section.title, style="List Number")
        for section in document.sections:
            made.add_page_break()
            made.add_heading(section.title, 1)
            self._blocks(section.blocks)

    def bytes(self) -> bytes:
        """The file, with one date for all of its parts instead of the time at which it was written."""
        buffer = io.BytesIO()
        self._made.save(buffer)
        with ZipFile(buffer) as archive:
            return packed({name: archive.read(name) for name in archive.namelist()})

    def _blocks(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            match block:
                case Heading(text):
                    self._made.add_heading(_printable(text), 2)
                case Text(text):
                    self._made.add_paragraph(_printable(text))
                case Listing(text):
                    self._code(self._made.add_paragraph(), text)
                case Facts(of):
                    self._table((), list(of.items()), (70, _WIDTH - 70))
                case Table(heads, rows, class_):
                    even = (_WIDTH // len(heads),) * len(heads)
                    widths = _WIDTHS.get(class_, even)
                    self._table(heads, rows, widths if len(widths) == len(heads) else even)

    def _table(self, heads: Sequence[str], rows: Sequence[Sequence[Cell]], widths: Sequence[int]) -> None:
        table = self._made.add_table(rows=len(rows) + bool(heads), cols=len(widths), style="Table Grid")
        table.autofit = False
        made = iter(table.rows)
        if heads:
            first = next(made)
            first._tr.get_or_add_trPr().append(self._element("w:tblHeader"))  # repeated on each page
            for cell, head in zip(first.cells, heads, strict=True):
                cell.paragraphs[0].add_run(head).bold = True
        for row, content in zip(made, rows, strict=True):
            for cell, each in zip(row.cells, content, strict=True):
                self._cell(cell, each)
        for row in table.rows:
            for cell, width in zip(row.cells, widths, strict=True):
                cell.width = self._mm(width)
        self._made.add_paragraph()

    def _cell(self, cell: Any, content: Cell) -> None:
        paragraph = cell.paragraphs[0]
        match content:
            case Badge(text, tone):
                run = paragraph.add_run(text)
                run.bold, run.font.color.rgb = True, self._colour.from_string(_COLOURS[tone])
            case Code(text):
                self._code(paragraph, text)
            case str(text):
                paragraph.add_run(_printable(text))
            case _:
                for number, text in enumerate(content):
                    (cell.add_paragraph() if number else paragraph).add_run(_printable(text))

    def _code(self, paragraph: Any, text: str) -> None:
        run = paragraph.add_run(_printable(text))
        run.font.name, run.font.size = "Consolas", self._pt(7)


def _printable(text: str) -> str:
    """The text without characters that XML or a reader cannot show."""
    return "".join(c if c.isprintable() or c == "\n" else f"⟨U+{ord(c):04X}⟩" for c in text)
