"""From a folder of artefacts to the statement about it: every file by its digest, and the boot that its image predicts.

Commit and version are those of the signed provenance. A folder with other files than SHA256SUMS has is refused, and so
is an image that was not built from the same commit.
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from cji_attestation.appraisal import BootImage, verity_roots
from cji_attestation.appraisal.boot_image import flavours_of
from cji_core.documents import convert, toml
from cji_core.tlog.leaves import Artefact, Image, PcrValue, Release
from cji_core.trail.fields import utc_hundredths
from cji_deploy.errors import DeploymentError
from cji_deploy.image.provenance import BUILDERS, opened
from cji_deploy.image.signature import BUNDLE_KEYS, file_digest, sums, verify

PRODUCT: Final = "cji-worker"
LOCK: Final = "requirements.lock"
SBOM: Final = "sbom.cdx.json"
PROVENANCE: Final = "provenance.intoto.json"
SUMS: Final = "SHA256SUMS"
SIGNATURE: Final = f"{SUMS}.sig"
PUBLIC: Final = "cosign.pub"
IMAGE: Final = "image"
REFERENCE: Final = "reference-values.toml"
_SIGNED: Final = (SUMS, SIGNATURE, PUBLIC)
"""Beside the files in SUMS."""


class ReleaseFolderError(DeploymentError, ValueError):
    """The folder is not one that `make release` wrote, or was changed since."""

    code = "release-folder"
    remedy = "Make the folder again: `make release`."


class _Values(msgspec.Struct, frozen=True):
    pcrs: dict[str, tuple[str, ...]]
    boot_images: tuple[BootImage, ...]


class _Attestation(msgspec.Struct, frozen=True):
    reference_values: _Values


class _Predicted(msgspec.Struct, frozen=True):
    """`reference-values.toml` of an image."""

    attestation: _Attestation


def release_of(folder: Path, *, origin: str, flavour: str, platform: str, now: datetime | None = None) -> Release:
    """The statement about a folder. Raises ReleaseFolderError, SignatureError or OSError.

    `flavour` and `platform` are of its image, if it has one.
    """
    public = (folder / PUBLIC).read_bytes()
    verify(folder / SUMS, (folder / SIGNATURE).read_text(), public)
    listed = (folder / SUMS).read_bytes()
    found = "".join(line for line in sums(folder).decode().splitlines(keepends=True) if line[66:-1] not in _SIGNED)
    if found.encode() != listed:
        raise ReleaseFolderError(f"{folder} has other files than its {SUMS}")
    built = _built(opened((folder / PROVENANCE).read_bytes(), public))
    with_image = (folder / IMAGE).is_dir()
    if with_image:
        require_image(folder / IMAGE, public, commit=built["commit"])
    names = sorted(line[66:] for line in listed.decode().splitlines())
    try:
        return convert(
            {
                "type": "release",
                "origin": origin,
                "product": PRODUCT,
                **built,
                "time": utc_hundredths(now or datetime.now(UTC)),
                "artefacts": [
                    msgspec.to_builtins(Artefact(name=name, sha256=file_digest(folder / name).hex()))
                    for name in sorted([*names, *_SIGNED])
                ],
                "image": _image(folder / IMAGE, flavour, platform) if with_image else None,
            },
            Release,
        )
    except (ValueError, msgspec.ValidationError) as error:
        raise ReleaseFolderError(f"{folder} makes no release: {error}") from error


def _built(statement: dict[str, Any]) -> dict[str, str]:
    """Version and commit, by the provenance."""
    try:
        commit = _commit(statement, "tools/release")
        version = statement["predicate"]["buildDefinition"]["externalParameters"]["version"]
    except (KeyError, IndexError, TypeError) as error:
        raise ReleaseFolderError(f"the provenance does not name {error}") from error
    return {"version": version, "commit": commit}


def require_image(image: Path, public: bytes, *, commit: str) -> None:
    """Return if an image was built from this commit, and its files are those that its build signed.

    Raises ReleaseFolderError, SignatureError or OSError.
    """
    try:
        of = _commit(opened((image / PROVENANCE).read_bytes(), public), "deploy/image/build")
    except (KeyError, IndexError, TypeError) as error:
        raise ReleaseFolderError(f"the image's provenance does not name {error}") from error
    if of != commit:
        raise ReleaseFolderError(f"the image was built from {of}, not from {commit}")
    verify(image / SUMS, (image / SIGNATURE).read_text(), public)
    listed = {line[66:]: line[:64] for line in (image / SUMS).read_text().splitlines()}
    if not listed.keys() >= {PROVENANCE, REFERENCE, BUNDLE_KEYS}:
        raise ReleaseFolderError("the image's build did not sign what a release states of it")
    if changed := sorted(name for name, digest in listed.items() if file_digest(image / name).hex() != digest):
        raise ReleaseFolderError(f"not as the image's build signed it: {', '.join(changed)}")


def _commit(statement: dict[str, Any], builder: str) -> str:
    """The commit that a program built from, unchanged."""
    definition = statement["predicate"]["buildDefinition"]
    source = definition["resolvedDependencies"][0]
    if definition["buildType"] != BUILDERS[builder] or "annotations" in source:
        raise ReleaseFolderError(f"the provenance is not of {builder}, or of a tree that was changed")
    return str(source["digest"]["gitCommit"])


def _image(folder: Path, flavour: str, platform: str) -> dict[str, Any]:
    values = toml((folder / REFERENCE).read_bytes(), _Predicted).attestation.reference_values
    roots = {root for image in values.boot_images for root in verity_roots(image.command_line)}
    if len(roots) != 1 or any(len(allowed) != 1 for allowed in values.pcrs.values()):
        raise ReleaseFolderError(f"{folder} predicts more than one boot, or none")
    if (named := {name for image in values.boot_images for name in flavours_of(image.command_line)}) != {flavour}:
        raise ReleaseFolderError(f"the image is of the flavour {' and '.join(sorted(named))}, not {flavour}")
    found = Image(
        flavour=flavour,  # type: ignore[arg-type]  # `convert` compares it
        platform=platform,
        root_sha256=roots.pop(),
        pcrs=tuple(PcrValue(pcr=int(pcr), sha256=one) for pcr, (one,) in sorted(values.pcrs.items(), key=_number)),
        bundle_keys_sha384=hashlib.sha384((folder / BUNDLE_KEYS).read_bytes()).hexdigest(),
    )
    shown: dict[str, Any] = msgspec.to_builtins(found)
    return shown


def _number(item: tuple[str, Any]) -> int:
    return int(item[0])
