"""`deploy/image/publish IMAGE --settings publish.toml`: a built image as a version in a gallery of the agency's.

It verifies the signatures of the build, checks the disk for what Azure demands, and prints the commands with which the
Azure CLI would upload the disk and deploy `deploy/bicep/gallery.bicep`. With `--apply` it runs them; before that,
nothing is sent. Sources: learn.microsoft.com, "Prepare a Linux VHD for Azure", "Secure Boot UEFI keys", "Create an
Azure Image Builder ... image definition", "Confidential VM images".

publish.toml:

    resource_group = "images"
    gallery = "cjiimages"
    publisher = "agency"
    location = "eastus2"
    replicas = ["eastus2", "centralus"]     # the first is `location`
    storage_account = "/subscriptions/.../storageAccounts/cjivhds"
    container = "vhds"
    cosign_key = "cosign.pub"               # of those who build, as you have kept it
    certificate = "db.pem"                  # which signed the image; goes into db
"""

import argparse
import base64
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation.appraisal.boot_image import ENGINE, PRODUCTION
from cji_core.certs import load_pem
from cji_core.documents import toml
from cji_core.errors import CjiError
from cji_deploy.errors import DeploymentError
from cji_deploy.image.pcrs import flavour_of, prediction
from cji_deploy.image.pe import PeImage
from cji_deploy.image.signature import file_digest, verify
from cji_deploy.image.vhd import check_vhd

__all__ = ["Plan", "PublishError", "Settings", "main", "plan"]

_NAME: Final = "cji-worker"
_KINDS: Final = {PRODUCTION: "worker", ENGINE: "engine"}
"""By flavour: what the definition is of."""
_TEMPLATE: Final = Path(__file__).parents[2] / "bicep" / "gallery.bicep"
_VERSION: Final = re.compile(r"^\d+\.\d+\.\d+$")
_ACCOUNT: Final = re.compile(
    r"^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Storage/storageAccounts/([a-z0-9]{3,24})$"
)
_SUFFIXES: Final = {"AzureCloud": "core.windows.net", "AzureUSGovernment": "core.usgovcloudapi.net"}


class PublishError(DeploymentError, ValueError):
    """The image or the settings are not what a gallery can take."""

    code = "publish-invalid"
    remedy = "Give the folder of a finished build and the settings that docs/image.md shows."


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`publish.toml`; paths are relative to it."""

    resource_group: str
    gallery: str
    publisher: str
    location: str
    replicas: tuple[str, ...]
    storage_account: str
    container: str
    cosign_key: str
    certificate: str
    definition: str = ""
    """By default `cji-worker`, or `cji-engine` for an image of the engine."""
    cloud: str = "AzureCloud"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps of a publication: the parameters of the template, and commands that never need a shell."""

    parameters: dict[str, object]
    commands: tuple[tuple[str, ...], ...]


def plan(folder: Path, settings: Settings, version: str, *, base: Path) -> Plan:
    """Check a build and write down how it is published; raises PublishError, VhdError, SignatureError or PeError."""
    if _VERSION.match(version) is None:
        raise PublishError(f"{version!r} is not a version of a gallery: three numbers with points between them")
    account = _ACCOUNT.match(settings.storage_account)
    if account is None or settings.cloud not in _SUFFIXES:
        raise PublishError("storage_account must be a resource id, cloud one of AzureCloud and AzureUSGovernment")
    if not settings.replicas or settings.replicas[0] != settings.location:
        raise PublishError("the first of the replicas must be the location of the gallery")
    vhd = folder / f"{_NAME}.vhd"
    _verified(folder, (base / settings.cosign_key).read_bytes())
    kind = _KINDS.get(flavour := flavour_of(prediction(folder / f"{_NAME}.efi", None, None)))
    if kind is None:
        raise PublishError(f"the image is of the flavour {flavour}, which no worker or submitter accepts on Azure")
    definition = settings.definition or f"cji-{kind}"
    if any(other in definition for other in _KINDS.values() if other != kind):
        raise PublishError(f"the image is of the {kind}, and the definition {definition} is not")
    check_vhd(vhd)
    blob = f"{definition}-{version}-{file_digest(vhd).hex()[:16]}.vhd"
    where = f"https://{account[1]}.blob.{_SUFFIXES[settings.cloud]}/{settings.container}/{blob}"
    certificate = load_pem((base / settings.certificate).read_bytes()).public_bytes(Encoding.DER)
    if not _is_signed_by(folder / f"{_NAME}.efi", base / settings.certificate):
        raise PublishError("the image was not signed by the key of this certificate: no machine would start it")
    parameters: dict[str, object] = {
        "galleryName": settings.gallery,
        "definitionName": definition,
        "kind": kind,
        "version": version,
        "location": settings.location,
        "replicaRegions": list(settings.replicas),
        "publisher": settings.publisher,
        "storageAccountResourceId": settings.storage_account,
        "vhdUri": where,
        "certificate": base64.b64encode(certificate).decode(),
    }
    return Plan(parameters=parameters, commands=_commands(vhd, settings, account[1], blob, folder / "publish.json"))


def _commands(vhd: Path, settings: Settings, account: str, blob: str, parameters: Path) -> tuple[tuple[str, ...], ...]:
    upload = ("az", "storage", "blob", "upload", "--type", "page", "--auth-mode", "login", "--overwrite", "false")
    place = ("--account-name", account, "--container-name", settings.container, "--name", blob, "--file", str(vhd))
    group = ("--resource-group", settings.resource_group, "--template-file", str(_TEMPLATE))
    values = ("--parameters", f"@{parameters}")
    return (
        (*upload, *place),
        ("az", "deployment", "group", "what-if", *group, *values),
        ("az", "deployment", "group", "create", *group, *values),
    )


def _verified(folder: Path, public_key: bytes) -> None:
    """Raise unless the sums are signed by this key, and disk and image have the digests in them."""
    verify(folder / "SHA256SUMS", (folder / "SHA256SUMS.sig").read_text(), public_key)
    lines = (line.partition("  ") for line in (folder / "SHA256SUMS").read_text().splitlines())
    sums = {name: digest for digest, _, name in lines}
    for name in (f"{_NAME}.vhd", f"{_NAME}.efi"):
        if sums.get(name) != file_digest(folder / name).hex():
            raise PublishError(f"{name} is not the file whose digest was signed")


def _is_signed_by(image: Path, certificate: Path) -> bool:
    if not PeImage.parse(image.read_bytes()).signed:
        return False
    command = ["sbverify", "--cert", str(certificate), str(image)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 for what cannot be published."""
    parser = argparse.ArgumentParser(prog="deploy/image/publish", description="Publish a built image in a gallery.")
    parser.add_argument("folder", type=Path, help="the image's folder of a build")
    parser.add_argument("--settings", type=Path, required=True, help="publish.toml")
    parser.add_argument("--version", required=True, help="three numbers, such as 1.0.0")
    parser.add_argument("--apply", action="store_true", help="run the commands; without it they are printed")
    given = parser.parse_args(arguments)
    try:
        settings = toml(given.settings.read_text(), Settings)
        found = plan(given.folder.resolve(), settings, given.version, base=given.settings.resolve().parent)
    except (CjiError, msgspec.ValidationError, ValueError, OSError) as error:
        print(f"not published: {error}", file=sys.stderr)
        return 2
    document = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {name: {"value": value} for name, value in found.parameters.items()},
    }
    text = json.dumps(document, indent=2)
    print(text)
    for command in found.commands:
        print(shlex.join(command))
    if not given.apply:
        print("Nothing was sent. With --apply these commands run, one after the other.")
        return 0
    (given.folder / "publish.json").write_text(text + "\n")
    for command in found.commands:
        if (status := subprocess.run(command, check=False).returncode) != 0:  # noqa: S603
            print(f"ended with status {status}: {shlex.join(command[:4])}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
