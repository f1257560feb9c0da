"""The certificates of an attestation key as one text: DER, its own first, then those of its issuers up to a root."""

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation.errors import Fault, invalid
from cji_attestation.strict import load_der
from cji_core.certs import self_issued

MAX_CERTIFICATES: Final = 5
MAX_CHAIN_BYTES: Final = 5 * 4096
_HEAD: Final = 4  # SEQUENCE, and a length of two bytes, which every certificate of an RSA key has


def ak_chain(data: bytes) -> tuple[bytes, ...]:
    """Take the text apart; nothing is parsed yet. EVIDENCE_INVALID "E22" for bytes that are left over or missing."""
    found: list[bytes] = []
    rest = data if len(data) <= MAX_CHAIN_BYTES else b"\0"
    while rest:
        size = _HEAD + int.from_bytes(rest[2:_HEAD], "big")
        if not rest.startswith(b"\x30\x82") or size > len(rest) or len(found) == MAX_CERTIFICATES:
            raise invalid("E22")
        found.append(rest[:size])
        rest = rest[size:]
    return tuple(found)


def with_issuers(certificate: bytes, known: tuple[x509.Certificate, ...]) -> bytes:
    """The certificate, and behind it those among `known` that lead to a root, found by their names."""
    chain = [load_der(certificate, fault=Fault.EVIDENCE_INVALID, check="E22")]
    while not self_issued(chain[-1]) and len(chain) < MAX_CERTIFICATES:
        above = next((one for one in known if one.subject == chain[-1].issuer), None)
        if above is None:
            break
        chain.append(above)
    return b"".join((certificate, *(one.public_bytes(Encoding.DER) for one in chain[1:])))
