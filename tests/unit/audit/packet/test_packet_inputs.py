"""The files that a packet's maker gives: each is read strictly, or refused with a remedy."""

import json
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.packet.catalog import read_catalog
from cji_audit.packet.checks import CHECKS
from cji_audit.packet.checks.result import of_field, of_lines, of_trail
from cji_audit.packet.controls import controls
from cji_audit.packet.errors import PacketError
from cji_audit.packet.fields import FIELDS
from cji_audit.packet.inputs import read_key, read_sbom, read_tests
from cji_audit.packet.material import Period
from cji_audit.packet.reviews import read_reviews
from cji_audit.packet.signed import NO_KEY, read_checkpoint, read_receipts
from cji_core.jose import key_id
from tests.support.packet_period import KEY, PERIOD, REVIEWER, catalog, content, junit, lines_of, sound
from tests.support.paths import ROOT


def clean(_: bytes) -> tuple[str, ...]:
    return ()


@pytest.mark.vectors
def test_statements_cover_the_units_of_the_policy(vectors: Path) -> None:
    found = read_catalog((vectors / "compliance/cjis-v6.1.json").read_bytes(), controls())
    assert sum(len(unit.fragments) for unit in found.units) == 613
    assert len(found.units) == 130


def test_every_check_and_test_of_a_statement_exists() -> None:
    named = {name for control in controls().controls for part in control.parts for name in part.checks}
    assert named == set(CHECKS)
    for each in controls().tests.values():
        path, _, function = each.test.partition("::")
        assert f"def {function}(" in (ROOT / path).read_text(), each.test
    used = {name for control in controls().controls for part in control.parts for name in part.tests}
    assert used == set(controls().tests)


def test_every_place_of_a_statement_exists() -> None:
    """`how` names files and folders of the repository."""
    for control in controls().controls:
        for word in control.how.replace(",", " ").replace(";", " ").replace(":", " ").split():
            if "/" in word or word.endswith(".md"):
                assert (ROOT / word).exists(), (control.id, word)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda found: found.update(version="6.0"), "version '6.0'"),
        (lambda found: found["units"].pop(0), r"no unit 5\.1\.1"),
        (lambda found: found["units"][0]["fragments"].pop(), r"other rows of 5\.1\.1"),
        (lambda found: found["units"].append(found["units"][0]), "a unit twice"),
        (lambda found: found.pop("units"), "cannot be read"),
    ],
)
def test_a_catalog_of_another_shape_is_refused(change: Callable[[Any], object], what: str) -> None:
    found = json.loads(catalog())
    change(found)
    with pytest.raises(PacketError, match=what) as caught:
        read_catalog(json.dumps(found).encode(), controls())
    assert "6.1" in caught.value.remedy


def test_weeks_are_those_that_a_period_has_whole() -> None:
    assert PERIOD.weeks == ("2026-W41", "2026-W42", "2026-W43")
    assert Period(first=date(2026, 12, 28), last=date(2027, 1, 10)).weeks == ("2026-W53", "2027-W01")
    assert Period(first=date(2026, 12, 29), last=date(2027, 1, 9)).weeks == ()
    with pytest.raises(ValueError, match="before it begins"):
        Period(first=date(2026, 12, 29), last=date(2026, 12, 28))


def test_the_worst_outcome_of_a_test_counts() -> None:
    named = ("tests/unit/test_a.py::test_a",)
    case = '<testcase classname="tests.unit.test_a" name="test_a[{}]">{}</testcase>'
    for inner, outcome in (("<failure/>", "failed"), ("<error/>", "failed"), ("<skipped/>", "skipped"), ("", "passed")):
        text = f"<testsuite>{case.format(1, '')}{case.format(2, inner)}{case.format(3, '')}</testsuite>"
        found = read_tests("t.xml", text.encode(), named)
        assert found.outcomes == {named[0]: outcome}
        assert (found.total, found.failed, found.skipped) == (3, outcome == "failed", outcome == "skipped")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a>",
        b"<a/>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<?xml version="1.0" encoding="UTF-7"?><a/>',
        b'<?xml version="1.0" encoding="klingon"?><a/>',
    ],
)
def test_other_xml_than_test_results_is_refused(data: bytes) -> None:
    with pytest.raises(PacketError):
        read_tests("t.xml", data, ())


def test_components_inside_components_are_counted() -> None:
    inner = {"name": "b", "version": "1"}
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "a", "components": [inner, inner]}]}
    found = read_sbom("b.json", json.dumps(bom).encode())
    assert (found.components, found.repeated, found.product) == (3, ("b 1",), "")
    with pytest.raises(PacketError):
        read_sbom("b.json", json.dumps(bom | {"bomFormat": "SPDX"}).encode())


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100_000])
def test_what_is_no_key_is_refused(data: bytes) -> None:
    with pytest.raises(PacketError, match="cannot be read"):
        read_key("k.json", data, clean)


def test_documents_of_unknown_signers_are_kept_apart() -> None:
    scene, own = sound(), REVIEWER.public_key()
    lines_of(scene)
    other = ec.derive_private_key(5, ec.SECP384R1()).public_key()
    assert {each.fault for each in read_reviews(scene.reviews, {})} == {NO_KEY}
    assert {each.fault for each in read_reviews(scene.reviews, {key_id(own): own})} == {""}
    assert {each.fault for each in read_reviews(scene.reviews, {key_id(own): other})} == {NO_KEY}
    with pytest.raises(PacketError):
        read_reviews({"r.signed.json": b"{}"}, {})
    with pytest.raises(PacketError):
        read_receipts("r", b"a.b.c", {})
    with pytest.raises(PacketError):
        read_checkpoint("c", b"text", {})


def test_commands_print_the_digests_that_they_stand_beside(tmp_path: Path) -> None:
    """Every kind of command that a packet prints about a trail, run by a shell."""
    made = content(sound(), tmp_path)
    trail = made.material.trails[0]
    fields = [name for name in trail.seen if name.partition(".")[0] in {"kind", *FIELDS}]
    assert {"kind", "receipt.fips.mode", "attested.accepted_advisories"} <= set(fields)
    evidence = [of_trail(trail), *of_lines(trail, [trail.included[3].number])]
    evidence += [of_field(made.material, trail, name) for name in fields]
    script = "\n".join(each.recheck for each in evidence)
    printed = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in printed.splitlines()] == [each.sha256 for each in evidence]


def test_junit_of_the_fixture_names_every_test() -> None:
    found = read_tests("t.xml", junit({}), tuple(each.test for each in controls().tests.values()))
    assert len(found.outcomes) == len(controls().tests) == found.total


def test_facts_read_back_as_they_were_written(tmp_path: Path) -> None:
    made = content(sound(), tmp_path).material
    assert msgspec.json.decode(msgspec.json.encode(made), type=type(made)) == made
    assert key_id(KEY.public_key()) in {each.key_id for each in made.receipts or ()}
