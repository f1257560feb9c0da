"""Verification finds every change of a packet, and names the file."""

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from cji_audit.packet.archive import packed, unpacked
from cji_audit.packet.attachments import Attachments
from cji_audit.packet.catalog import read_catalog
from cji_audit.packet.controls import controls
from cji_audit.packet.errors import PacketError
from cji_audit.packet.folder import (
    CATALOG,
    INDEX,
    MATERIAL,
    PAGE,
    ROWS,
    Entry,
    Index,
    computed,
    encoded,
    files_of,
    read,
    write,
)
from cji_audit.packet.make import survey_again
from cji_audit.packet.material import File, Material, Trail
from cji_audit.packet.verify import digest_differences, verify
from cji_core.trail import Head, TrailAnchored, append_record
from cji_core.trail import read as read_line
from tests.support.packet_period import catalog, content, sound, tools


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return files_of(content(sound(), tmp_path_factory.mktemp("period")), with_docx=False)


def named(files: Mapping[str, bytes]) -> set[str]:
    return {each.file for each in verify(files, tools())}


def indexed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files with an index that fits them, as a maker of false packets would write it."""
    others = {name: data for name, data in files.items() if name != INDEX}
    entries = {name: Entry(size=len(data), sha256=File.of(name, data).sha256) for name, data in others.items()}
    return others | {INDEX: msgspec.json.encode(Index(files=entries))}


def with_material(files: Mapping[str, bytes], material: Material) -> dict[str, bytes]:
    """A packet about these facts, consistent in everything that follows from them."""
    texts = read_catalog(catalog(), controls())
    return indexed({**files, MATERIAL: encoded(material), **computed(material, texts)})


def material_of(files: Mapping[str, bytes]) -> Material:
    return msgspec.json.decode(files[MATERIAL], type=Material)


def with_trail(material: Material, **changes: object) -> Material:
    trail: Trail = msgspec.structs.replace(material.trails[0], **changes)
    return msgspec.structs.replace(material, trails=(trail,))


def test_a_packet_verifies_as_files_and_as_an_archive(files: dict[str, bytes], tmp_path: Path) -> None:
    assert verify(files, tools()) == ()
    archive = write(files, tmp_path / "packet")
    assert read(archive) == read(tmp_path / "packet") == files
    with pytest.raises(PacketError, match="exists"):
        write(files, tmp_path / "packet")


def test_a_packet_has_all_its_files_and_no_other(files: dict[str, bytes]) -> None:
    """Also by its own list: a maker leaves out the plan of actions, or adds a page that follows from nothing."""
    made = sorted(name for name in files if name.startswith("oscal/") or name in (ROWS, PAGE))
    assert len(made) > 4
    for name in made:
        assert named(indexed({other: data for other, data in files.items() if other != name})) == {name}
    for name in ("oscal/other.json", "given/other/page.html", "given/page.html"):
        assert named(indexed({**files, name: b"{}"})) == {name}


def test_the_same_content_has_the_same_bytes(tmp_path: Path) -> None:
    made = content(sound(), tmp_path)
    first, again = files_of(made, with_docx=True), files_of(made, with_docx=True)
    assert first == again
    assert packed(first) == packed(dict(reversed(again.items())))


def test_a_changed_byte_is_found_in_its_file(files: dict[str, bytes]) -> None:
    chance = random.Random(13)
    for name, data in files.items():
        for place in {0, len(data) - 1, chance.randrange(len(data))}:
            changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            found = {each.file for each in digest_differences({**files, name: changed})}
            assert name in found or (name == INDEX and found), (name, place)


@pytest.mark.parametrize("name", [MATERIAL, CATALOG, ROWS, PAGE, "oscal/assessment-results.json"])
def test_a_file_that_is_missing_or_new_is_named(files: dict[str, bytes], name: str) -> None:
    assert name in named({each: data for each, data in files.items() if each != name})
    assert "more.txt" in named({**files, "more.txt": b""})
    assert "more.txt" in named(indexed({**files, "more.txt": b""}))


def test_a_status_that_no_check_gives_is_named_by_its_row(files: dict[str, bytes], tmp_path: Path) -> None:
    scene = sound()
    scene.job(15).admitted = {"attribution": None}
    broken = files_of(content(scene, tmp_path), with_docx=False)
    found = verify(indexed({**broken, ROWS: files[ROWS]}), tools())
    assert {each.what for each in found if each.file == ROWS} == {
        *(f"AU-3(1)/{n} is not met, and stated as met" for n in range(329, 334)),
        *(f"{row} is not met, and stated as partial" for row in ("AU-3/317", "AU-3/323")),
        *(f"IA-0/{n} is not met, and stated as partial" for n in range(580, 583)),
    }


@pytest.mark.parametrize("name", [PAGE, "oscal/system-security-plan.json", "oscal/poam.json", "oscal/data-flow.svg"])
def test_a_page_that_does_not_follow_is_named(files: dict[str, bytes], name: str) -> None:
    changed = files[name].replace(b"not", b"now", 1)
    assert named(indexed({**files, name: changed})) == {name}


def test_the_agency_s_statements_are_read_again(tmp_path: Path) -> None:
    """As resources of an export are: what OSCAL and its pictures state of both follows from files in the packet."""
    made, stated = content(sound(), tmp_path), b'name = "Example County"\n'
    given = Attachments(files={**made.attachments.files, "agency": {"agency.toml": stated}})
    material = msgspec.structs.replace(made.material, agency=given.facts(tools())["agency"])
    files = files_of(replace(made, material=material, attachments=given), with_docx=False)
    assert named(files) == set()
    assert b"Example County" in files["oscal/system-security-plan.json"]
    assert named(indexed({**files, "given/agency/agency.toml": stated.replace(b"Example", b"Another")})) == {MATERIAL}
    assert named({name: data for name, data in files.items() if "agency" not in name}) == {
        "given/agency/agency.toml",
        MATERIAL,
    }
    assert material.deployment is not None
    less = msgspec.structs.replace(material.deployment, resources={})
    assert named(with_material(files, msgspec.structs.replace(material, deployment=less))) == {MATERIAL}


def test_a_line_of_another_trail_is_found(files: dict[str, bytes], tmp_path: Path) -> None:
    """All its digests fit, and it is a line of a worker: it is not in this tree."""
    scene = sound()
    scene.job(3).claims = {"region": "westus"}
    other = files_of(content(scene, tmp_path), with_docx=False)
    name = "lines/1-audit.log.jsonl"
    material = material_of(files)
    taken = msgspec.structs.replace(
        material.trails[0].included[-1], sha256=material_of(other).trails[0].included[-1].sha256
    )
    included = (*material.trails[0].included[:-1], taken)
    lines = files[name].splitlines(keepends=True)[:-1] + other[name].splitlines(keepends=True)[-1:]
    forged = with_material({**files, name: b"".join(lines)}, with_trail(material, included=included))
    assert any("not in this tree" in each.what for each in verify(forged, tools()))


def test_facts_that_an_included_line_contradicts(files: dict[str, bytes]) -> None:
    material = material_of(files)
    seen = dict(material.trails[0].seen)
    seen["receipt.fips.certificate"] = {"5000": seen["receipt.fips.certificate"]["4985"]}
    found = verify(with_material(files, with_trail(material, seen=seen)), tools())
    assert [each.what for each in found] == [
        f"line {seen['receipt.fips.certificate']['5000'].first} of audit.log does not have 5000 as "
        "receipt.fips.certificate"
    ]


@pytest.mark.parametrize(
    ("member", "changes"),
    [
        ("tests", {"failed": 0, "total": 4000}),
        ("sbom", {"product": "7.0"}),
        ("maa_policy", {"findings": ()}),
        ("deployment", {"holds": 1000, "deviations": ()}),
    ],
)
def test_facts_that_a_given_file_contradicts(files: dict[str, bytes], member: str, changes: dict[str, object]) -> None:
    material = material_of(files)
    fact = getattr(material, member)
    unchanged = all(getattr(fact, name) == value for name, value in changes.items())
    forged = with_material(
        files, msgspec.structs.replace(material, **{member: msgspec.structs.replace(fact, **changes)})
    )
    found = [each.what for each in verify(forged, tools())]
    assert unchanged or found
    assert all(what.startswith(f"{member}, ") for what in found)


def test_a_review_that_is_left_out_of_the_facts(files: dict[str, bytes]) -> None:
    material = material_of(files)
    assert material.reviews is not None
    forged = with_material(files, msgspec.structs.replace(material, reviews=material.reviews[1:]))
    assert verify(forged, tools())


def test_a_consistent_lie_is_found_with_the_trail(files: dict[str, bytes], tmp_path: Path) -> None:
    """The maker leaves an incident out, and writes everything else accordingly: only the trail shows it."""
    scene = sound()
    scene.job(15).admitted = {"attribution": None}
    made = content(scene, tmp_path)
    trail = tmp_path / "audit.log"
    lie = with_material(files_of(made, with_docx=False), with_trail(made.material, incidents=()))
    assert verify(lie, tools()) == ()
    with trail.open("ab") as grown:  # the worker went on
        grown.write(b'{"seq":')
    found = verify(lie, tools(), resurvey=lambda material: survey_again([trail], material))
    assert [each.what for each in found] == ["trails, audit.log: incidents is another one when read again"]


def test_a_trail_that_grew_since_has_the_same_facts(tmp_path: Path) -> None:
    made = files_of(content(sound(), tmp_path), with_docx=False)
    trail = tmp_path / "audit.log"
    last = read_line(trail.read_bytes().splitlines(keepends=True)[-1])
    head = Head(seq=last.seq, hash=last.hash)
    _, line = append_record(TrailAnchored(counter=99), head=head, time=last.time, worker=last.worker)
    with trail.open("ab") as file:
        file.write(line)
    assert verify(made, tools(), resurvey=lambda material: survey_again([trail], material)) == ()


@pytest.mark.parametrize("data", [b"", b"PK", packed({"a": b"1"})[:-9]])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(PacketError):
        unpacked(data)


def test_what_is_no_packet_is_named() -> None:
    assert named({"a": b"1"}) == {INDEX, MATERIAL}
