"""Pieces of WordprocessingML (ISO/IEC 29500-1) that python-docx has no names for.

Needs python-docx, whose classes are not typed.
"""

from collections.abc import Sequence
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import nsdecls, qn

from cji_audit.packet.pictures import Box, Label, Line, Picture

_DRAWN: Final = (
    'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:wpg="http://schemas.microsoft.com/office/word/2010/wordprocessingGroup" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
)
_POINT: Final = 12700
"""English metric units, EMU, of a point."""
_TEXT, _LEADING = 12, 16
"""Size and height of a line of text in a picture, in its pixels."""
_WIDE: Final = {"middle": 250, "start": 940}
"""Room for a line of text, in pixels."""


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


def add_picture(paragraph: Any, picture: Picture, *, number: int, width: int) -> None:
    """A picture as a group of shapes, `width` EMU wide; `number` is unique. Word and LibreOffice show and edit them."""
    pixel = width / picture.width
    high = round(picture.height * pixel)
    shapes = "".join(_shape(shape, n, pixel) for n, shape in enumerate(picture.shapes, 1))
    frame = "".join(f'<a:{n}off x="0" y="0"/><a:{n}ext cx="{width}" cy="{high}"/>' for n in ("", "ch"))
    frame = frame.replace("choff", "chOff").replace("chext", "chExt")
    words = f"name={quoteattr(picture.title)} descr={quoteattr(picture.description)}"
    paragraph.add_run()._r.append(
        parse_xml(
            f'<mc:AlternateContent {_DRAWN}><mc:Choice Requires="wpg"><w:drawing>'
            f'<wp:inline distT="0" distB="0" distL="0" distR="0"><wp:extent cx="{width}" cy="{high}"/>'
            f'<wp:docPr id="{number}" {words}/><wp:cNvGraphicFramePr/><a:graphic><a:graphicData '
            f'uri="http://schemas.microsoft.com/office/word/2010/wordprocessingGroup"><wpg:wgp><wpg:cNvGrpSpPr/>'
            f"<wpg:grpSpPr><a:xfrm>{frame}</a:xfrm></wpg:grpSpPr>{shapes}</wpg:wgp></a:graphicData></a:graphic>"
            f"</wp:inline></w:drawing></mc:Choice></mc:AlternateContent>"
        )
    )


def _shape(shape: Box | Line | Label, number: int, pixel: float) -> str:
    """A shape of the group; lines in half a point."""
    kind, text = "<wps:cNvSpPr/>", ""
    match shape:
        case Box():
            fill = f'<a:solidFill><a:srgbClr val="{shape.fill}"/></a:solidFill>' if shape.fill else "<a:noFill/>"
            dash = '<a:prstDash val="dash"/>' if shape.dashed else ""
            form = f"{_at(shape.x, shape.y, shape.width, shape.height, pixel)}{_form('rect')}{fill}"
            form += f'<a:ln w="6350"><a:solidFill><a:srgbClr val="{shape.line}"/></a:solidFill>{dash}</a:ln>'
        case Line():
            kind = "<wps:cNvCnPr/>"
            left, top = min(shape.x1, shape.x2), min(shape.y1, shape.y2)
            flip = ' flipH="1"' * (shape.x2 < shape.x1) + ' flipV="1"' * (shape.y2 < shape.y1)
            form = _at(left, top, abs(shape.x2 - shape.x1), abs(shape.y2 - shape.y1), pixel, flip=flip) + _form("line")
            form += f'<a:ln w="6350"><a:solidFill><a:srgbClr val="{shape.colour}"/></a:solidFill>'
            form += '<a:headEnd type="triangle"/>' * shape.both + '<a:tailEnd type="triangle"/></a:ln>'
        case Label():
            kind, wide = '<wps:cNvSpPr txBox="1"/>', _WIDE[shape.at]
            left = shape.x - (wide // 2 if shape.at == "middle" else 0)
            form = f"{_at(left, shape.y - _LEADING // 2, wide, _LEADING, pixel)}{_form('rect')}<a:noFill/>"
            text = f"<wps:txbx><w:txbxContent>{_words(shape, pixel)}</w:txbxContent></wps:txbx>"
    return (
        f'<wps:wsp><wps:cNvPr id="{1000 + number}" name="{number}"/>{kind}<wps:spPr>{form}</wps:spPr>{text}'
        f'<wps:bodyPr lIns="0" tIns="0" rIns="0" bIns="0" anchor="ctr"/></wps:wsp>'
    )


def _at(x: int, y: int, width: int, height: int, pixel: float, *, flip: str = "") -> str:
    left, top, wide, high = (round(each * pixel) for each in (x, y, width, height))
    return f'<a:xfrm{flip}><a:off x="{left}" y="{top}"/><a:ext cx="{wide}" cy="{high}"/></a:xfrm>'


def _form(name: str) -> str:
    return f'<a:prstGeom prst="{name}"><a:avLst/></a:prstGeom>'


def _words(label: Label, pixel: float) -> str:
    where = "center" if label.at == "middle" else "left"
    bold = "<w:b/>" if label.bold else ""
    size, high = round(2 * _TEXT * pixel / _POINT), round(20 * _LEADING * pixel / _POINT)
    return (
        f'<w:p><w:pPr><w:spacing w:before="0" w:after="0" w:line="{high}" w:lineRule="exact"/><w:jc w:val="{where}"/>'
        f'</w:pPr><w:r><w:rPr>{bold}<w:color w:val="{label.colour}"/><w:sz w:val="{size}"/></w:rPr>'
        f"<w:t>{escape(label.text)}</w:t></w:r></w:p>"
    )
