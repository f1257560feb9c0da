"""The last step of a build: what goes with the disk. `deploy/image/build` calls it.

| file | contents |
|---|---|
| cji-worker.vhd | the disk for Azure |
| reference-values.toml, policy-pins.txt, pcrs.txt | the predicted boot: for verifiers, for release policies, to read |
| release-policy.json | the template of `deploy/policy`, with the PCRs pinned |
| sbom.cdx.json, provenance.json | contents and inputs |
| SHA256SUMS, *.sig, cosign.pub | digests, signatures and their key |
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization

from cji_attestation.release.policy import AUTHORITY_PLACEHOLDER, build
from cji_core.certs import load_pem, load_private_key
from cji_deploy.image.pcrs import pins, prediction, reference_lines
from cji_deploy.image.provenance import provenance
from cji_deploy.image.sbom import sbom
from cji_deploy.image.signature import file_digest, sign, verify
from cji_deploy.image.vhd import write_vhd

_NAME: Final = "cji-worker"
_SIGNED: Final = (
    f"{_NAME}.vhd",
    f"{_NAME}.efi",
    "reference-values.toml",
    "sbom.cdx.json",
    "provenance.json",
    "SHA256SUMS",
)
_TOOLS: Final = ("mkosi", "systemd-repart", "systemd-ukify", "erofs-utils", "sbsigntool", "dosfstools", "mtools")


def main() -> int:
    """Write everything into the folder of the image and print the digests."""
    parser = argparse.ArgumentParser(prog="python -m cji_deploy.image")
    for name in ("keys", "folder", "wheels"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--epoch", type=int, required=True)
    given = parser.parse_args()
    folder: Path = given.folder
    raw, uki = folder / f"{_NAME}.raw", folder / f"{_NAME}.efi"
    _predict(folder, uki, given.keys)
    write_vhd(raw, folder / f"{_NAME}.vhd", uuid.UUID(bytes=file_digest(uki)[:16]), given.epoch)
    subjects = {one: file_digest(folder / one).hex() for one in (raw.name, uki.name, f"{_NAME}.vhd")}
    wheels = {
        one.name: file_digest(one).hex() for one in sorted(given.wheels.iterdir()) if one.suffix in {".whl", ".gz"}
    }
    lock = (given.wheels / "requirements.lock").read_text()  # as `tools/select worker` printed it
    manifest = (folder / f"{_NAME}.manifest").read_bytes()
    components = sbom(
        manifest, lock, version=given.version, image_digest=subjects[f"{_NAME}.vhd"], files=wheels, created=given.epoch
    )
    (folder / "sbom.cdx.json").write_bytes(components)
    (folder / "provenance.json").write_bytes(
        provenance(
            subjects,
            commit=_git("rev-parse", "HEAD"),
            modified=bool(_git("status", "--porcelain", "--untracked-files=no")),
            epoch=given.epoch,
            seed=_setting("Seed"),
            certificate_sha256=_certificate(given.keys / "db.pem"),
            materials=[
                *((f"pkg:pypi-file/{name}", digest) for name, digest in wheels.items()),
                ("urn:cji-worker:debian-packages", hashlib.sha256(manifest).hexdigest()),
                ("file:requirements.lock", hashlib.sha256(lock.encode()).hexdigest()),
            ],
            tools={name: _version(name) for name in _TOOLS},
        )
    )
    documents = ("reference-values.toml", "release-policy.json", "sbom.cdx.json", "provenance.json")
    digests = {**subjects, **{one: file_digest(folder / one).hex() for one in documents}}
    sums = "".join(f"{digests[one]}  {one}\n" for one in sorted(digests))
    (folder / "SHA256SUMS").write_text(sums)
    _sign(folder, given.keys / "cosign.key")
    print(sums, end="")
    return 0


def _predict(folder: Path, uki: Path, keys: Path) -> None:
    variables = keys / "secure-boot"
    found = prediction(uki, variables if variables.is_dir() else None, keys / "db.pem")
    (folder / "reference-values.toml").write_text("\n".join(reference_lines(found)) + "\n")
    (folder / "policy-pins.txt").write_text("".join(f"--pin {claim}={value}\n" for claim, value in pins(found).items()))
    lines = (f"PCR {one.pcr:2}  {one.digest.hex()}  {one.name}\n" for one in found.events)
    (folder / "pcrs.txt").write_text("".join(lines))
    (folder / "release-policy.json").write_bytes(build(AUTHORITY_PLACEHOLDER, pins=dict(pins(found))))


def _sign(folder: Path, key_file: Path) -> None:
    key = load_private_key(key_file.read_bytes())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "cosign.pub").write_bytes(public)
    for name in _SIGNED:
        signature = sign(folder / name, key_file)
        verify(folder / name, signature, public)
        (folder / f"{name}.sig").write_text(f"{signature}\n")


def _certificate(path: Path) -> str:
    return load_pem(path.read_bytes()).fingerprint(hashes.SHA256()).hex()


def _setting(name: str) -> str:
    lines = (Path(__file__).parents[2] / "image" / "mkosi.conf").read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith(f"{name}="))


def _git(*arguments: str) -> str:
    git = shutil.which("git") or "git"
    return subprocess.run([git, *arguments], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


def _version(package: str) -> str:
    query = ["/usr/bin/dpkg-query", "--show", "--showformat=${Version}", package]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip() or "unknown"  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
