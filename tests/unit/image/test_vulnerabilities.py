"""`cji image scan`: records and components, the order of versions of each ecosystem, and statements that close one."""

import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cji_deploy.image.deb import version_key
from cji_deploy.image.vulnerabilities import ScanError, components, explained, scan, vulnerabilities
from cji_deploy.verbs.image.scan import scan_command

LIBC = "pkg:deb/debian/libc6@2.41-12%2Bdeb13u5?arch=amd64&distro=debian-13"
SIX = "pkg:pypi/typing-extensions@4.16.0rc1"
SBOM = {
    "components": [
        {
            "name": "libc6",
            "version": "2.41-12+deb13u5",
            "purl": LIBC,
            "properties": [
                {"name": "cji:source", "value": "glibc"},
                {"name": "cji:source-version", "value": "2.41-12+deb13u5"},
            ],
        },
        {"name": "typing_extensions", "version": "4.16.0rc1", "purl": SIX},
        {"name": ".initrd", "type": "file"},
    ]
}


def record(ecosystem: str, name: str, *events: dict[str, str], **more: Any) -> dict[str, Any]:
    package = {"ecosystem": ecosystem, "name": name}
    affected = {"package": package, "ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}
    return {"id": "X-1", "affected": [affected], **more}


def found(*records: dict[str, Any]) -> list[str]:
    parts = components(json.dumps(SBOM).encode())
    return [one.component.name for one in scan(parts, iter(records))]


@pytest.mark.parametrize(
    ("events", "affected"),
    [
        ([{"introduced": "0"}], True),
        ([{"introduced": "0"}, {"fixed": "2.41-12+deb13u5"}], False),
        ([{"introduced": "0"}, {"fixed": "2.41-12+deb13u6"}], True),
        ([{"introduced": "0"}, {"fixed": "2.41-12"}], False),
        ([{"introduced": "2.42"}], False),
        ([{"fixed": "2.30"}, {"introduced": "0"}], False),
        ([{"introduced": "0"}, {"fixed": "2.30"}, {"introduced": "2.41~rc1"}], True),
        ([{"introduced": "0"}, {"last_affected": "2.41-12+deb13u5"}], True),
        ([{"introduced": "0"}, {"last_affected": "2.41-12+deb13u4"}], False),
    ],
)
def test_a_range_of_debian(events: list[dict[str, str]], affected: bool) -> None:
    assert found(record("Debian:13", "glibc", *events)) == ["glibc"] * affected


@pytest.mark.parametrize(
    ("events", "affected"),
    [
        ([{"introduced": "0"}, {"fixed": "4.16.0"}], True),
        ([{"introduced": "0"}, {"fixed": "4.16.0b2"}], False),
        ([{"introduced": "4.16.0"}], False),
    ],
)
def test_a_range_of_pypi(events: list[dict[str, str]], affected: bool) -> None:
    assert found(record("PyPI", "Typing.Extensions", *events)) == ["typing-extensions"] * affected


def test_records_that_are_not_about_the_image() -> None:
    begin = {"introduced": "0"}
    assert found(record("Debian:12", "glibc", begin)) == []
    assert found(record("Debian:13", "glibc", begin, withdrawn="2026-01-01T00:00:00Z")) == []
    assert found(record("Debian:13", "libc6", begin)) == []
    assert found(record("npm", "glibc", begin)) == []
    versions = {"id": "X", "affected": [{"package": {"ecosystem": "PyPI", "name": "typing-extensions"}}]}
    assert found(versions) == []
    versions["affected"][0]["versions"] = ["4.16.0rc1"]  # type: ignore[index]
    assert found(versions) == ["typing-extensions"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1.0~rc1", "1.0"),
        ("1.0", "1.0+b1"),
        ("1.9", "1.10"),
        ("9", "1:1"),
        ("1.0-1", "1.0-1+deb13u1"),
        ("1.0a", "1.0+"),
    ],
)
def test_versions_are_ordered_as_dpkg_orders_them(before: str, after: str) -> None:
    assert version_key(before) < version_key(after)
    assert subprocess.run(["dpkg", "--compare-versions", before, "lt", after], check=False).returncode == 0


def vex(**more: Any) -> bytes:
    statement = {"vulnerability": {"name": "CVE-1"}, "products": [{"@id": LIBC.partition("@")[0]}], **more}
    return json.dumps({"@context": "https://openvex.dev/ns/v0.2.0", "statements": [statement]}).encode()


@pytest.mark.parametrize(
    ("status", "open_"), [("not_affected", False), ("fixed", False), ("affected", True), ("under_investigation", True)]
)
def test_a_statement_closes_a_vulnerability(status: str, open_: bool) -> None:
    parts = components(json.dumps(SBOM).encode())
    (one,) = scan(parts, iter([record("Debian:13", "glibc", {"introduced": "0"}, aliases=["CVE-1"])]))
    (said,) = explained([one], vex(status=status, justification="vulnerable_code_not_in_execute_path"))
    assert (said.status, said.open, one.open) == (status, open_, True)


def test_a_statement_of_another_component_closes_nothing() -> None:
    parts = components(json.dumps(SBOM).encode())
    (one,) = scan(parts, iter([record("PyPI", "typing-extensions", {"introduced": "0"}, aliases=["CVE-1"])]))
    assert explained([one], vex(status="fixed")) == [one]


@pytest.mark.parametrize("more", [{"status": "not_affected"}, {"status": "fine"}, {"status": "fixed", "products": []}])
def test_a_statement_without_a_reason_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ScanError):
        explained([], vex(**more))


def test_a_list_without_an_ecosystem_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(record("Debian:13", "glibc", {"introduced": "0"})))
    with pytest.raises(ScanError, match="no vulnerability of PyPI"):
        list(vulnerabilities([tmp_path]))


def test_the_verb_reads_archives_and_ends_with_1_for_an_open_one(tmp_path: Path) -> None:
    sbom, archive = tmp_path / "sbom.json", tmp_path / "all.zip"
    sbom.write_text(json.dumps(SBOM))
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("1.json", json.dumps(record("Debian:13", "glibc", {"introduced": "0"}, aliases=["CVE-1"])))
        file.writestr("2.json", json.dumps(record("PyPI", "elsewhere", {"introduced": "0"})))
    (tmp_path / "vex.json").write_bytes(vex(status="fixed"))
    command = [str(sbom), "--osv", str(archive)]
    done = CliRunner().invoke(scan_command, command)
    assert (done.exit_code, "glibc 2.41-12+deb13u5: X-1, CVE-1" in done.output) == (1, True), done.output
    done = CliRunner().invoke(scan_command, [*command, "--vex", str(tmp_path / "vex.json"), "--json"])
    assert done.exit_code == 0
    (one,) = json.loads(done.output)
    assert (one["component"], one["open"], one["status"]) == (LIBC, False, "fixed")
