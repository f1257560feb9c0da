"""A build of the image, as `make image` leaves it, and firmware variables of a machine that starts it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation.appraisal.boot_image import flavours_of
from cji_deploy.image.boot_events import BootPrediction, predict
from cji_deploy.image.pe import PeError, PeImage
from cji_deploy.image.secure_boot import SecureBoot
from cji_simulator.machine.errors import MachineError
from cji_simulator.machine.firmware import enrolled, signer_of

__all__ = ["Build", "Firmware"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """The disk of a build, its unified kernel image, and the certificate with which that was signed."""

    raw: Path
    uki: Path
    signer: x509.Certificate
    flavour: str

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Of the results of a build, or of the folder that has them as `image`. Raises MachineError."""
        image = folder if (folder / "cji-worker.efi").is_file() else folder / "image"
        raw, uki = image / "cji-worker.raw", image / "cji-worker.efi"
        try:
            raw.open("rb").close()
            parsed = PeImage.parse(uki.read_bytes())
            line = parsed.section(".cmdline").rstrip(b"\n\0").decode()
        except (OSError, PeError, UnicodeDecodeError) as error:
            remedy = "Give the folder that `make image` wrote, and let this user read it."
            raise MachineError(f"{folder} has no image that can be read: {error}", remedy=remedy) from error
        return cls(raw=raw, uki=uki, signer=signer_of(parsed), flavour="+".join(flavours_of(line)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """Variables of a machine with Microsoft's keys and, in db, these certificates."""

    variables: Path
    lists: Path

    @classmethod
    def of(cls, certificates: Sequence[x509.Certificate], folder: Path) -> Self:
        """Made in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(variables=enrolled(certificates, folder), lists=folder / "secure-boot")

    def predicted(self, uki: Path, signer: x509.Certificate) -> BootPrediction:
        """The measurements of this machine when it boots an image that this certificate signed."""
        return predict(uki.read_bytes(), SecureBoot.read(self.lists, signer.public_bytes(Encoding.DER)))
