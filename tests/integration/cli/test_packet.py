"""`cji audit packet` as its users run it, and what independent judges make of its files."""

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from docx import Document
from docx.oxml.ns import qn
from docx.shared import Mm

from cji_audit.verbs.packet_verify import VerifiedPacket
from cji_core.command import build
from tests.support.evidence_files import evidence_file
from tests.support.forge import machine
from tests.support.json_answers import answered
from tests.support.packet_period import PERIOD, catalog, sound, write_trail
from tests.support.reviews import decided_profile

WORD_LINE = "{http://schemas.microsoft.com/office/word/2010/wordprocessingShape}cNvCnPr"
CLOUD = ("--cloud", machine().trust.name)


def cji(*arguments: object) -> Result:
    return ran("packet", *arguments)


def ran(*arguments: object) -> Result:
    command = build(machine().trust)
    return CliRunner().invoke(command, ["audit", *[str(a) for a in arguments]], catch_exceptions=False)


def made(folder: Path, *more: object) -> tuple[Path, Result]:
    """A packet of the sound period, of the trail and `more` alone."""
    write_trail(sound(), folder)
    return packet_in(folder, *more)


def packet_in(folder: Path, *more: object) -> tuple[Path, Result]:
    """A packet of the trail in a folder."""
    trail = folder / "audit.log"
    texts = folder / "texts.json"
    texts.write_bytes(catalog())
    out = folder / "packet"
    period = ("--from", PERIOD.first, "--to", PERIOD.last)
    return out, cji(*period, "--trail", trail, "--catalog", texts, "--out", out, "--cloud", machine().trust.name, *more)


def test_a_packet_with_gaps_is_made_verified_and_repeated(tmp_path: Path) -> None:
    out, shown = made(tmp_path, "--json", "--no-docx")
    assert shown.exit_code == 0, shown.output
    result = json.loads(shown.stdout)
    assert result["rows"]["not met"] == 0
    assert result["checks"]["reviews"] == "missing"
    assert result["checks"]["chain"] == "holds"
    cloud = ("--cloud", machine().trust.name)
    for path in (out, tmp_path / "packet.zip"):
        again = cji("verify", path, "--trail", tmp_path / "audit.log", "--json", *cloud)
        found = answered(again, VerifiedPacket, status=3)
        assert (found.packet_sha256, found.differences) == (result["packet_sha256"], ())
        assert [each.reason for each in found.refusals] == ["signature-missing", "trail-not-signed"]
    page = out / "packet.html"
    page.write_bytes(page.read_bytes().replace(b"gap", b"met", 1))
    changed = cji("verify", out, *cloud)
    assert changed.exit_code == 3
    assert "packet.html: differs from its digest in packet.json" in changed.output


def test_what_is_missing_or_in_the_way_is_explained(tmp_path: Path) -> None:
    assert "--from, --to, --trail, --catalog, --out must be given" in cji().output
    out, _ = made(tmp_path, "--no-docx")
    assert not (out / "packet.docx").exists()
    _, shown = made(tmp_path, "--no-docx")
    assert shown.exit_code == 2
    assert "exists" in shown.output
    assert cji("verify", tmp_path / "texts.json").exit_code == 2


def test_evidence_of_a_simulated_machine_is_named(tmp_path: Path) -> None:
    """The evidence is appraised by the rooms of attestation; the simulator's roots are not production's."""
    evidence = tmp_path / "evidence.json"
    evidence.write_bytes(evidence_file())
    profile = decided_profile(tmp_path)
    out, shown = made(tmp_path, "--evidence", evidence, "--profile", profile, "--no-docx", "--json")
    assert json.loads(shown.stdout)["checks"]["evidence"] == "fails"
    rows = json.loads((out / "rows.json").read_bytes())
    why = {row["checks"]["evidence"]["why"] for row in rows if "evidence" in row["checks"]}
    assert why == {"evidence.json is of a simulated machine."}
    cloud = ("--cloud", machine().trust.name, "--profile", profile)
    found = answered(cji("verify", out, *cloud, "--json"), VerifiedPacket, status=3)
    assert found.differences == ()
    assert [each.reason for each in found.refusals] == ["signature-missing", "receipt-key-not-pinned"]
    evidence.write_bytes(evidence_file(nonce=b"x" * 32))
    out.rename(tmp_path / "first")
    (tmp_path / "packet.zip").unlink()
    out, _ = made(tmp_path, "--evidence", evidence, "--profile", profile, "--no-docx")
    material = json.loads((out / "material.json").read_bytes())
    assert material["machines"][0]["refused"].startswith("attestation E")


@pytest.fixture(scope="module")
def with_word(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("word"))[0]


def test_the_word_file_has_every_unit_and_one_table_per_family(with_word: Path) -> None:
    out = with_word
    document = Document(io.BytesIO((out / "packet.docx").read_bytes()))
    units = {cell.paragraphs[0].text for table in document.tables for cell in table.columns[0].cells[1:]}
    assert {each["id"] for each in json.loads((out / "catalog.json").read_bytes())["units"]} <= units
    headings = [each.text for each in document.paragraphs if each.style and each.style.name == "Heading 1"]
    assert headings[:3] == [
        "Contents",
        "Not met, gaps, and what is missing",
        "Customer-managed keys and confidential computing (SSP)",
    ]
    assert len([each for each in headings if each.endswith(": family")]) == 14


def test_the_word_file_has_both_pictures_on_its_pages(with_word: Path) -> None:
    """As shapes: what the SVG shows is text that can be searched and edited."""
    document = Document(io.BytesIO((with_word / "packet.docx").read_bytes()))
    (page,) = document.sections
    room = (page.page_width or 0) - (page.left_margin or 0) - (page.right_margin or 0), Mm(170)
    frames = document.element.body.xpath("//wp:inline")
    for name, frame in zip(("authorization-boundary", "data-flow"), frames, strict=True):
        drawn = ElementTree.fromstring((with_word / f"oscal/{name}.svg").read_bytes())
        wanted = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
        assert len(wanted) > 20
        assert [each.text for each in frame.iter(qn("w:t"))] == wanted
        assert len([*frame.iter(WORD_LINE)]) == len([*drawn.iter("{http://www.w3.org/2000/svg}line")]) > 2
        extent = frame.find(qn("wp:extent"))
        assert all(0 < int(extent.get(side)) <= most for side, most in zip(("cx", "cy"), room, strict=True))
        assert frame.find(qn("wp:docPr")).get("descr")


def test_the_word_file_is_laid_out_for_paper(with_word: Path) -> None:
    """Every program that prints it gets the same columns, heads on each page, and no page without content."""
    document = Document(io.BytesIO((with_word / "packet.docx").read_bytes()))
    (page,) = document.sections
    between = (page.page_width or 0) - (page.left_margin or 0) - (page.right_margin or 0)
    for table in document.tables:
        columns = [column.width or 0 for column in table.columns]
        assert abs(sum(columns) - between) < Mm(1)
        assert min(columns) > Mm(10)
        for row in table.rows:
            assert [cell.width for cell in row.cells] == columns
            assert row._tr.xpath("w:trPr/w:cantSplit")
        bold = all(run.bold for cell in table.rows[0].cells for run in cell.paragraphs[0].runs)
        assert bool(table.rows[0]._tr.xpath("w:trPr/w:tblHeader")) == bold
    assert any(table.rows[0]._tr.xpath("w:trPr/w:tblHeader") for table in document.tables)
    body = document.element.body
    assert not body.xpath("//w:br[@w:type='page']")
    sections = [each for each in document.paragraphs if each.style and each.style.name == "Heading 1"][1:]
    for heading in sections:
        assert heading.paragraph_format.page_break_before
        before = heading._p.getprevious()
        assert before is not None
        assert before.xpath("string()"), "an empty paragraph before a page break can fill a page of its own"
    assert set(body.xpath("//w:hyperlink/@w:anchor")) == set(body.xpath("//w:bookmarkStart/@w:name"))
    assert len(body.xpath("//w:hyperlink")) == len(sections)
    footer = page.footer.paragraphs[0]._p
    assert [each.strip() for each in footer.xpath(".//w:instrText/text()")] == ["PAGE", "NUMPAGES"]
    for style in ("Normal", "Title", "Heading 1", "Heading 2"):
        fonts = document.styles[style].element.xpath("w:rPr/w:rFonts")[0]
        assert fonts.get(qn("w:ascii")) == fonts.get(qn("w:hAnsi")) == "Arial"
        assert not [name for name in fonts.attrib if "heme" in name]
