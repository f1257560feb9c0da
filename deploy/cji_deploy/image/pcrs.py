"""`python -m cji_deploy.image.pcrs IMAGE.efi`: PCRs and reference values of a unified kernel image, without a machine.

Prints TOML for worker.toml and client.toml, or with --pins the options for `cji policy build`, or with --events every
extension, which is all that it prints for an image of another flavour than production. PCR 7 needs the Secure Boot
variables of the machines: `--secure-boot FOLDER --certificate db.pem`.
"""

import argparse
import base64
import sys
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation.appraisal.boot_image import ENGINE, PRODUCTION, flavours_of
from cji_attestation.evidence.tpm_structures import PCRS
from cji_attestation.verbs.evidence_pcrs import value_lines
from cji_core.certs import load_pem
from cji_deploy.image.boot_events import BootPrediction, predict
from cji_deploy.image.pe import PeError
from cji_deploy.image.secure_boot import SecureBoot, SecureBootError

__all__ = ["flavour_of", "main", "pins", "prediction", "reference_lines"]

_CLAIM = "x-ms-azurevm-attested-pcr-values.pcr"


def prediction(uki: Path, secure_boot: Path | None, certificate: Path | None) -> BootPrediction:
    """The measurements of the image; raises PeError, SecureBootError, ValueError or OSError."""
    machine = None
    if secure_boot is not None:
        if certificate is None:
            raise SecureBootError("the certificate that signed the image is needed to find its entry in db")
        signer = load_pem(certificate.read_bytes()).public_bytes(Encoding.DER)
        machine = SecureBoot.read(secure_boot, signer)
    return predict(uki.read_bytes(), machine)


def flavour_of(found: BootPrediction) -> str:
    """The flavour that the image's command line names, "production" if it names none."""
    return "+".join(flavours_of(found.image.command_line))


def pins(found: BootPrediction) -> dict[str, str]:
    """Claims of a release policy. Azure Attestation shows PCRs 0 to 7 only, so these are PCR 4 and, if known, PCR 7."""
    return {f"{_CLAIM}{pcr}": base64.b64encode(value).decode() for pcr, value in found.pcrs().items() if pcr in PCRS}


def reference_lines(found: BootPrediction) -> Iterator[str]:
    """Reference values in TOML, as `cji evidence pcrs` prints them of a machine that runs."""
    return value_lines({pcr: (value,) for pcr, value in found.pcrs().items()}, (found.image,))


def main(arguments: list[str] | None = None) -> int:
    """The command; 2 for files that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m cji_deploy.image.pcrs", description=__doc__)
    parser.add_argument("uki", type=Path, help="the signed unified kernel image, cji-worker.efi")
    parser.add_argument("--secure-boot", type=Path, help="a folder with PK.esl, KEK.esl, db.esl and dbx.esl")
    parser.add_argument("--certificate", type=Path, help="db.pem, which signed the image")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--pins", action="store_true", help="print options for `cji policy build`")
    form.add_argument("--events", action="store_true", help="print every extension, in order")
    given = parser.parse_args(arguments)
    try:
        found = prediction(given.uki, given.secure_boot, given.certificate)
    except (PeError, SecureBootError, ValueError, OSError) as error:
        print(f"{given.uki}: {error}", file=sys.stderr)
        return 2
    flavour = flavour_of(found)
    if flavour != PRODUCTION and not given.events and (flavour != ENGINE or given.pins):
        why = "no key is released to it" if flavour == ENGINE else "check E61 refuses it, under any pins"
        print(f"{given.uki}: flavour {flavour}: {why}; try --events", file=sys.stderr)
        return 2
    if given.pins:
        lines: Iterator[str] = (f"--pin {claim}={value}" for claim, value in pins(found).items())
    elif given.events:
        lines = (f"PCR {one.pcr:2}  {one.digest.hex()}  {one.name}" for one in found.events)
    else:
        lines = reference_lines(found)
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
