"""The folder of a release as `tools/release` leaves it, with a small package and what stands for an image."""

import sys
from pathlib import Path
from subprocess import run
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.appraisal import BootImage
from cji_attestation.verbs.evidence_pcrs import value_lines
from cji_deploy.image.provenance import enveloped, provenance
from cji_deploy.image.signature import file_digest, sign, sums
from tests.support.release_log import pcrs_of
from tests.support.wheels import build

COMMIT: Final = "0a" * 20
LINE: Final = f"roothash={'0c' * 32} init=/usr/lib/cji/host-profile"
_LOCK: Final = f"one==1.0 \\\n    --hash=sha256:{'0d' * 32}\n"
_PEM: Final = serialization.Encoding.PEM


def write_pem(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(_PEM, *form))
    path.chmod(0o600)


def write_image(
    folder: Path,
    seed: int,
    key: Path,
    *,
    commit: str = COMMIT,
    modified: bool = False,
    builder: str = "deploy/image/build",
) -> None:
    """What a build of the image leaves, as far as a release reads it: the boot has this seed."""
    folder.mkdir()
    values = {pcr: (pcrs_of(seed)[pcr],) for pcr in (4, 9, 11)}
    image = BootImage(parts={".linux": "0e" * 32}, command_line=LINE)
    (folder / "reference-values.toml").write_text("\n".join(value_lines(values, (image,))) + "\n")
    (folder / "bundle-keys.sha256").write_text(f"{'0f' * 32}  me.pem\n")
    (folder / "cji-worker.efi").write_bytes(bytes([seed]) * 100)
    statement = provenance(
        {"cji-worker.efi": file_digest(folder / "cji-worker.efi").hex()},
        builder=builder,
        commit=commit,
        modified=modified,
        external={},
        internal={},
        materials=(),
        tools={},
    )
    (folder / "provenance.intoto.json").write_bytes(enveloped(statement, key))
    (folder / "SHA256SUMS").write_bytes(sums(folder))
    (folder / "SHA256SUMS.sig").write_text(sign(folder / "SHA256SUMS", key))


def make_release(folder: Path, cosign_key: Path, *, version: str, seed: int | None) -> Path:
    """A release with a package, and with an image unless `seed` is None."""
    build(folder, ["engine"])
    (folder / "requirements.lock").write_text(_LOCK)
    if seed is not None:
        write_image(folder / "image", seed, cosign_key)
    command = [sys.executable, "-m", "cji_deploy.release", str(folder), "--cosign-key", str(cosign_key)]
    run([*command, "--version", version, "--commit", COMMIT, "--epoch", "1796083200"], check=True, capture_output=True)
    return folder
