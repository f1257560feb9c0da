"""OSCAL of a packet: who acts on what, what is open, references that lead somewhere, and pictures of what is there."""

import json
from collections.abc import Mapping
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
import pytest

from cji_audit.packet.controls import controls
from cji_audit.packet.errors import PacketError
from cji_audit.packet.folder import Content
from cji_audit.packet.inputs import read_agency
from cji_audit.packet.material import Material
from cji_audit.packet.oscal import DOCUMENTS, oscal
from cji_audit.packet.oscal.frame import NAMESPACE, control_id
from cji_audit.packet.pictures import Box, Label, boundary, data_flow
from cji_audit.packet.rows import Row, rows
from tests.support.oscal_references import broken, documents
from tests.support.packet_period import content, sound

Files: TypeAlias = dict[str, bytes]
Rows: TypeAlias = tuple[Row, ...]
AGENCY = b"""name = "Example County"
namespace = "https://county.example/ns"
[authorization]
title = "Azure, FedRAMP High"
granted = 2019-11-05
href = "https://marketplace.fedramp.gov/products"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Content:
    return content(sound(), tmp_path_factory.mktemp("sound"))


@pytest.fixture(scope="module")
def found(made: Content) -> Rows:
    return rows(made.material, made.catalog, controls())


@pytest.fixture(scope="module")
def files(made: Content, found: Rows) -> Files:
    return oscal(made.material, made.catalog, found)


def by_fragment(plan: Any) -> dict[str, Any]:
    """The component of each fragment of a plan, by its row."""
    units = plan["control-implementation"]["implemented-requirements"]
    statements = [each for unit in units for each in unit["statements"]]
    return {each["statement-id"].rpartition(".")[2]: each["by-components"][0] for each in statements}


def with_agency(made: Content, found: Rows) -> Files:
    material = msgspec.structs.replace(made.material, agency=read_agency("agency.toml", AGENCY))
    return oscal(material, made.catalog, found)


def test_each_fragment_is_of_who_acts(files: Files, found: Rows) -> None:
    plan = by_fragment(documents(files)["system-security-plan.json"])
    matrix = by_fragment(documents(files)["responsibility-matrix.json"])
    assert plan.keys() == matrix.keys() == {str(row.row) for row in found}
    for row in found:
        ours, theirs = plan[str(row.row)], matrix[str(row.row)]["export"]
        assert ours["responsible-roles"][0]["role-id"] == row.by
        if row.by == "provider":
            assert [each["provided-uuid"] for each in ours["inherited"]] == [
                each["uuid"] for each in theirs["provided"]
            ]
        elif row.by == "product":
            left = [each["uuid"] for each in theirs["responsibilities"]]
            assert [each["responsibility-uuid"] for each in ours["satisfied"]] == left
        wanted = {"agency": row.does, "provider": None, "product": row.missing or None}[row.by]
        given = ours.get("export", {}).get("responsibilities", [{"description": None}])
        assert [each["description"] for each in given] == [wanted]


def test_only_what_a_check_shows_has_a_state(files: Files, made: Content, found: Rows) -> None:
    bare = msgspec.structs.replace(made.material, tests=None)
    gaps = rows(bare, made.catalog, controls())
    assert "gap" in {row.status for row in gaps}
    for of, these in ((files, found), (oscal(bare, made.catalog, gaps), gaps)):
        plan = by_fragment(documents(of)["system-security-plan.json"])
        for row in these:
            state = plan[str(row.row)].get("implementation-status", {})
            assert state.get("state") == {"met": "implemented", "partial": "partial"}.get(row.status), row.id
            assert state.get("remarks") == (row.missing if row.status == "partial" else None)
        findings = documents(of)["assessment-results.json"]["results"][0]["findings"]
        states = {each["title"]: each["target"]["status"]["state"] for each in findings}
        assert states == {
            f"{row.id}: {row.status}": "satisfied" if row.status == "met" else "not-satisfied"
            for row in these
            if row.by == "product"
        }


def test_the_component_has_the_product_s_fragments(files: Files, found: Rows) -> None:
    (component,) = documents(files)["component-definition.json"]["components"]
    units = component["control-implementations"][0]["implemented-requirements"]
    given = [each["statement-id"] for unit in units for each in unit["statements"]]
    assert given == [f"{control_id(row.unit)}_smt.{row.row}" for row in found if row.by == "product"]


def test_each_open_fragment_of_the_product_is_an_item(files: Files, found: Rows) -> None:
    plan = documents(files)["poam.json"]
    *items, unstated = plan["poam-items"]
    weak = [row for row in found if row.by == "product" and row.status != "met"]
    assert [each["title"] for each in items] == [f"{row.id}: {row.status}" for row in weak]
    assert unstated["title"] == "The authorization of the provider is not stated"
    observed = {each["uuid"]: each["title"] for each in plan["observations"]}
    risks = {each["uuid"]: each for each in plan["risks"]}
    for item, row in zip(items, weak, strict=True):
        names = [observed[each["observation-uuid"]] for each in item["related-observations"]]
        assert len(names) == len(row.checks)
        assert item["origins"][0]["actors"][0]["type"] == "tool"
        (risk,) = (risks[each["risk-uuid"]] for each in item["related-risks"])
        assert risk["description"] == row.missing
        assert "deadline" not in risk


def test_a_later_sanction_is_the_deadline(made: Content) -> None:
    later = msgspec.json.decode(msgspec.json.encode(made.catalog))
    for unit in later["units"]:
        for each in unit["fragments"]:
            each["sanction"] = "Zero-cycle"
    texts = msgspec.convert(later, type(made.catalog))
    plan = documents(oscal(made.material, texts, rows(made.material, texts, controls())))["poam.json"]
    assert {each["deadline"] for each in plan["risks"]} == {"2027-10-01T00:00:00Z"}


def test_the_provider_s_authorization_is_the_agency_s_word(made: Content, found: Rows) -> None:
    without = documents(oscal(made.material, made.catalog, found))["system-security-plan.json"]
    assert "leveraged-authorizations" not in without["system-implementation"]
    files = with_agency(made, found)
    plan = documents(files)["system-security-plan.json"]["system-implementation"]
    (authorization,) = plan["leveraged-authorizations"]
    assert (authorization["title"], authorization["date-authorized"]) == ("Azure, FedRAMP High", "2019-11-05")
    component = next(each for each in plan["components"] if each["type"] == "system")
    assert {each["name"] for each in component["props"]} >= {"leveraged-authorization-uuid", "inherited-uuid"}
    assert not [each for each in documents(files)["poam.json"]["poam-items"] if "authorization" in each["title"]]
    assert [*broken(files)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b'name = ""',
        b'name = "A"\nmore = 1',
        b'name = "A"\nnamespace = "urn:uuid:1"',
        b"name = 'A'\n[authorization]",
    ],
)
def test_an_agency_is_stated_whole_or_refused(wrong: bytes) -> None:
    with pytest.raises(PacketError, match="cannot be read"):
        read_agency("agency.toml", wrong)


def test_ids_and_properties_are_of_the_namespace(made: Content, found: Rows, files: Files) -> None:
    own = with_agency(made, found)
    for of, namespace in ((files, NAMESPACE), (own, "https://county.example/ns")):
        given = {
            value for data in of.values() for value in data.decode().split('"') if value.endswith(("/ns", "/oscal"))
        }
        assert given - {"http://csrc.nist.gov/ns/oscal"} == {namespace}
        assert not [name for name, data in of.items() if b"urn:" in data]
    first, other = (documents(each)["profile.json"]["uuid"] for each in (files, own))
    assert first != other


def test_a_document_s_id_follows_from_its_content(made: Content, found: Rows, files: Files) -> None:
    assert oscal(made.material, made.catalog, found) == files
    changed = tuple(msgspec.structs.replace(row, does=f"{row.does} More.") for row in found)
    before, after = documents(files), documents(oscal(made.material, made.catalog, changed))
    same = {name for name in before if before[name]["uuid"] == after[name]["uuid"]}
    assert same == {"catalog.json", "profile.json", "assessment-results.json"}
    assert {UUID(each["uuid"]).version for each in before.values()} == {5}


def test_every_reference_leads_somewhere(files: Files) -> None:
    assert files.keys() == {*DOCUMENTS, "authorization-boundary.svg", "data-flow.svg"}
    assert [*broken(files)] == []


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("profile.json", "href"),
        ("profile.json", "with-ids"),
        ("component-definition.json", "source"),
        ("component-definition.json", "statement-id"),
        ("system-security-plan.json", "component-uuid"),
        ("system-security-plan.json", "provided-uuid"),
        ("system-security-plan.json", "responsibility-uuid"),
        ("system-security-plan.json", "party-uuids"),
        ("system-security-plan.json", "role-id"),
        ("system-security-plan.json", "href"),
        ("assessment-results.json", "implementation-statement-uuid"),
        ("assessment-results.json", "target-id"),
        ("poam.json", "observation-uuid"),
        ("poam.json", "risk-uuid"),
        ("poam.json", "href"),
    ],
)
def test_a_reference_that_leads_nowhere_is_found(files: Files, name: str, member: str) -> None:
    """What the check of references finds, shown by breaking each kind of them once."""
    document = json.loads(files[name])
    assert _break(document, member)
    assert [*broken({**files, name: json.dumps(document).encode()})]


def test_a_changed_picture_is_found(files: Files) -> None:
    assert [*broken({**files, "data-flow.svg": b"<svg/>"})] == ["system-security-plan.json: digest of data-flow.svg"]


def _break(of: Any, member: str) -> bool:
    """Replace the first value of a member."""
    if isinstance(of, list):
        return any(_break(each, member) for each in of)
    if not isinstance(of, dict):
        return False
    if member in of:
        of[member] = ["ffffffff-ffff-5fff-8fff-ffffffffffff"] if isinstance(of[member], list) else "nowhere"
        return True
    return any(_break(each, member) for each in of.values())


def texts(material: Material) -> set[str]:
    """The texts of both pictures."""
    pictures = boundary(material), data_flow(material)
    return {each.text for picture in pictures for each in picture.shapes if isinstance(each, Label)}


def with_values(material: Material, values: Mapping[str, str]) -> Material:
    configuration = material.configuration
    assert configuration is not None
    changed = msgspec.structs.replace(configuration, values={**configuration.values, **values})
    return msgspec.structs.replace(material, configuration=changed)


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("status_socket", "Console"),
        ("status_socket", "Operator"),
        ("control_socket", "Control"),
        ("fleet", "Fleet"),
        ("entra", "Microsoft Entra"),
        ("listen.enrollment", "Certificate authority"),
    ],
)
def test_a_part_is_drawn_where_it_is_configured(made: Content, setting: str, part: str) -> None:
    assert part not in texts(made.material)
    assert part in texts(with_values(made.material, {setting: "configured"}))


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("network/loadbalancers", "Load balancer"),
        ("storage/storageaccounts", "Blob and Queue Storage"),
        ("compute/diskencryptionsets", "Disk encryption sets"),
        ("insights/datacollectionrules", "Deliverer"),
    ],
)
def test_a_part_is_drawn_where_it_is_deployed(made: Content, kind: str, part: str) -> None:
    deployment = made.material.deployment
    assert deployment is not None
    left = {name: each for name, each in deployment.resources.items() if name != f"microsoft.{kind}"}
    without = msgspec.structs.replace(deployment, resources=left)
    assert part in texts(made.material)
    assert part not in texts(msgspec.structs.replace(made.material, deployment=without))


def test_names_and_ports_are_those_of_the_deployment(made: Content) -> None:
    shown = texts(with_values(made.material, {"listen.port": "9443", "worker.cells": "7"}))
    assert shown >= {"port 9443", "7 at once", "r13", "v.vault.azure.net", "cji.eus.attest.azure.net", "worker-1"}


def test_what_was_not_given_is_named_in_the_picture(made: Content) -> None:
    bare = msgspec.structs.replace(made.material, configuration=None, deployment=None)
    shown = texts(bare)
    assert {each[:26] for each in shown} >= {"worker.toml was not given ", "No export was given (--dep"}
    assert "Load balancer" not in shown
    assert "Cell" in shown


def test_parts_do_not_overlap(made: Content) -> None:
    every = dict.fromkeys(("status_socket", "fleet", "ledger", "entra", "listen.enrollment"), "configured")
    picture = data_flow(with_values(made.material, every))
    boxes = [each for each in picture.shapes if isinstance(each, Box) and each.width > 100 and not each.dashed]
    assert len(boxes) >= 18
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            apart = (
                abs(one.x - other.x) >= one.width or one.y >= other.y + other.height or other.y >= one.y + one.height
            )
            assert apart
