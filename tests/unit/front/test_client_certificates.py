"""Client certificates: from an authority itself, valid now, not revoked by a list that is signed, whole, current."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import Reason, Stage
from cji_core.format.configuration.operator_files import ClientFiles, FileRefused
from cji_simulator.certificates import Credential, authority, leaf, name, pem
from cji_worker.front import client_certificates
from cji_worker.front.client_certificates import ClientCertificates
from tests.support.refusals import refused
from tests.support.revocation import DAY, crl

NOW = datetime.now(UTC)


def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


CA, OTHER = authority("First CA", key()), authority("Second CA", key())
CALLER = leaf("caller", key(), CA, uris=["spiffe://x/caller"])
SERIAL = CALLER.certificate.serial_number
ROOTS = pem(CA.certificate)


def load(roots: bytes = ROOTS, lists: bytes | None = None, now: datetime = NOW) -> ClientCertificates:
    return ClientCertificates.load(ClientFiles(client_roots=roots, client_crl=lists), now=now)


def require(clients: ClientCertificates, caller: Credential = CALLER, now: datetime = NOW) -> None:
    clients.require(pem(caller.certificate), now=now)


def test_a_certificate_of_an_authority_is_accepted() -> None:
    require(load())
    require(load(lists=crl(CA, [SERIAL + 1])))
    require(load(ROOTS + pem(OTHER.certificate), crl(OTHER, [SERIAL]) + crl(CA)))  # the other's own serial numbers


def test_digests_are_those_of_the_files() -> None:
    lists = crl(CA, [7])
    digests = load(lists=lists).digests
    assert (digests.client_roots, digests.client_crl) == tuple(hashlib.sha384(each).digest() for each in (ROOTS, lists))
    assert load().digests.client_crl is None


def test_a_revoked_certificate_is_refused() -> None:
    clients = load(lists=crl(CA, [1, SERIAL]))
    assert clients.revoked == 2
    for _ in range(2):  # the second time it is known
        with refused(Reason.CERTIFICATE_REFUSED, stage=Stage.OPEN):
            require(clients)


def test_a_certificate_on_hold_is_refused() -> None:
    held = [(x509.CRLReason(x509.ReasonFlags.certificate_hold), False)]
    with refused(Reason.CERTIFICATE_REFUSED):
        require(load(lists=crl(CA, [SERIAL], entry_extensions=held)))


def test_a_certificate_that_has_expired_is_refused() -> None:
    clients = load()
    require(clients)
    with refused(Reason.CERTIFICATE_REFUSED):
        require(clients, now=CALLER.certificate.not_valid_after_utc + timedelta(seconds=1))


def test_every_call_is_refused_once_a_list_has_expired() -> None:
    clients = load(lists=crl(CA))
    assert clients.current_until is not None
    require(clients, now=clients.current_until - timedelta(seconds=1))
    assert not clients.current(clients.current_until)
    with refused(Reason.REVOCATION_UNKNOWN, stage=Stage.OPEN):
        require(clients, now=clients.current_until)


def test_the_first_list_that_expires_counts() -> None:
    both = ROOTS + pem(OTHER.certificate)
    clients = load(both, crl(CA, end=NOW + 2 * DAY) + crl(OTHER, end=NOW + DAY / 2))
    with refused(Reason.REVOCATION_UNKNOWN):
        require(clients, now=NOW + DAY)


def test_a_certificate_of_nobody_known_is_refused() -> None:
    between = authority("Intermediate", key(), CA)
    twin = authority("First CA", key())  # the same name, another key
    for caller in (
        leaf("caller", key(), OTHER),
        leaf("caller", key(), twin),
        leaf("caller", key(), between),
        leaf("caller", key(), None),
    ):
        with refused(Reason.CERTIFICATE_REFUSED):
            require(load(), caller)
    for noise in (b"", b"noise", ROOTS[:-40], pem(CALLER.certificate)[:300]):
        with refused(Reason.CERTIFICATE_REFUSED):
            load().require(noise, now=NOW)


def test_an_authority_with_a_renewed_certificate_is_one() -> None:
    renewed = authority("First CA", CA.key)
    assert renewed.certificate != CA.certificate
    clients = load(ROOTS + pem(renewed.certificate), crl(CA, [SERIAL]))
    with refused(Reason.CERTIFICATE_REFUSED):
        require(clients)


def test_what_is_known_of_certificates_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_certificates, "_MAX_KNOWN", 3)
    clients = load()
    for _ in range(10):
        require(clients, leaf("caller", key(), CA))
        with refused(Reason.CERTIFICATE_REFUSED):
            require(clients, leaf("caller", key(), OTHER))
    assert len(clients._known) == 3


SCOPE = x509.IssuingDistributionPoint(
    full_name=None,
    relative_name=None,
    only_contains_user_certs=True,
    only_contains_ca_certs=False,
    only_some_reasons=None,
    indirect_crl=False,
    only_contains_attribute_certs=False,
)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
ISSUER = x509.CertificateIssuer([x509.DirectoryName(name("another CA"))])


@pytest.mark.parametrize(
    ("lists", "found"),
    [
        (b"", "not revocation lists"),
        (b"noise", "not revocation lists"),
        (ROOTS, "not revocation lists"),
        (crl(CA) + ROOTS, "not revocation lists"),
        (crl(CA)[:-60], "not revocation lists"),
        (crl(CA) + crl(CA)[:120], "not revocation lists"),
        (crl(CA).replace(b"M", b"N", 3), "cannot be read"),
        (crl(CA, key=key()), "no authority"),
        (crl(OTHER), "no authority"),
        (crl(CA, issuer=OTHER.certificate.subject), "no authority"),
        (crl(CA) + crl(CA), "two lists"),
        (crl(CA, end=NOW - timedelta(seconds=1)), "not now"),
        (crl(CA, begin=NOW + timedelta(hours=1)), "not now"),
        (crl(CA, extensions=[(SCOPE, True)]), "partial"),
        (crl(CA, extensions=[(SCOPE, False)]), "partial"),
        (crl(CA, extensions=[(x509.DeltaCRLIndicator(1), True)]), "partial"),
        (crl(CA, extensions=[(x509.DeltaCRLIndicator(1), False)]), "partial"),
        (crl(CA, extensions=[(UNKNOWN, True)]), "critical"),
        (crl(CA, [1], entry_extensions=[(ISSUER, True)]), "critical"),
    ],
)
def test_a_list_that_cannot_count_is_named(lists: bytes, found: str) -> None:
    with pytest.raises(FileRefused, match=found) as caught:
        load(lists=lists)
    assert (caught.value.file, bool(caught.value.remedy)) == ("client_crl", True)


def test_every_authority_needs_a_list() -> None:
    with pytest.raises(FileRefused, match="no list of the authority 'CN=Second CA"):
        load(ROOTS + pem(OTHER.certificate), crl(CA))


@pytest.mark.parametrize("roots", [b"", b"noise", crl(CA), ROOTS[:-30], ROOTS + pem(CALLER.certificate)])
def test_roots_that_cannot_count_are_named(roots: bytes) -> None:
    with pytest.raises(FileRefused) as caught:
        load(roots)
    assert caught.value.file == "client_roots"


def test_an_authority_that_cannot_be_read_is_named() -> None:
    """Extensions are read when they are looked at: a certificate with two of a kind loads, then fails."""
    der = bytearray(CA.certificate.public_bytes(Encoding.DER))
    at = der.index(bytes.fromhex("551d0e"))  # subjectKeyIdentifier becomes a second keyUsage
    der[at : at + 3] = bytes.fromhex("551d0f")
    version = bytearray(CA.certificate.public_bytes(Encoding.DER))
    version[version.index(bytes.fromhex("a003020102")) + 4] = 10
    for data in (der, version):
        with pytest.raises(FileRefused) as caught:
            load(b"-----BEGIN CERTIFICATE-----\n%s-----END CERTIFICATE-----\n" % base64.encodebytes(data))
        assert caught.value.file == "client_roots"


def test_there_is_an_end_to_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_certificates, "_MAX_AUTHORITIES", 1)
    with pytest.raises(FileRefused, match="more than 1 authorities"):
        load(ROOTS + pem(OTHER.certificate))
    with pytest.raises(FileRefused, match="not revocation lists"):
        load(lists=crl(CA) * 2)


@given(serials=st.frozensets(st.integers(1, (1 << 159) - 1), max_size=20))
def test_exactly_the_listed_serial_numbers_are_refused(serials: frozenset[int]) -> None:
    clients = load(lists=crl(CA, [*serials, SERIAL]))
    assert clients.revoked == len(serials | {SERIAL})
    with refused(Reason.CERTIFICATE_REFUSED):
        require(clients)
    require(load(lists=crl(CA, serials - {SERIAL})))
