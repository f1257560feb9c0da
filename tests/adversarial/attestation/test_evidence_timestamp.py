"""F08: timestamps that must not prove a time (E51), and those that do."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, decode_timestamp_response

from cji_attestation import Fault
from cji_attestation.appraisal import (
    ReferenceValues,
    TimestampRoot,
    check_reference,
    check_timestamp,
    timestamp_request,
)
from cji_attestation.appraisal.timestamp import MAX_TIMESTAMP_BYTES, MOST_CERTIFICATES, MOST_ROOTS
from cji_simulator.certificates import Credential, authority, leaf
from tests.support.refusals import rejected
from tests.support.tsa_forge import Tsa, stamper, tsa

MESSAGE = b"what is stamped"


def check(data: bytes, *, message: bytes = MESSAGE, roots: tuple[TimestampRoot, ...] | None = None) -> datetime:
    at, found = check_timestamp(data, message, tsa().roots if roots is None else roots)
    assert found.id == "E51"
    return at


def other() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_a_timestamp_proves_its_time() -> None:
    when = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
    assert check(tsa().response(MESSAGE, at=when)) == when
    finding = check_timestamp(tsa().response(MESSAGE, at=when), MESSAGE, tsa().roots)[1].finding
    assert "Test Timestamp Authority" in finding


def test_a_request_is_what_an_authority_expects() -> None:
    expected = TimestampRequestBuilder().data(MESSAGE).hash_algorithm(HashAlgorithm.SHA512).nonce(nonce=False)
    assert timestamp_request(MESSAGE) == expected.cert_request(cert_request=True).build().as_bytes()
    assert timestamp_request(MESSAGE) == timestamp_request(MESSAGE)
    assert decode_timestamp_response(tsa().response(MESSAGE)).status == 0


def stranger(**parts: Any) -> bytes:
    """By an authority that nobody named; its root is in the response, where the library would trust it."""
    theirs = Tsa()
    return theirs.response(MESSAGE, certificates=theirs.signer.chain, **parts)


def impostor() -> bytes:
    """The true signer's certificate beside one of the same name and number, whose key signed."""
    mine = tsa()
    false = authority("Test TSA CA", other(), authority("Test TSA Root", other()))
    twin = stamper(false, serial=mine.signer.certificate.serial_number)
    shown = [*mine.signer.chain[:-1], *twin.chain]
    return mine.response(MESSAGE, signer=twin, certificates=shown)


def expired() -> datetime:
    return tsa().signer.certificate.not_valid_after_utc + timedelta(days=1)


def signed_by(issuer: Credential | None = None, **parts: Any) -> bytes:
    """By a certificate of the true authority, or of another issuer, with these extensions."""
    return tsa().response(MESSAGE, signer=stamper(issuer or tsa().issuer, **parts))


READ, CHAIN, SIGNED = "cannot be read", "no named root certifies", "not granted, not by that signer"
STAMP, SERVE = ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.SERVER_AUTH


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (stranger, CHAIN),
        (impostor, "2 certificates of the signer"),
        (lambda: tsa().response(MESSAGE, signing_key=other()), SIGNED),
        (lambda: tsa().response(b"something else"), SIGNED),
        (lambda: tsa().response(MESSAGE, imprint=b""), SIGNED),
        (lambda: tsa().response(MESSAGE, status=2), SIGNED),  # refused
        (lambda: tsa().response(MESSAGE, status=1), SIGNED),  # granted, with changes
        (lambda: tsa().response(MESSAGE, at=expired()), CHAIN),
        (lambda: tsa().response(MESSAGE, at=datetime(2001, 1, 1, tzinfo=UTC)), CHAIN),
        (lambda: signed_by(usages=None), CHAIN),
        (lambda: signed_by(usages=[SERVE]), CHAIN),
        (lambda: signed_by(usages=[STAMP, SERVE]), CHAIN),
        (lambda: signed_by(critical=False), CHAIN),
        (lambda: signed_by(tsa().signer), CHAIN),  # below a certificate of no authority
        (lambda: tsa().response(MESSAGE, certificates=[]), "0 certificates of the signer"),
        (lambda: tsa().response(MESSAGE, certificates=tsa().signer.chain[1:]), "0 certificates of the signer"),
        (lambda: tsa().response(MESSAGE, certificates=tsa().signer.chain[:1]), CHAIN),  # no way to the root
        (lambda: tsa().response(MESSAGE, signers=2), "several signers"),
        (lambda: tsa().response(MESSAGE, signers=0), "several signers"),
        (lambda: tsa().response(MESSAGE)[:-1], READ),
        (lambda: tsa().response(MESSAGE) + b"\0", READ),
        (lambda: b"", READ),
        (lambda: b"\x30\x00", READ),
        (lambda: b"\x30\x05\x30\x03\x02\x01\x00", READ),  # granted, and no token
    ],
)
def test_f08_a_timestamp_that_proves_nothing(data: Callable[[], bytes], found: str) -> None:
    with rejected("E51", fault=Fault.EVIDENCE_INVALID) as caught:
        check(data())
    assert found in caught.value.failures[0].found


def test_bounds_of_a_timestamp() -> None:
    many = [*tsa().signer.chain[:-1], *(authority(f"ca {n}", other()).certificate for n in range(MOST_CERTIFICATES))]
    with rejected("E51") as caught:
        check(tsa().response(MESSAGE, certificates=many))
    assert "too many certificates" in caught.value.failures[0].found
    assert check(tsa().response(MESSAGE, certificates=many[:MOST_CERTIFICATES]))
    for size, sound in ((30 * 1024, True), (MAX_TIMESTAMP_BYTES, False)):
        weighty = leaf("weighty", other(), None, uris=("https://w.example/" + "a" * size,)).certificate
        response = tsa().response(MESSAGE, certificates=[*tsa().signer.chain[:-1], weighty])
        assert (len(response) <= MAX_TIMESTAMP_BYTES) == sound
        if sound:
            assert check(response)
        else:
            with rejected("E51"):
                check(response)


def test_a_root_may_be_named_beside_others() -> None:
    theirs = Tsa().roots
    assert check(tsa().response(MESSAGE), roots=(*theirs, *tsa().roots))
    with rejected("E51"):
        check(tsa().response(MESSAGE), roots=theirs)
    with rejected("E51"):
        check(tsa().response(MESSAGE), roots=())


def root(certificate: bytes, source: str = "tests") -> TimestampRoot:
    return TimestampRoot(certificate=certificate, source=source, seen=date(2026, 11, 26))


def test_a15_lists_of_roots_that_no_reader_takes() -> None:
    (sound,) = tsa().roots
    both = sound.certificate + Tsa().roots[0].certificate
    check_reference(ReferenceValues(timestamp_roots=(sound,)))
    others = (authority(f"r{n}", ec.generate_private_key(ec.SECP256R1())) for n in range(MOST_ROOTS + 1))
    many = tuple(root(one.certificate.public_bytes(Encoding.PEM)) for one in others)
    check_reference(ReferenceValues(timestamp_roots=many[:MOST_ROOTS]))
    der = tsa().root.certificate.public_bytes(Encoding.DER)
    for roots in (
        (),
        (sound, sound),
        (root(b""),),
        (root(der),),
        (root(both),),
        (msgspec.structs.replace(sound, source=" "),),
        many,
    ):
        with rejected("reference-timestamp_roots", fault=Fault.CONFIG_INVALID):
            check_reference(ReferenceValues(timestamp_roots=roots))
