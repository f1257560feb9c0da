"""What an approver takes as a request, an authority, and a profile that says which machines are meant."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation.appraisal import ReferenceValues
from cji_attestation.bundle.signatures import FileSigner
from cji_core.errors import StartupError
from cji_deploy.approval import ApprovalFile, Approver, Authority, require_image

NO_TRUST: Final[Any] = None
"""No evidence is looked at."""
VM: Final = "00000000-0000-0000-0000-00000000cafe"
KEY: Final = ec.generate_private_key(ec.SECP384R1())
NOW: Final = datetime.now(UTC)
GIVEN: Final[dict[str, Any]] = {
    "pool": "pool-7",
    "account": "https://cjienroll.blob.core.windows.net",
    "maa_url": "https://m.eus.attest.azure.net",
    "machines": (VM,),
    "names": ("cji.agency.example",),
    "authority": "ca.pem",
}


def certificate(*, days: int = 30, ca: bool | None = True) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Door CA")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=60))
        .not_valid_after(NOW + timedelta(days=days))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return builder.sign(KEY, SHA384())


def request() -> bytes:
    names = [x509.DNSName(name) for name in GIVEN["names"]]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    found = builder.add_extension(x509.SubjectAlternativeName(names), critical=True).sign(KEY, SHA384())
    return found.public_bytes(Encoding.DER)


class Blobs:
    """The exchange of a machine, of which only the request is there."""

    def __init__(self, given: bytes) -> None:
        self._given, self.asked = given, False

    def request(self) -> bytes:
        return self._given

    def challenge(self, *_: bytes) -> None:
        self.asked = True


def looked(given: bytes) -> tuple[str, str]:
    blobs: Any = Blobs(given)
    approver = Approver(
        file=ApprovalFile(**GIVEN),
        exchange=lambda _: blobs,
        authority=Authority((certificate(),), FileSigner(KEY)),
        trust=NO_TRUST,
        reference=ReferenceValues(),
    )
    (found,) = approver.look()
    assert blobs.asked is (found.state == "asked")
    return found.state, found.what


def test_a_request_of_an_unknown_version_is_refused() -> None:
    """`cryptography` has an error of its own for it, which is no ValueError: it must not end the command."""
    good = request()
    assert looked(good) == ("asked", "")
    at = good.index(b"\x02\x01\x00")
    assert looked(good[:at] + b"\x02\x01\x07" + good[at + 3 :]) == ("refused", "This is not a machine's request")


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (certificate(days=-1), "`authority` is valid from"),
        (certificate(ca=False), "may issue none"),
        (certificate(ca=None), "may issue none"),
    ],
)
def test_a_certificate_that_is_no_authority_is_refused(given: x509.Certificate, what: str) -> None:
    with pytest.raises(StartupError, match=what):
        Authority((given,), FileSigner(KEY))


def test_an_authority_that_has_ended_issues_none() -> None:
    own = Authority((certificate(),), FileSigner(KEY))
    _, until = own.issue(ApprovalFile(**GIVEN, days=90), KEY.public_key(), now=NOW)
    assert until == certificate().not_valid_after_utc
    with pytest.raises(StartupError, match="`authority` is valid from"):
        own.issue(ApprovalFile(**GIVEN), KEY.public_key(), now=NOW + timedelta(days=31))


def test_a_profile_that_pins_no_image_is_refused() -> None:
    with pytest.raises(StartupError, match="every image"):
        require_image(ReferenceValues(bundles=("ab" * 48,)))
    require_image(ReferenceValues(pcrs={4: ("ab" * 32,)}))


def test_a_machine_is_listed_once() -> None:
    with pytest.raises(ValueError, match="machines has one twice"):
        ApprovalFile(**GIVEN | {"machines": (VM, VM)})
