"""Firmware with Secure Boot that starts an image: its keys, its variables, and who signed the image."""

import json
import subprocess
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from cji_deploy.image.pe import PeImage
from cji_simulator.machine.errors import MachineError

__all__ = ["CODE", "FIRMWARE", "MICROSOFTS", "Key", "enrolled", "signer_of"]

FIRMWARE: Final = Path("/usr/share/OVMF")
CODE: Final = FIRMWARE / "OVMF_CODE_4M.secboot.fd"
MICROSOFTS: Final = FIRMWARE / "OVMF_VARS_4M.ms.fd"
"""Variables with Microsoft's keys and no other, Secure Boot on."""
_OWNER: Final = "77fa9abd-0359-4d32-bd60-28f4e78f784b"
_HEAD: Final = 8
"""Bytes of a WIN_CERTIFICATE before its PKCS #7 (UEFI 2.10, 32.2.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key that signs images: `db.key` and `db.pem` in a folder."""

    folder: Path

    @classmethod
    def new(cls, folder: Path) -> "Key":
        """Make one that starts an image on simulated machines alone."""
        folder.mkdir(parents=True, exist_ok=True)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "image test db")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=3650))
            .sign(key, hashes.SHA256())
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / "db.key").touch(mode=0o600)
        (folder / "db.key").write_bytes(pem)
        (folder / "db.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return cls(folder=folder)

    @property
    def certificate(self) -> x509.Certificate:
        """Its certificate."""
        return x509.load_pem_x509_certificate((self.folder / "db.pem").read_bytes())

    @property
    def der(self) -> bytes:
        """Its certificate in DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def sign(self, unsigned: Path, out: Path) -> None:
        """Sign an image."""
        command = ["sbsign", "--key", str(self.folder / "db.key"), "--cert", str(self.folder / "db.pem")]
        subprocess.run([*command, "--output", str(out), str(unsigned)], check=True, capture_output=True)


def signer_of(image: PeImage) -> x509.Certificate:
    """The certificate in the signature of an image; MachineError unless there is exactly one.

    The signature is not verified here: the firmware does that, with this certificate in db.
    """
    if not image.certificates:
        raise MachineError("the image is not signed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the content that Authenticode signs is not one of PKCS #7
        try:
            found = pkcs7.load_der_pkcs7_certificates(image.certificates[_HEAD:])
        except ValueError as error:
            raise MachineError("the image's signature cannot be read") from error
    if len(found) != 1:
        raise MachineError(f"the image's signature has {len(found)} certificates")
    return found[0]


def enrolled(certificates: Sequence[x509.Certificate], folder: Path) -> Path:
    """Firmware variables of Microsoft's keys with these certificates in db, as a version in a gallery asks for.

    Beside them, `secure-boot/NAME.esl` for the prediction.
    """
    variables, text = folder / "vars.fd", folder / "vars.json"
    command = ["virt-fw-vars", "-i", str(MICROSOFTS), "-o", str(variables), "--output-json", str(text)]
    for number, one in enumerate(certificates):
        path = folder / f"db-{number}.pem"
        path.write_bytes(one.public_bytes(serialization.Encoding.PEM))
        command += ["--add-db", _OWNER, str(path)]
    subprocess.run([*command, "--sb"], check=True, capture_output=True)
    lists = folder / "secure-boot"
    lists.mkdir(exist_ok=True)
    for one in json.loads(text.read_text())["variables"]:
        if one["name"] in {"PK", "KEK", "db", "dbx"}:
            (lists / f"{one['name']}.esl").write_bytes(bytes.fromhex(one["data"]))
    return variables
