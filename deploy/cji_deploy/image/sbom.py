"""The image's contents as CycloneDX 1.6: Debian's packages, by mkosi's manifest, and Python's, by the hash-pinned lock.

Sources: CycloneDX 1.6 JSON; package-url/purl-spec, types deb and pypi.
"""

import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from cji_core.strict import parse_object

__all__ = ["locked", "sbom"]

_NAMESPACE: Final = uuid.UUID("5f3f1a0e-8a0f-4f3b-9d55-2a5a6f0b9c1d")
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


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


def sbom(manifest: bytes, lock: str, *, version: str, image_digest: str, files: dict[str, str], created: int) -> bytes:
    """JSON; `files` has the digest of each wheel that was installed, by its file name."""
    components = [*_debian(parse_object(manifest, limit=len(manifest))), *_python(locked(lock), files)]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, image_digest)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z"),
            "component": {
                "type": "operating-system",
                "bom-ref": "image",
                "name": "cji-worker-image",
                "version": version,
                "hashes": [{"alg": "SHA-256", "content": image_digest}],
            },
        },
        "components": components,
        "dependencies": [{"ref": "image", "dependsOn": [one["bom-ref"] for one in components]}],
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _debian(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for package in sorted(manifest["packages"], key=lambda one: (one["name"], one["architecture"])):
        name, version, architecture = package["name"], package["version"], package["architecture"]
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}&distro=debian-13"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _python(lock: list[tuple[str, str, tuple[str, ...]]], files: dict[str, str]) -> Iterator[dict[str, Any]]:
    for name, version, allowed in sorted(lock):
        installed = sorted(digest for digest in files.values() if digest in allowed)
        if not installed:
            continue  # of another platform
        purl = f"pkg:pypi/{name}@{quote(version, safe='')}"
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "purl": purl,
            "hashes": [{"alg": "SHA-256", "content": one} for one in installed],
        }
