"""Contents as CycloneDX 1.6, of the image and of a release's packages.

The image has Debian's packages in root and initrd, Python's, our own code, and what is signed. A package of which no
file is left in the image is not listed; diet.toml removes some whole. Sources: CycloneDX 1.6 JSON; types deb and pypi
of package-url/purl-spec; core metadata of Python's packages.
"""

import email
import hashlib
import json
import re
import tarfile
import tomllib
import uuid
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

from cji_attestation.appraisal.boot_image import ENGINE
from cji_deploy.image.deb import Deb
from cji_deploy.image.packages import Package

__all__ = ["debian", "dependencies", "locked", "own", "python", "sbom", "sections", "wheels"]

_NAMESPACE: Final = uuid.UUID("5f3f1a0e-8a0f-4f3b-9d55-2a5a6f0b9c1d")
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_LONG: Final = 80
"""Characters of a name of a licence; some packages have its whole text there."""
_OWN: Final = ("core", "attestation", "operations", "worker")
_OWN_OF_ENGINE: Final = ("core", "attestation", "worker", "engine")
_PROGRAMS: Final = ("host-profile", "futile-start")
_SUPPLIER: Final = "cji-worker"
_SUBJECTS: Final = {"image": ("operating-system", "cji-worker-image"), "release": ("application", "cji-worker")}


def locked(lock: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """(name, version, allowed SHA-256 of its files) of each pin of a lock file; ValueError for one without a hash.

    A name may have several versions, each for other versions of Python.
    """
    pins = list(_PIN.finditer(lock))
    ends = [one.start() for one in pins[1:]] + [len(lock)]
    found = []
    for pin, end in zip(pins, ends, strict=True):
        hashes = tuple(_HASH.findall(lock[pin.end() : end]))
        if not hashes:
            raise ValueError(f"{pin[1]} has no hash")
        found.append((pin[1].lower().replace("_", "-"), pin[2], hashes))
    return found


def sbom(
    components: Iterable[dict[str, Any]],
    *,
    version: str,
    digest: str,
    created: int,
    of: Literal["image", "release"] = "image",
) -> bytes:
    """The document, as JSON. `digest` is the SHA-256 of what it is about: a disk, or the digests of a release."""
    kind, name = _SUBJECTS[of]
    listed = sorted(components, key=lambda one: str(one["bom-ref"]))
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, digest)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z"),
            "supplier": {"name": _SUPPLIER},
            "component": {
                "type": kind,
                "bom-ref": of,
                "name": name,
                "version": version,
                "hashes": _hashes(digest),
            },
        },
        "components": listed,
        "dependencies": [{"ref": of, "dependsOn": [one["bom-ref"] for one in listed]}],
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def debian(debs: Iterable[tuple[Deb, str]], places: Mapping[str, frozenset[str]]) -> Iterator[dict[str, Any]]:
    """Components of (package, SHA-256 of its file), each with the parts of the image that have files of it.

    `places` has the paths of the files in "root" and in "initrd".
    """
    listed = list(debs)
    of_source = {deb.source: deb.licences for deb, _ in listed if deb.licences}
    for deb, digest in listed:
        where = sorted(name for name, files in places.items() if files & deb.files)
        if where:
            purl = Package(deb.name, deb.version, deb.architecture).purl
            properties = {"source": deb.source, "source-version": deb.source_version, "in": " ".join(where)}
            yield _component(
                deb.name,
                deb.version,
                purl,
                digests=[digest],
                supplier=deb.supplier,
                licences=deb.licences or of_source.get(deb.source, ()),
                properties=properties,
            )


def python(lock: str, files: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Components of the wheels and sources that were installed: those whose digest the lock allows."""
    found = {hashlib.sha256(one.read_bytes()).hexdigest(): one for one in files}
    for name, version, allowed in sorted(locked(lock)):
        installed = sorted(found.keys() & set(allowed))
        if installed:  # a pin of another platform has none
            metadata = email.message_from_bytes(_metadata(found[installed[0]]))
            yield _component(
                name,
                version,
                f"pkg:pypi/{name}@{quote(version, safe='')}",
                digests=installed,
                supplier=_author(metadata),
                licences=_licences(metadata),
                properties={"in": "root"},
            )


def wheels(files: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Components of our own wheels, each by its digest."""
    for one in files:
        metadata = email.message_from_bytes(_metadata(one))
        name, version = str(metadata["Name"]), str(metadata["Version"])
        yield _component(
            name,
            version,
            f"pkg:pypi/{name}@{quote(version, safe='')}",
            digests=[hashlib.sha256(one.read_bytes()).hexdigest()],
            supplier=_SUPPLIER,
            licences=_licences(metadata),
            properties={"file": one.name},
        )


def dependencies(lock: str) -> Iterator[dict[str, Any]]:
    """Components of the versions that a lock allows beside the wheels; each file that may be installed has a digest."""
    for name, version, allowed in sorted(locked(lock)):
        yield _component(
            name,
            version,
            f"pkg:pypi/{name}@{quote(version, safe='')}",
            digests=sorted(allowed),
            supplier="",
            licences=(),
            properties={"from": "requirements.lock"},
        )


def own(tree: Path, flavour: str) -> Iterator[dict[str, Any]]:
    """Components of this tree's code in the image; the digest is of the list of its files' digests."""
    for folder in _OWN_OF_ENGINE if flavour == ENGINE else _OWN:
        project = tomllib.loads((tree / folder / "pyproject.toml").read_text())["project"]
        yield _own(project["name"], project["version"], project["license"], tree / folder)
    worker = tomllib.loads((tree / "worker" / "pyproject.toml").read_text())["project"]
    for folder in _PROGRAMS:
        yield _own(folder, worker["version"], worker["license"], tree / "deploy" / folder)


def sections(parts: Mapping[str, bytes]) -> Iterator[dict[str, Any]]:
    """Components of what the signature covers: the parts of the unified kernel image, by name."""
    for name, data in parts.items():
        yield {
            "type": "file",
            "bom-ref": f"section:{name}",
            "name": name,
            "hashes": _hashes(hashlib.sha256(data).hexdigest()),
        }


def _own(name: str, version: str, licence: str, folder: Path) -> dict[str, Any]:
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    lines = "".join(f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.relative_to(folder)}\n" for one in files)
    return _component(
        name,
        version,
        f"pkg:generic/{name}@{version}",
        digests=[hashlib.sha256(lines.encode()).hexdigest()],
        supplier=_SUPPLIER,
        licences=[licence],
        properties={
            "in": "root",
            "hash-of": "lines of SHA-256 and path of the files of its source, as sha256sum has them",
        },
    )


def _component(
    name: str,
    version: str,
    purl: str,
    *,
    digests: Iterable[str],
    supplier: str,
    licences: Iterable[str],
    properties: Mapping[str, str],
) -> dict[str, Any]:
    named = [one if len(one) <= _LONG else f"{one[:_LONG]}…" for one in licences] or ["NOASSERTION"]
    return {
        "type": "library",
        "bom-ref": purl,
        "supplier": {"name": supplier or "NOASSERTION"},
        "name": name,
        "version": version,
        "hashes": [one for digest in digests for one in _hashes(digest)],
        "licenses": [{"license": {"name": one}} for one in named],
        "purl": purl,
        "properties": [{"name": f"cji:{key}", "value": value} for key, value in properties.items()],
    }


def _hashes(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest}]


def _metadata(path: Path) -> bytes:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(next(one for one in wheel.namelist() if one.endswith(".dist-info/METADATA")))
    with tarfile.open(path) as source:
        member = next(one for one in source if one.name.count("/") == 1 and one.name.endswith("/PKG-INFO"))
        file = source.extractfile(member)
        return file.read() if file is not None else b""


def _author(metadata: email.message.Message) -> str:
    for field in ("Author", "Maintainer", "Author-email", "Maintainer-email"):
        if value := metadata.get(field):
            return str(value).partition(" <")[0].strip('"')
    return ""


def _licences(metadata: email.message.Message) -> list[str]:
    for field in ("License-Expression", "License"):
        if value := metadata.get(field):
            return [str(value).splitlines()[0]]
    kinds = [str(one) for one in metadata.get_all("Classifier", []) if one.startswith("License ::")]
    return [one.rpartition(" :: ")[2] for one in kinds]
