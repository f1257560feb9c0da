"""The last step of a build: what goes with the disk. `deploy/image/build` calls it.

| file | contents |
|---|---|
| cji-worker.vhd | the disk for Azure |
| reference-values.toml, policy-pins.txt, pcrs.txt | the predicted boot: for verifiers, for release policies, to read |
| bundle-keys.sha256 | digests of the keys whose bundles the image takes, as sha256sum prints them |
| release-policy.json | the template of `deploy/policy`, with the PCRs pinned |
| sbom.cdx.json, provenance.intoto.json | contents; inputs, as a signed statement |
| SHA256SUMS, *.sig, cosign.pub | digests, signatures and their key |

An image of the engine gets all but pins and a policy: no key is released to it. One of another flavour than these gets
no VHD and no reference values either: nothing to pin.
"""

import argparse
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization

from cji_attestation.appraisal.boot_image import ENGINE, PRODUCTION, SECTIONS
from cji_attestation.release.policy import AUTHORITY_PLACEHOLDER, build
from cji_core.certs import load_pem, load_private_key
from cji_deploy.image.boot_events import BootPrediction
from cji_deploy.image.deb import Deb
from cji_deploy.image.packages import Package, archive_of, installed, read_lock
from cji_deploy.image.pcrs import flavour_of, pins, prediction, reference_lines
from cji_deploy.image.pe import PeImage
from cji_deploy.image.provenance import enveloped, provenance
from cji_deploy.image.sbom import debian, own, python, sbom, sections
from cji_deploy.image.signature import BUNDLE_KEYS, digest_of, file_digest, sign, sums, verify
from cji_deploy.image.vhd import write_vhd

_NAME: Final = "cji-worker"
_SIGNED: Final = (f"{_NAME}.efi", "sbom.cdx.json", "SHA256SUMS")
_SIGNED_IF_PUBLISHED: Final = (f"{_NAME}.vhd", "reference-values.toml")
_TOOLS: Final = ("mkosi", "systemd-repart", "systemd-ukify", "erofs-utils", "sbsigntool", "dosfstools", "mtools")


def main() -> int:
    """Write everything into the folder of the image and print the digests."""
    parser = argparse.ArgumentParser(prog="python -m cji_deploy.image")
    for name in ("keys", "folder", "wheels", "archives", "source", "lock"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--epoch", type=int, required=True)
    given = parser.parse_args()
    folder: Path = given.folder
    raw, uki = folder / f"{_NAME}.raw", folder / f"{_NAME}.efi"
    found = prediction(uki, _variables(given.keys), given.keys / "db.pem")
    flavour = flavour_of(found)
    published, keyed = flavour in {PRODUCTION, ENGINE}, flavour == PRODUCTION
    _predict(folder, found, published=published, keyed=keyed)
    (folder / BUNDLE_KEYS).write_bytes(sums(given.keys / "bundle-keys"))
    disk = raw
    if published:
        disk = folder / f"{_NAME}.vhd"
        write_vhd(raw, disk, uuid.UUID(bytes=file_digest(uki)[:16]), given.epoch)
    subjects = {one.name: file_digest(one).hex() for one in (raw, uki, disk)}
    wheels = {
        one.name: file_digest(one).hex() for one in sorted(given.wheels.iterdir()) if one.suffix in {".whl", ".gz"}
    }
    lock = (given.wheels / "requirements.lock").read_text()  # as `tools/select worker` printed it
    locked = read_lock(given.lock)
    debs = _debian(given.folder, given.archives, locked)
    image = PeImage.parse(uki.read_bytes())
    components = [
        *debian(debs, {name: _files(folder / f"{name}.files") for name in ("root", "initrd")}),
        *python(lock, (given.wheels / name for name in wheels)),
        *own(given.source, flavour),
        *sections({one.name: one.data for one in image.sections if one.name in SECTIONS}),
    ]
    (folder / "sbom.cdx.json").write_bytes(
        sbom(components, version=given.version, digest=subjects[disk.name], created=given.epoch)
    )
    statement = provenance(
        subjects,
        builder="deploy/image/build",
        commit=_git("rev-parse", "HEAD"),
        modified=bool(_git("status", "--porcelain", "--untracked-files=no")),
        external={"secureBootCertificateSha256": _certificate(given.keys / "db.pem")},
        internal={"sourceDateEpoch": given.epoch, "seed": _setting("Seed")},
        materials=[
            *((f"pkg:pypi-file/{name}", digest) for name, digest in wheels.items()),
            *((one.purl, digest) for one, digest in locked.items()),
            ("file:requirements.lock", digest_of(lock.encode()).hex()),
        ],
        tools={name: _version(name) for name in _TOOLS},
    )
    (folder / "provenance.intoto.json").write_bytes(enveloped(statement, given.keys / "cosign.key"))
    for name in ("root.files", "initrd.files", "build-packages"):
        (folder / name).unlink()
    documents = [BUNDLE_KEYS, "sbom.cdx.json", "provenance.intoto.json"]
    documents += ["reference-values.toml"] if published else []
    documents += ["release-policy.json"] if keyed else []
    digests = {**subjects, **{one: file_digest(folder / one).hex() for one in documents}}
    lines = "".join(f"{digests[one]}  {one}\n" for one in sorted(digests))
    (folder / "SHA256SUMS").write_text(lines)
    signed = (*_SIGNED, *_SIGNED_IF_PUBLISHED) if published else _SIGNED
    _sign(folder, given.keys / "cosign.key", signed)
    print(lines, end="")
    return 0


def _debian(folder: Path, archives: Path, lock: dict[Package, str]) -> list[tuple[Deb, str]]:
    """Packages of root and initrd with the digests that the lock has, which the build compared before."""
    where = installed(folder)
    wanted = sorted(one for one, places in where.items() if places != {"overlay"})
    return [(Deb.read(archive_of(one, archives)), lock[one]) for one in wanted]


def _files(path: Path) -> frozenset[str]:
    return frozenset(path.read_text().splitlines())


def _variables(keys: Path) -> Path | None:
    variables = keys / "secure-boot"
    return variables if variables.is_dir() else None


def _predict(folder: Path, found: BootPrediction, *, published: bool, keyed: bool) -> None:
    lines = (f"PCR {one.pcr:2}  {one.digest.hex()}  {one.name}\n" for one in found.events)
    (folder / "pcrs.txt").write_text("".join(lines))
    if published:
        (folder / "reference-values.toml").write_text("\n".join(reference_lines(found)) + "\n")
    if not keyed:
        return
    (folder / "policy-pins.txt").write_text("".join(f"--pin {claim}={value}\n" for claim, value in pins(found).items()))
    (folder / "release-policy.json").write_bytes(build(AUTHORITY_PLACEHOLDER, pins=dict(pins(found))))


def _sign(folder: Path, key_file: Path, names: tuple[str, ...]) -> None:
    key = load_private_key(key_file.read_bytes())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "cosign.pub").write_bytes(public)
    for name in names:
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
