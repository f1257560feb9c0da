"""RFC 3161 timestamps: that evidence existed at a time, by an authority that the operator named (E51).

`rfc3161_client` reads a response, and verifies its imprint and its signature. It trusts the certificates that come with
a response as if they were roots, so the chain to a named root is verified here, for the one certificate that the
signature names, at the time of the timestamp.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography import x509

from cji_attestation.checks import Check
from cji_attestation.errors import AttestationError, Fault, invalid
from cji_attestation.strict import load_der, load_pem_chain
from cji_core.certs import common_name
from cji_core.chains import verify_stamping

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

MAX_TIMESTAMP_BYTES: Final = 64 * 1024  # real ones have 5 to 8 KiB
MOST_CERTIFICATES: Final = 8
MOST_ROOTS: Final = 16


class TimestampRoot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A root that the certificates of a timestamp authority chain to."""

    certificate: bytes  # PEM, of the root alone
    source: str
    seen: date


def sound_timestamp_roots(roots: Sequence[TimestampRoot]) -> bool:
    """Whether each entry is another certificate, with a source."""
    try:
        found = [_root(one) for one in roots]
    except AttestationError:
        return False
    return 0 < len(found) <= MOST_ROOTS and len(set(found)) == len(found) and all(one.source.strip() for one in roots)


def _root(entry: TimestampRoot) -> x509.Certificate:
    (found, *more) = load_pem_chain(entry.certificate, fault=Fault.CONFIG_INVALID, check="reference-timestamp_roots")
    if more:
        raise AttestationError(Fault.CONFIG_INVALID, check="reference-timestamp_roots")
    return found


def timestamp_request(message: bytes) -> bytes:
    """A request for a timestamp over SHA-512 of `message`, DER, as application/timestamp-query. It has no nonce."""
    import rfc3161_client as rfc3161  # noqa: PLC0415 - no worker loads it

    request = rfc3161.TimestampRequestBuilder().data(message).hash_algorithm(rfc3161.HashAlgorithm.SHA512)
    return request.nonce(nonce=False).cert_request(cert_request=True).build().as_bytes()


def check_timestamp(data: bytes, message: bytes, roots: Sequence[TimestampRoot]) -> tuple[datetime, Check]:
    """E51, and the time: `data` is a granted response over `message` by an authority below one of `roots`."""
    import rfc3161_client as rfc3161  # noqa: PLC0415 - no worker loads it

    anchors = [_root(one) for one in roots]
    with _refused("a timestamp that cannot be read"):
        if len(data) > MAX_TIMESTAMP_BYTES:
            raise ValueError
        response = rfc3161.decode_timestamp_response(data)
        at = response.tst_info.gen_time
        signer, others = _certificates(response)
    with _refused(f"a signer that no named root certifies to stamp at {at}"):
        verify_stamping(signer, others, roots=anchors, at=at)
    with _refused("a response that was not granted, not by that signer, or over something else"):
        verifier = rfc3161.VerifierBuilder(roots=anchors, tsa_certificate=signer).build()
        verifier.verify_message(response, message)
    return at, Check("E51", f"stamped by {common_name(signer)} at {at.isoformat(timespec='seconds')}")


@contextmanager
def _refused(found: str) -> Iterator[None]:
    """Every error becomes E51: neither the library nor the parsers have a closed set for hostile input."""
    try:
        yield
    except AttestationError:
        raise
    except Exception as error:
        raise invalid("E51", found=found) from error


def _certificates(response: "TimeStampResponse") -> tuple[x509.Certificate, list[x509.Certificate]]:
    """The signer's certificate and the others. Two of one name and number could be read as each other."""
    signed = response.signed_data
    if len(signed.certificates) > MOST_CERTIFICATES or len(signed.signer_infos) != 1:
        raise invalid("E51", found="a timestamp with several signers, or too many certificates")
    (information,) = signed.signer_infos
    found = [load_der(bytes(one), fault=Fault.EVIDENCE_INVALID, check="E51") for one in signed.certificates]
    signers = [
        one for one in found if (one.issuer, one.serial_number) == (information.issuer, information.serial_number)
    ]
    if len(signers) != 1:
        raise invalid("E51", found=f"{len(signers)} certificates of the signer")
    return signers[0], [one for one in found if one is not signers[0]]
