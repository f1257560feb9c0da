"""What a distribution imports is what its pyproject declares, for itself and for each of its extras."""

import ast
import functools
import itertools
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.paths import ROOT
from tests.support.wheels import DISTRIBUTIONS

DISTRIBUTION_OF = {
    "azure.core": "azure-core",
    "azure.identity": "azure-identity",
    "azure.keyvault": "azure-keyvault-keys",
    "azure.monitor.ingestion": "azure-monitor-ingestion",
    "azure.monitor.query": "azure-monitor-query",
    "azure.security": "azure-security-attestation",
    "azure.storage.blob": "azure-storage-blob",
    "azure.storage.queue": "azure-storage-queue",
    "dcap_qvl": "dcap-qvl",
    "docx": "python-docx",
    "google.protobuf": "protobuf",
    "google.rpc": "googleapis-common-protos",
    "grpc": "grpcio",
    "grpc_health": "grpcio-health-checking",
    "opentelemetry.exporter": "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry.proto": "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry.sdk": "opentelemetry-sdk",
    "opentelemetry.trace": "opentelemetry-api",
    "pkcs11": "python-pkcs11",
    "prometheus_client": "prometheus-client",
    "rfc3161_client": "rfc3161-client",
    "tpm2_pytss": "tpm2-pytss",
    "tree_sitter_bicep": "tree-sitter-bicep",
    "tree_sitter": "tree-sitter",
}
"""By the import name; a library that is not here has the same name in both."""
ROOMS: dict[str, dict[str, tuple[str, ...]]] = {
    "core": {
        "cli": ("command/",),
        "https": ("sessions.py",),
        "azure": ("azure_client.py",),
        "pkcs11": ("pkcs11.py", "tlog/token_keys.py"),
        "pool": ("pool/",),
    },
    "attestation": {
        "cli": ("verbs/",),
        "corim": ("appraisal/corim/",),
        "evidence": ("appraisal/timestamp.py",),
        "provider": ("provider_policy/",),
        "release": ("evidence/tpm", "release/vault.py"),
    },
    "client": {
        "cli": ("verbs/",),
        "desk": ("desk/",),
        "excel": ("files/excel.py",),
        "fleet": ("storage_identity.py",),
        "otel": ("spans.py",),
        "pkcs11": ("pkcs11_keys.py", "columns/token_master_key.py"),
        "vault": ("vault_keys.py", "columns/vault_master_key.py"),
    },
    "deploy": {"check": ("check/",)},
    "simulator": {"pytest": ("pytest_plugin.py",)},
}
"""The files that may import what only an extra brings, by the beginning of their paths."""
NEVER_IMPORTED = {
    ("attestation", "six"): "azure-security-attestation imports it without declaring it",
    ("worker", "cmeel-mimalloc"): "its library is preloaded",
}
BY_THE_CALLER = {
    ("client", "polars"): "frames of it are made for a caller who has it",
    ("core", "grpcio"): "the stubs of services are for those who declare it",
    ("simulator", "cji-deploy"): "`cji-simulator image` alone needs it, and names the extra where it is missing",
}


class Project(NamedTuple):
    """A distribution's own lines."""

    version: str
    dependencies: list[str]
    extras: dict[str, list[str]]


def project(name: str) -> Project:
    table = tomllib.loads((ROOT / name / "pyproject.toml").read_text())["project"]
    return Project(table["version"], table["dependencies"], table.get("optional-dependencies", {}))


def library(module: str) -> str:
    """The distribution that has a module of others; the longest name counts."""
    known = [name for name in DISTRIBUTION_OF if f"{module}.".startswith(f"{name}.")]
    return DISTRIBUTION_OF[max(known, key=len)] if known else module.partition(".")[0]


@functools.cache
def imports(file: Path) -> frozenset[str]:
    """What a file imports at any place but under TYPE_CHECKING: distributions, ours as `cji-NAME`."""
    return frozenset(_imports(file))


def _imports(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text())
    only_for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in only_for_types:
            continue
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        for module in modules:
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names:
                yield top.replace("_", "-") if top.startswith("cji_") else library(module)


def used(name: str, *beginnings: str) -> set[str]:
    """What the files of a distribution import whose paths begin like this: libraries, and distributions of ours."""
    package = ROOT / name / f"cji_{name}"
    files = [f for f in package.rglob("*.py") if str(f.relative_to(package)).startswith(beginnings or ("",))]
    assert files, beginnings
    found = {one for file in files for one in imports(file)} - {f"cji-{name}"}
    return {one for one in found if (name, one) not in BY_THE_CALLER}


def names(lines: list[str]) -> set[str]:
    return {re.split(r"[\[<>=]", line)[0] for line in lines}


def brought(name: str, extra: str = "") -> set[str]:
    """All libraries that come with a distribution, or with it and its extra: its own, and those of ours it requires."""
    table = project(name)
    found: set[str] = set()
    for line in table.dependencies + (table.extras[extra] if extra else []):
        if ours := re.match(r"cji-([a-z]+)(?:\[([a-z,0-9]+)\])?==", line):
            for other in ("", *(ours[2] or "").split(",")) if (ours[1], extra) != (name, "") else ():
                if (ours[1], other) != (name, ""):
                    found |= brought(ours[1], other)
        else:
            found |= names([line])
    return found


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_what_it_imports_without_extras_is_what_it_declares(name: str) -> None:
    package = ROOT / name / f"cji_{name}"
    behind = tuple(beginning for rooms in ROOMS.get(name, {}).values() for beginning in rooms)
    files = [f for f in package.rglob("*.py") if not str(f.relative_to(package)).startswith(behind or ("\0",))]
    found = {one for file in files for one in imports(file)} - {f"cji-{name}"}
    found -= {one for one in found if (name, one) in BY_THE_CALLER}
    declared = names(project(name).dependencies)
    unneeded = declared - found - {lib for of, lib in NEVER_IMPORTED if of == name}
    assert (sorted(found - declared), sorted(unneeded)) == ([], [])


@pytest.mark.parametrize(("name", "extra"), [(name, extra) for name, rooms in ROOMS.items() for extra in rooms])
def test_what_an_extra_brings_is_what_its_rooms_import(name: str, extra: str) -> None:
    table = project(name)
    found, base = used(name, *ROOMS[name][extra]), names(table.dependencies)
    found = {one for one in found if not one.startswith("cji-")}
    declared = {one for one in names(table.extras[extra]) if not one.startswith("cji-")}
    unneeded = declared - found - {lib for of, lib in NEVER_IMPORTED if of == name}
    assert (sorted(found - base - brought(name, extra)), sorted(unneeded)) == ([], [])


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_every_extra_has_its_rooms(name: str) -> None:
    extras = project(name).extras
    of_ours = {extra for extra, lines in extras.items() if all(line.startswith("cji-") for line in lines)}
    assert set(ROOMS.get(name, {})) == set(extras) - of_ours


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_ours_are_required_in_this_version(name: str) -> None:
    """They share internals: always of the same build."""
    table = project(name)
    lines = [*table.dependencies, *itertools.chain(*table.extras.values())]
    assert {line.partition("==")[2] for line in lines if line.startswith("cji-")} <= {table.version}


def test_a_submitter_installs_few_libraries() -> None:
    assert len(brought("client")) <= 9
