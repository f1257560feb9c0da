"""Keys, firmware variables and disks of a machine in tests."""

import json
import shutil
import struct
import subprocess
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from cji_deploy.image.pe import PeImage
from tests.support.machine.units import extra_initrd

__all__ = ["FIRMWARE", "MICROSOFTS", "UKIFY", "Key", "enrolled", "partitions", "uki_with_units", "with_uki"]

FIRMWARE: Final = Path("/usr/share/OVMF")
MICROSOFTS: Final = FIRMWARE / "OVMF_VARS_4M.ms.fd"
"""Variables with Microsoft's keys and no other, Secure Boot on."""
_OWNER: Final = "77fa9abd-0359-4d32-bd60-28f4e78f784b"
UKIFY: Final = ("/usr/bin/python3", "/usr/bin/ukify")
"""With the Python that has its modules, whatever comes first on PATH."""
_STUB: Final = Path("/usr/lib/systemd/boot/efi/linuxx64.efi.stub")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The key that signs images, as a builder has it: `db.key` and `db.pem` in a folder."""

    folder: Path

    @classmethod
    def new(cls, folder: Path) -> "Key":
        """Make one."""
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
    def der(self) -> bytes:
        """Its certificate."""
        certificate = x509.load_pem_x509_certificate((self.folder / "db.pem").read_bytes())
        return certificate.public_bytes(serialization.Encoding.DER)


def enrolled(key: Key, folder: Path) -> Path:
    """Firmware variables of Microsoft's keys with this key appended to db, as a version in a gallery asks for.

    Beside them, `secure-boot/NAME.esl` for the prediction.
    """
    variables, text = folder / "vars.fd", folder / "vars.json"
    certificate = str(key.folder / "db.pem")
    command = [
        "virt-fw-vars",
        "-i",
        str(MICROSOFTS),
        "-o",
        str(variables),
        "--output-json",
        str(text),
    ]
    subprocess.run([*command, "--add-db", _OWNER, certificate, "--sb"], check=True, capture_output=True)
    lists = folder / "secure-boot"
    lists.mkdir(exist_ok=True)
    for one in json.loads(text.read_text())["variables"]:
        if one["name"] in {"PK", "KEK", "db", "dbx"}:
            (lists / f"{one['name']}.esl").write_bytes(bytes.fromhex(one["data"]))
    return variables


def uki_with_units(uki: Path, key: Key, out: Path, *, crash: bool = False) -> Path:
    """The same image with the tests' units in its initrd, signed again; `crash` as for `extra_initrd`."""
    image, work = PeImage.parse(uki.read_bytes()), out.with_suffix(".parts")
    work.mkdir(exist_ok=True)
    initrd = image.section(".initrd")
    (work / "initrd").write_bytes(initrd + bytes(-len(initrd) % 4) + extra_initrd(crash=crash))
    for name in ("linux", "cmdline", "osrel", "uname"):
        (work / name).write_bytes(image.section(f".{name}"))
    command = [*UKIFY, "build", f"--linux={work / 'linux'}", f"--initrd={work / 'initrd'}"]
    command += [f"--cmdline=@{work / 'cmdline'}", f"--os-release=@{work / 'osrel'}", f"--stub={_STUB}"]
    command += [f"--uname={(work / 'uname').read_text()}", f"--output={work / 'unsigned.efi'}"]
    subprocess.run(command, check=True, capture_output=True)
    sign = ["sbsign", "--key", str(key.folder / "db.key"), "--cert", str(key.folder / "db.pem"), "--output", str(out)]
    subprocess.run([*sign, str(work / "unsigned.efi")], check=True, capture_output=True)
    shutil.rmtree(work)
    return out


def partitions(raw: Path) -> dict[str, tuple[int, int]]:
    """{label: (offset, bytes)} of a disk (UEFI 2.10, chapter 5)."""
    with raw.open("rb") as disk:
        disk.seek(512)
        header = disk.read(92)
        start, count, size = struct.unpack_from("<QII", header, 72)
        disk.seek(start * 512)
        table = disk.read(count * size)
    found = {}
    for at in range(0, len(table), size):
        kind, first, last, name = struct.unpack_from("<16s16xQQ8x72s", table, at)
        if kind != bytes(16):
            label = name.decode("utf-16-le").rstrip("\0")
            found[label or str(uuid.UUID(bytes_le=kind))] = (first * 512, (last - first + 1) * 512)
    return found


def with_uki(raw: Path, uki: Path, out: Path) -> Path:
    """A copy of the disk that boots this unified kernel image."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", raw, out], check=True)
    offset, _ = partitions(out)["esp"]
    subprocess.run(["mcopy", "-o", "-i", f"{out}@@{offset}", uki, "::/EFI/BOOT/BOOTX64.EFI"], check=True)
    return out
