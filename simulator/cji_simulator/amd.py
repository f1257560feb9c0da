"""An ARK, an ASK and a VCEK as AMD issues them (AMD 57230), from keys made here.

RSA-4096 keys sign with PSS, SHA-384 and a salt of 48 bytes; the VCEK is P-384 with AMD's own OIDs. Serial numbers are
65536, 65537 and 0: the last is not allowed by RFC 5280 and is so in the field, so the certificate is patched and
signed again.
"""

import os
import warnings
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cji_simulator.certificates import Credential, name, validity
from cji_simulator.snp import Tcb

__all__ = ["CHIP_ID_LENGTH", "KEY_BITS", "PRODUCT", "AmdRoots", "make", "vcek"]

PRODUCT: Final = "Genoa"
CHIP_ID_LENGTH: Final = 64  # bytes
KEY_BITS: Final = 4096  # of ARK and ASK
_PSS: Final = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
_OID: Final = "1.3.6.1.4.1.3704.1."


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdRoots:
    """The chain below one chip's VCEK, and the chip's id."""

    ark: Credential
    ask: Credential
    vcek: Credential
    chip_id: bytes


def _authority(common: str, serial: int, key: rsa.RSAPrivateKey, issuer: Credential | None) -> Credential:
    start, end = validity()
    subject = name(common, ORGANIZATIONAL_UNIT_NAME="Engineering")
    signer = issuer.rsa() if issuer else key
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(signer, hashes.SHA384(), rsa_padding=_PSS)
    )
    return Credential(key=key, certificate=certificate, above=issuer.chain if issuer else ())


def _integer(value: int) -> bytes:
    body = value.to_bytes(value.bit_length() // 8 + 1, "big")  # one leading zero bit, as DER wants
    return bytes([2, len(body)]) + body


def _extensions(tcb: Tcb, chip_id: bytes) -> list[x509.UnrecognizedExtension]:
    product = PRODUCT.encode()
    values = {
        "1": _integer(0),
        "2": bytes([0x16, len(product)]) + product,  # IA5String
        "3.1": _integer(tcb.bootloader),
        "3.2": _integer(tcb.tee),
        "3.4": _integer(0),
        "3.5": _integer(0),
        "3.6": _integer(0),
        "3.7": _integer(0),
        "3.3": _integer(tcb.snp),
        "3.8": _integer(tcb.microcode),
        "4": chip_id,  # raw, not an OCTET STRING: that is how the VCEKs in the field are
    }
    return [x509.UnrecognizedExtension(x509.ObjectIdentifier(_OID + oid), value) for oid, value in values.items()]


def _with_serial_zero(certificate: x509.Certificate, signer: rsa.RSAPrivateKey) -> x509.Certificate:
    """Put serial 0 in place of a one-byte serial and sign again; both DER encodings have the same length."""
    tbs, whole = certificate.tbs_certificate_bytes, certificate.public_bytes(Encoding.DER)
    marker = bytes([0xA0, 3, 2, 1, 2, 2, 1, certificate.serial_number])  # version 3, then INTEGER of one byte
    patched = tbs.replace(marker, marker[:-1] + b"\0", 1)
    signature = signer.sign(patched, _PSS, hashes.SHA384())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the very serial number that is wanted
        return x509.load_der_x509_certificate(whole.replace(tbs, patched, 1)[: -len(signature)] + signature)


def vcek(tcb: Tcb, chip_id: bytes, ask: Credential) -> Credential:
    """Make the key and certificate of one chip at one TCB."""
    start, end = validity()
    key = ec.generate_private_key(ec.SECP384R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("SEV-VCEK", ORGANIZATIONAL_UNIT_NAME="Engineering"))
        .issuer_name(ask.certificate.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(end)
    )
    for extension in _extensions(tcb, chip_id):
        builder = builder.add_extension(extension, critical=False)
    certificate = _with_serial_zero(builder.sign(ask.rsa(), hashes.SHA384(), rsa_padding=_PSS), ask.rsa())
    return Credential(key=key, certificate=certificate, above=ask.chain)


def make(tcb: Tcb, ark_key: rsa.RSAPrivateKey, ask_key: rsa.RSAPrivateKey) -> AmdRoots:
    """Make a chain for one new chip at `tcb`, with these keys of `KEY_BITS`."""
    ark = _authority(f"ARK-{PRODUCT}", 65536, ark_key, None)
    ask = _authority(f"SEV-{PRODUCT}", 65537, ask_key, ark)
    chip_id = os.urandom(CHIP_ID_LENGTH)
    return AmdRoots(ark=ark, ask=ask, vcek=vcek(tcb, chip_id, ask), chip_id=chip_id)
