"""VCEK certificates: product, patch levels and hardware id of a chip, in the extensions that AMD 57230 lists."""

import re
from typing import Final

from cryptography import x509

from cji_attestation.appraisal.advisories import Product, product_of_cpuid
from cji_attestation.checks import Check
from cji_attestation.errors import invalid
from cji_attestation.evidence import SnpReport, Tcb
from cji_attestation.evidence.snp_report import parse_tcb

_AMD: Final = "1.3.6.1.4.1.3704.1."
_PRODUCTS: Final[dict[str, Product]] = {"Milan": "Milan", "Genoa": "Genoa", "Turin": "Turin"}
_LEVELS: Final = {"bootloader": "3.1", "tee": "3.2", "snp": "3.3", "microcode": "3.8"}
_SPARE: Final = ("3.4", "3.5", "3.6", "3.7")  # levels without a meaning yet; Turin has no 3.4
_KNOWN: Final = frozenset({"1", "2", "4", *_SPARE})  # 5, cspID, makes it a VLEK
_STRUCTURE: Final[dict[Product, int]] = {"Milan": 0, "Genoa": 0, "Turin": 1}  # structVersion


def product_of(vcek: x509.Certificate) -> Product | None:
    """The product that the VCEK names ("Milan-B0", "Genoa", ...), where it is a known one."""
    text = _der_value(_extension(vcek, "2"), tag=0x16).decode("ascii", "replace")
    return _PRODUCTS.get(re.split("-", text, maxsplit=1)[0])


def verify_chip(report: SnpReport, vcek: x509.Certificate, *, product: Product) -> tuple[Tcb, Check]:
    """E07: the VCEK was made for this chip, this product and the reported TCB, which is returned."""
    turin = product == "Turin"
    reported = parse_tcb(report.reported_tcb, turin=turin)
    names = _LEVELS | ({"fmc": "3.9"} if turin else {})
    certified = Tcb(**{name: _level(vcek, suffix) for name, suffix in names.items()})
    if reported != certified:
        raise invalid("E07", found=f"reported TCB {reported}", expected=f"the VCEK's, {certified}")
    present = _extensions(vcek).keys()
    if present - _KNOWN - set(names.values()) or any(_level(vcek, spare) for spare in present & set(_SPARE)):
        raise invalid("E07", found="extensions that no VCEK of this product has")
    if _level(vcek, "1") != _STRUCTURE[product]:
        raise invalid("E07", found="a VCEK of another structure version")
    raw = _extension(vcek, "4")
    size = 8 if turin else 64
    hwid = raw if len(raw) == size else _der_value(raw, tag=0x04)
    if hwid != report.chip_id[:size] or any(report.chip_id[size:]) or not any(hwid):
        raise invalid("E07", found=f"chip {report.chip_id.hex()}", expected=f"the VCEK's, {hwid.hex()}")
    if any(report.cpuid) and product_of_cpuid(*report.cpuid[:2]) != product:
        raise invalid("E07", found=f"CPUID family, model and stepping {report.cpuid}", expected=product)
    return reported, Check("E07", "VCEK is for this chip and TCB")


def _extensions(vcek: x509.Certificate) -> dict[str, bytes]:
    """AMD's extensions, raw, by what follows AMD's prefix. A duplicate makes a certificate unreadable before this."""
    return {
        extension.oid.dotted_string.removeprefix(_AMD): extension.value.value
        for extension in vcek.extensions
        if isinstance(extension.value, x509.UnrecognizedExtension) and extension.oid.dotted_string.startswith(_AMD)
    }


def _extension(vcek: x509.Certificate, suffix: str) -> bytes:
    found = _extensions(vcek).get(suffix)
    if found is None:
        raise invalid("E07")
    return found


def _der_value(data: bytes, *, tag: int) -> bytes:
    """The content of a DER value of at most 127 bytes."""
    if len(data) < 2 or data[0] != tag or data[1] != len(data) - 2 or data[1] > 127:
        raise invalid("E07")
    return data[2:]


def _level(vcek: x509.Certificate, suffix: str) -> int:
    """A DER INTEGER, so 128 and more have a leading zero byte; no patch level is equal to one outside 0 to 255."""
    content = _der_value(_extension(vcek, suffix), tag=0x02)
    if not content:
        raise invalid("E07")
    return int.from_bytes(content, "big", signed=True)
