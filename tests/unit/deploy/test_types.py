"""The check against Azure's resource types: on a small catalogue made here, and on the published one."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cji_deploy.check.aztypes import Catalogue
from cji_deploy.check.bicep import parse
from cji_deploy.check.outcome import DeployError
from tests.support.paths import ROOT

BICEP = ROOT / "deploy" / "bicep"
VECTORS = os.environ.get("CJI_VECTORS")


def prop(index: int, flags: int = 0) -> dict[str, Any]:
    return {"type": {"$ref": f"#/{index}"}, "flags": flags}


SMALL: list[Any] = [
    {"$type": "StringType", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"},
    {"$type": "IntegerType", "minValue": 1, "maxValue": 9},
    {"$type": "BooleanType"},
    {"$type": "StringLiteralType", "value": "RSA-HSM"},
    {"$type": "StringLiteralType", "value": "EC-HSM"},
    {"$type": "UnionType", "elements": [{"$ref": "#/3"}, {"$ref": "#/4"}, {"$ref": "#/0"}]},
    {"$type": "ArrayType", "itemType": {"$ref": "#/1"}},
    {"$type": "ObjectType", "name": "tags", "properties": {}, "additionalProperties": {"$ref": "#/0"}},
    {"$type": "ObjectType", "name": "disk", "properties": {"size": prop(1, 1), "kind": prop(9, 1)}},
    {"$type": "StringLiteralType", "value": "disk"},
    {
        "$type": "DiscriminatedObjectType",
        "name": "media",
        "discriminator": "kind",
        "baseProperties": {"label": prop(0)},
        "elements": {"disk": {"$ref": "#/8"}},
    },
    {
        "$type": "ObjectType",
        "name": "body",
        "properties": {
            "name": prop(0, 1),
            "count": prop(1),
            "on": prop(2),
            "kty": prop(5),
            "list": prop(6),
            "tags": prop(7),
            "media": prop(10),
            "state": prop(0, 2),
        },
    },
    {"$type": "ResourceType", "name": "A/b@2025-01-01", "body": {"$ref": "#/11"}},
]


def problems(body: str, head: str = "param text string\nparam flag bool\n", kind: str = "A/b@2025-01-01") -> str:
    source = f"{head}resource r '{kind}' = {{\n{body}\n}}\n"
    (resource,) = parse("t.bicep", source.encode()).resources
    return "\n".join(Catalogue({"small.json": SMALL}).problems(resource))


def test_a_right_body_has_no_problem() -> None:
    body = "name: 'abc'\ncount: 3\non: true\nkty: 'RSA-HSM'\nlist: [1, 2]\ntags: { x: 'yy' }\n"
    body += "media: { kind: 'disk', size: 2, label: 'ab' }\ndependsOn: []\n"
    assert problems(body) == ""


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("name: 'abc'\ncoount: 3", "unknown property 'coount'; did you mean 'count'?"),
        ("count: 3", "missing required property 'name'"),
        ("name: null", "missing required property 'name'"),
        ("name: 'abc'\nstate: 'x'", "state: read-only"),
        ("name: 'abc'\ncount: '3'", "count: expected int"),
        ("name: 'abc'\ncount: true", "count: expected int"),
        ("name: 'abc'\ncount: 10", "count: 10 is out of range"),
        ("name: 'abc'\non: 'true'", "on: expected bool"),
        ("name: 'abc'\nkty: 'RSA-HSMM'", "'RSA-HSMM' is not among the known values; did you mean 'RSA-HSM'?"),
        ("name: 'abc'\nlist: 1", "list: expected array"),
        ("name: 'abc'\nlist: [1, 'x']", "list[1]: expected int"),
        ("name: 'abc'\ntags: 'x'", "tags: expected object"),
        ("name: 'abc'\ntags: { x: 1 }", "tags.x: expected string"),
        ("name: 'abc'\nmedia: { size: 1 }", "'kind' must be one of ['disk']"),
        ("name: 'abc'\nmedia: { kind: 'disk', sise: 1 }", "unknown property 'sise'; did you mean 'size'?"),
        ("name: 'abcdef'", "name: wrong length"),
        ("name: 'A1'", "name: does not match"),
        ("name: flag", "flag is bool, expected string"),
        ("name: 'abc'\ncount: '${text}'", "is string, expected int"),
        ("name: 'abc'\ncount: flag ? 3 : 'x'", "count: expected int"),
    ],
)
def test_each_deviation_is_named(body: str, problem: str) -> None:
    assert problem in problems(body)


def test_unknown_type_and_api_version() -> None:
    assert "did you mean 'a/b@2025-01-01'?" in problems("name: 'abc'", kind="A/b@2025-01-02")


def test_existing_resource_takes_a_name_only() -> None:
    (resource,) = parse("t", b"resource r 'A/b@2025-01-01' existing = {\n  name: 'abc'\n  count: 3\n}\n").resources
    assert "takes no 'count'" in "\n".join(Catalogue({"small.json": SMALL}).problems(resource))


@pytest.mark.parametrize("content", [None, b"{", b"[]", b'[{"$type": "ResourceType"}]', b"3"])
def test_a_folder_without_types_is_an_error_not_a_pass(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(DeployError):
        Catalogue.load(tmp_path)


def test_a_folder_of_types_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(SMALL))
    catalogue = Catalogue.load(tmp_path)
    assert catalogue.has("A/b", "media.label")
    assert not catalogue.has("A/b", "media.lable")


needs_types = pytest.mark.skipif(VECTORS is None, reason="CJI_VECTORS is not set: Azure's resource types are not here")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load(Path(VECTORS or "", "azure-types"))


@pytest.mark.vectors
@needs_types
@pytest.mark.parametrize("path", sorted(BICEP.glob("*.bicep")), ids=lambda path: path.name)
def test_shipped_templates_follow_azures_types(catalogue: Catalogue, path: Path) -> None:
    template = parse(path.name, path.read_bytes())
    assert [problem for resource in template.resources for problem in catalogue.problems(resource)] == []


@pytest.mark.vectors
@needs_types
@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (
            "scaleset.bicep",
            "vTpmEnabled:",
            "vTPMEnabled:",
            "unknown property 'vTPMEnabled'; did you mean 'vTpmEnabled'?",
        ),
        ("scaleset.bicep", "          createOption: 'FromImage'\n", "", "missing required property 'createOption'"),
        ("scaleset.bicep", "'VMGuestStateOnly'", "'VmGuestStateOnly'", "is not among the known values"),
        ("scaleset.bicep", "capacity: instanceCount", "capacity: name", "name is string, expected int"),
        ("scaleset.bicep", "@2025-04-01", "@2025-04-31", "unknown type or API version"),
        ("vault.bicep", "    tenantId: tenant().tenantId\n", "", "missing required property 'tenantId'"),
        ("budget.bicep", "timeGrain: 'Monthly'", "timeGrain: 'Weekly'", "'Weekly' is not among the known values"),
        ("logs.bicep", "'Custom-CjiAudit'\n        ]", "'Microsoft-Cji'\n        ]", "is not among the known values"),
        ("key.bicep", "exportable: true", "exportable: 'yes'", "exportable: expected bool"),
        ("key.bicep", "release_policy:", "releasePolicy:", "unknown property 'releasePolicy'"),
        ("attestation.bicep", "publicNetworkAccess:", "attestUri: 'x'\npublicNetworkAccess:", "attestUri: read-only"),
    ],
)
def test_a_broken_shipped_template_is_seen(catalogue: Catalogue, file: str, old: str, new: str, problem: str) -> None:
    source = (BICEP / file).read_text()
    assert old in source
    template = parse(file, source.replace(old, new).encode())
    found = [problem for resource in template.resources for problem in catalogue.problems(resource)]
    assert problem in "\n".join(found)
