"""A software bill of materials against a list of vulnerabilities given as files, and what was found out about them.

Nothing is fetched. The list is in the OSV format, as osv.dev publishes it for Debian and for PyPI; what was found out
is an OpenVEX document. Sources: ossf.github.io/osv-schema 1.7, "Evaluation"; OpenVEX 0.2.0.
"""

import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.version import InvalidVersion, Version

from cji_core.strict import parse, parse_object
from cji_deploy.errors import DeploymentError
from cji_deploy.image.deb import version_key

__all__ = ["Component", "Found", "ScanError", "components", "explained", "scan", "vulnerabilities"]

_MOST: Final = 64 << 20
"""Bytes of one file, or one member of an archive."""
_DEBIAN: Final = re.compile(r"^Debian(:13)?$")
_STATUSES: Final = frozenset({"not_affected", "affected", "fixed", "under_investigation"})
_CLOSED: Final = frozenset({"not_affected", "fixed"})


class ScanError(DeploymentError, ValueError):
    """A bill of materials, a list or a statement that cannot be used, so that nothing is known."""

    code = "scan-invalid"
    remedy = "Give the image's sbom.cdx.json, the list of Debian:13 and of PyPI as osv.dev exports it, and OpenVEX."


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A part of the image as a list names it: of Debian, its source."""

    ecosystem: str
    name: str
    version: str
    purl: str

    def is_before(self, other: str) -> bool:
        """Whether its version is before this one; raises ScanError."""
        return bool(self.key(self.version) < self.key(other))

    def key(self, version: str) -> Any:
        """A key that orders versions as this ecosystem does; raises ScanError."""
        try:
            return version_key(version) if self.ecosystem == "Debian" else Version(version)
        except (InvalidVersion, ValueError) as error:
            raise ScanError(f"{version!r} is not a version of {self.ecosystem}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A vulnerability of a component. `status` and `reason` are a statement's; both are empty without one."""

    id: str
    aliases: tuple[str, ...]
    component: Component
    summary: str
    fixed_in: tuple[str, ...]
    status: str = ""
    reason: str = ""

    @property
    def open(self) -> bool:
        """Whether somebody has to do something."""
        return self.status not in _CLOSED


def components(sbom: bytes) -> list[Component]:
    """The components of a bill of materials; one name for the packages of a source. Raises ScanError."""
    document = parse_object(sbom, limit=_MOST)
    found: dict[tuple[str, str, str], Component] = {}
    for one in document.get("components", ()):
        purl = str(one.get("purl", ""))
        properties = {each["name"]: each["value"] for each in one.get("properties", ())}
        if purl.startswith("pkg:deb/debian/"):
            try:
                name, version = properties["cji:source"], properties["cji:source-version"]
            except KeyError as error:
                raise ScanError(f"{purl} has no {error.args[0]}") from error
            component = Component(ecosystem="Debian", name=name, version=version, purl=purl)
        elif purl.startswith("pkg:pypi/"):
            component = Component(ecosystem="PyPI", name=_normal(one["name"]), version=one["version"], purl=purl)
        else:
            continue
        found.setdefault((component.ecosystem, component.name, component.version), component)
    if {one.ecosystem for one in found.values()} != {"Debian", "PyPI"}:
        raise ScanError("the bill of materials does not list packages of Debian and of PyPI")
    return list(found.values())


def vulnerabilities(paths: list[Path]) -> Iterator[dict[str, Any]]:
    """The records of files, folders and archives; raises ScanError if an ecosystem of the image has none."""
    seen = set()
    for record in _records(paths):
        for affected in record.get("affected", ()):
            ecosystem = str(affected.get("package", {}).get("ecosystem", ""))
            seen.add("Debian" if _DEBIAN.match(ecosystem) else ecosystem)
        yield record
    if missing := sorted({"Debian", "PyPI"} - seen):
        raise ScanError(f"the list has no vulnerability of {' and of '.join(missing)}: it is not whole")


def _records(paths: list[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*.json")):
                yield from _of_json(file.read_bytes(), file.name)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for member in sorted(archive.namelist()):
                    if archive.getinfo(member).file_size > _MOST:
                        raise ScanError(f"{member} of {path.name} has more than {_MOST >> 20} MiB")
                    yield from _of_json(archive.read(member), member)
        else:
            yield from _of_json(path.read_bytes(), path.name)


def _of_json(data: bytes, name: str) -> Iterator[dict[str, Any]]:
    try:
        found = parse(data, limit=_MOST)
    except ValueError as error:
        raise ScanError(f"{name} is not JSON: {error}") from error
    listed = found if isinstance(found, list) else [found]
    for one in listed:
        if not isinstance(one, dict) or not isinstance(one.get("id"), str):
            raise ScanError(f"{name} is not a record of OSV, or a list of such records")
        yield one


def scan(parts: list[Component], records: Iterator[dict[str, Any]]) -> list[Found]:
    """The vulnerabilities of these components."""
    by_name: dict[tuple[str, str], list[Component]] = {}
    for part in parts:
        by_name.setdefault((part.ecosystem, part.name), []).append(part)
    found: dict[tuple[str, str], Found] = {}
    for record in records:
        if "withdrawn" in record:
            continue
        for affected in record.get("affected", ()):
            package = affected.get("package", {})
            ecosystem = "Debian" if _DEBIAN.match(str(package.get("ecosystem"))) else str(package.get("ecosystem"))
            name = str(package.get("name", ""))
            for part in by_name.get((ecosystem, _normal(name) if ecosystem == "PyPI" else name), ()):
                if _is_affected(part, affected):
                    found[record["id"], part.purl] = _found(record, affected, part)
    return sorted(found.values(), key=lambda one: (one.component.name, one.id))


def _found(record: Mapping[str, Any], affected: Mapping[str, Any], part: Component) -> Found:
    fixes = [
        str(event["fixed"])
        for each in affected.get("ranges", ())
        if each.get("type") == "ECOSYSTEM"
        for event in each.get("events", ())
        if "fixed" in event and part.is_before(str(event["fixed"]))
    ]
    names = (*record.get("aliases", ()), *record.get("upstream", ()))
    return Found(
        id=record["id"],
        aliases=tuple(map(str, names)),
        component=part,
        summary=str(record.get("summary") or record.get("details", "")).partition("\n")[0][:200],
        fixed_in=tuple(dict.fromkeys(fixes)),
    )


def _is_affected(part: Component, affected: Mapping[str, Any]) -> bool:
    if part.version in affected.get("versions", ()):
        return True
    ranges = (each.get("events", ()) for each in affected.get("ranges", ()) if each.get("type") == "ECOSYSTEM")
    return any(_in_range(part, events) for events in ranges)


def _in_range(part: Component, events: list[dict[str, Any]]) -> bool:
    """Whether the last event that is not after the version leaves it affected."""
    inside = False
    reached: dict[str, Callable[[str], bool]] = {
        "introduced": lambda version: version == "0" or not part.is_before(version),
        "fixed": lambda version: not part.is_before(version),
        "last_affected": lambda version: not part.is_before(version) and part.version != version,
    }
    ordered = sorted(events, key=lambda event: _order(part, event))
    for event in ordered:
        for kind, has_reached in reached.items():
            if kind in event and has_reached(str(event[kind])):
                inside = kind == "introduced"
    return inside


def _order(part: Component, event: Mapping[str, Any]) -> tuple[int, Any]:
    version = str(next(iter(event.values()), "0"))
    return (0, ()) if version == "0" else (1, part.key(version))


def explained(found: list[Found], vex: bytes) -> list[Found]:
    """The same, each with what the last statement about it says; raises ScanError for statements of another form."""
    statements = []
    for one in parse_object(vex, limit=_MOST).get("statements", ()):
        status = one.get("status")
        reason = str(one.get("justification") or one.get("impact_statement") or one.get("action_statement") or "")
        name = one.get("vulnerability", {}).get("name")
        products = {str(each.get("@id", "")) for each in one.get("products", ())}
        if status not in _STATUSES or not name or not products:
            raise ScanError("a statement without a vulnerability's name, products, and one of OpenVEX's statuses")
        if status == "not_affected" and not reason:
            raise ScanError(f"the statement about {name} says not_affected, and not why")
        statements.append((str(name), products, str(status), reason))
    return [_explain(one, statements) for one in found]


def _explain(one: Found, statements: list[tuple[str, set[str], str, str]]) -> Found:
    about = {one.component.purl, one.component.purl.partition("?")[0], one.component.purl.partition("@")[0]}
    for name, products, status, reason in reversed(statements):
        if name in {one.id, *one.aliases} and about & products:
            return Found(
                id=one.id,
                aliases=one.aliases,
                component=one.component,
                summary=one.summary,
                fixed_in=one.fixed_in,
                status=status,
                reason=reason,
            )
    return one


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
