"""Pieces of WordprocessingML (ISO/IEC 29500-1) that python-docx has no names for.

Needs python-docx, whose classes are not typed.
"""

from collections.abc import Sequence
from typing import Any

from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import nsdecls, qn


def set_font(style: Any, name: str) -> None:
    """The font of a style, instead of that of the theme, which depends on the reader's machine."""
    style.font.name = name
    fonts = style.element.rPr.rFonts
    for script in ("ascii", "hAnsi", "eastAsia", "cs"):
        fonts.attrib.pop(qn(f"w:{'cstheme' if script == 'cs' else script + 'Theme'}"), None)
        fonts.set(qn(f"w:{script}"), name)


def style_tables(style: Any, *, line: str) -> None:
    """The colour of a table style's lines, and margins of 1 mm (57 twentieths of a point) in its cells."""
    properties = style.element.find(qn("w:tblPr"))
    for each in properties.find(qn("w:tblBorders")):
        each.set(qn("w:color"), line)
    margins = "".join(f'<w:{side} w:w="57" w:type="dxa"/>' for side in ("top", "left", "bottom", "right"))
    old = properties.find(qn("w:tblCellMar"))
    if old is not None:
        properties.remove(old)
    properties.append(parse_xml(f"<w:tblCellMar {nsdecls('w')}>{margins}</w:tblCellMar>"))


def fixed_grid(table: Any, widths: Sequence[Any]) -> None:
    """Columns of these lengths, in the grid and in every cell: LibreOffice follows the one, Word the other."""
    table.autofit = False
    whole = table._tbl.tblPr.find(qn("w:tblW"))
    whole.set(qn("w:type"), "dxa")
    whole.set(qn("w:w"), str(sum(width.twips for width in widths)))
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    for row in table.rows:
        row._tr.get_or_add_trPr().append(OxmlElement("w:cantSplit"))
        for cell, width in zip(row.cells, widths, strict=True):
            cell.width = width


def repeated_head(row: Any) -> None:
    """Repeat a table's first row on each of its pages."""
    row._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))


def shade(cell: Any, colour: str) -> None:
    """The colour behind a cell."""
    cell._tc.get_or_add_tcPr().append(
        parse_xml(f'<w:shd {nsdecls("w")} w:val="clear" w:color="auto" w:fill="{colour}"/>')
    )


def add_bookmark(paragraph: Any, name: str, number: int) -> None:
    """Name a place in the document; `number` is unique."""
    for kind, more in (("bookmarkStart", f' w:name="{name}"'), ("bookmarkEnd", "")):
        paragraph._p.append(parse_xml(f'<w:{kind} {nsdecls("w")} w:id="{number}"{more}/>'))


def add_link(paragraph: Any, text: str, bookmark: str) -> None:
    """Text that leads to a bookmark."""
    run = paragraph.add_run(text)._r
    link = parse_xml(f'<w:hyperlink {nsdecls("w")} w:anchor="{bookmark}" w:history="1"/>')
    paragraph._p.append(link)
    link.append(run)


def add_field(paragraph: Any, instruction: str) -> None:
    """A value that the reader's program computes, such as PAGE; until then nothing is shown."""
    run = paragraph.add_run()._r
    for piece in (
        '<w:fldChar {} w:fldCharType="begin" w:dirty="true"/>',
        f'<w:instrText {{}} xml:space="preserve"> {instruction} </w:instrText>',
        '<w:fldChar {} w:fldCharType="separate"/>',
        "<w:t {}></w:t>",
        '<w:fldChar {} w:fldCharType="end"/>',
    ):
        run.append(parse_xml(piece.format(nsdecls("w"))))
