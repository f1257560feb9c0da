"""One chain with one defect each, given to everything that verifies chains: no caller accepts what another refuses."""

import ast
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cji_attestation.appraisal.ak_certificate import AIK_CERTIFICATE, check_ak_issuer
from cji_attestation.appraisal.azure import VtpmRoot
from cji_attestation.appraisal.intel import _chain as pinned_chain
from cji_attestation.appraisal.intel import _Pins as Pins
from cji_attestation.errors import AttestationError
from cji_core.certs import (
    MAX_CHAIN_BYTES,
    CertificateRefused,
    load_pem,
    load_pem_chain,
    load_private_key,
    require_authority,
    require_end_entity,
    spki_sha256,
)
from cji_core.chains import require_issued, verify_chain, verify_server, verify_stamping
from cji_core.errors import Refusal, StartupError
from cji_core.format.configuration.door_files import check_client_roots
from cji_core.format.configuration.operator_files import ClientFiles, FileRefused
from cji_core.format.configuration.worker import EnrollmentSection, ListenSection
from cji_worker.door.est import EnrollmentRefused
from cji_worker.door.est import taken_of as verified
from cji_worker.front.client_certificates import ClientCertificates
from tests.support.parsing import parsed
from tests.support.paths import PACKAGES, ROOT

NOW: Final = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOST: Final = "worker.agency.example"
PRIVATE: Final = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")


@dataclass(frozen=True, kw_only=True)
class Made:
    """How one certificate of a chain is made."""

    ca: bool
    begins: datetime = NOW - timedelta(days=10)
    ends: datetime = NOW + timedelta(days=10)
    path_length: int | None = None
    constraints: bool = True
    signs: bool = True
    critical: bool = False
    usages: tuple[x509.ObjectIdentifier, ...] = ()
    critical_names: bool = False
    """As a certificate without a subject must have them (RFC 5280 §4.2.1.6)."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    leaf: Made
    issuing: Made = Made(ca=True)
    root: Made = Made(ca=True)
    stranger: bool = False
    """Signed by a key that the issuing certificate does not have."""


def make(plan: Plan) -> tuple[x509.Certificate, ...]:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    signers = [ec.generate_private_key(ec.SECP256R1()) if plan.stranger else keys[1], keys[2], keys[2]]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("leaf", "issuing", "root")]
    found = []
    for at, how in enumerate((plan.leaf, plan.issuing, plan.root)):
        above = min(at + 1, 2)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[above].public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[at])
            .issuer_name(names[above])
            .public_key(keys[at].public_key())
            .serial_number(at + 1)
            .not_valid_before(how.begins)
            .not_valid_after(how.ends)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(keys[at].public_key()), critical=False)
            .add_extension(identifier, critical=False)
        )
        if how.constraints:
            basic = x509.BasicConstraints(ca=how.ca, path_length=how.path_length if how.ca else None)
            builder = builder.add_extension(basic, critical=True)
        if how.ca:
            builder = builder.add_extension(_usage(signs=how.signs), critical=True)
        else:
            alternative = x509.SubjectAlternativeName([x509.DNSName(HOST)])
            builder = builder.add_extension(alternative, critical=how.critical_names)
        if how.usages:
            stamps = how.usages == (ExtendedKeyUsageOID.TIME_STAMPING,)
            builder = builder.add_extension(x509.ExtendedKeyUsage(how.usages), critical=stamps)
        if how.critical:
            builder = builder.add_extension(x509.UnrecognizedExtension(PRIVATE, b"\x05\x00"), critical=True)
        found.append(builder.sign(signers[at], SHA256()))
    return tuple(found)


def _usage(*, signs: bool) -> x509.KeyUsage:
    off = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    return x509.KeyUsage(digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, decipher_only=False, **off)


def _pem(*chain: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in chain)


def _chain(chain: tuple[x509.Certificate, ...]) -> None:
    verify_chain(chain, at=NOW)


def _ak(chain: tuple[x509.Certificate, ...]) -> None:
    root = VtpmRoot(spki_sha256=spki_sha256(chain[-1].public_key()), source="this test", seen=NOW.date())
    check_ak_issuer(b"".join(one.public_bytes(Encoding.DER) for one in chain), added=(root,), now=NOW)


def _intel(chain: tuple[x509.Certificate, ...]) -> None:
    pinned_chain("test", _pem(*chain), 3, Pins(roots=(spki_sha256(chain[-1].public_key()),), now=NOW))


def _enrolled(chain: tuple[x509.Certificate, ...]) -> None:
    section = EnrollmentSection(
        url="https://est.agency.example/.well-known/est", roots="roots.pem", names=(HOST,), audience="est"
    )
    verified(chain[0], list(chain[1:2]), section, chain[2:], NOW)


def _server(chain: tuple[x509.Certificate, ...]) -> None:
    verify_server(chain[0], chain[1:2], roots=chain[2:], at=NOW, names=[x509.DNSName(HOST)])


def _stamping(chain: tuple[x509.Certificate, ...]) -> None:
    verify_stamping(chain[0], chain[1:2], roots=chain[2:], at=NOW)


def _client(chain: tuple[x509.Certificate, ...]) -> None:
    files = ClientFiles(client_roots=_pem(*chain[1:]), client_crl=None)
    ClientCertificates.load(files, now=NOW).require(_pem(chain[0]), now=NOW)


CALLERS: Final[dict[str, tuple[Callable[[tuple[x509.Certificate, ...]], None], x509.ObjectIdentifier]]] = {
    "ordered chain": (_chain, ExtendedKeyUsageOID.SERVER_AUTH),
    "attestation key": (_ak, AIK_CERTIFICATE),
    "Intel": (_intel, ExtendedKeyUsageOID.SERVER_AUTH),
    "enrolment": (_enrolled, ExtendedKeyUsageOID.SERVER_AUTH),
    "server": (_server, ExtendedKeyUsageOID.SERVER_AUTH),
    "stamping": (_stamping, ExtendedKeyUsageOID.TIME_STAMPING),
    "client": (_client, ExtendedKeyUsageOID.CLIENT_AUTH),
}
REFUSALS: Final = (CertificateRefused, AttestationError, Refusal, FileRefused, EnrollmentRefused)
SECOND: Final = timedelta(seconds=1)
DEFECTS: Final[dict[str, Callable[[Plan], Plan]]] = {
    "expired": lambda plan: replace(plan, leaf=replace(plan.leaf, ends=NOW - SECOND)),
    "not yet valid": lambda plan: replace(plan, leaf=replace(plan.leaf, begins=NOW + SECOND)),
    "expired issuer": lambda plan: replace(plan, issuing=replace(plan.issuing, ends=NOW - SECOND)),
    "an issuer not yet valid": lambda plan: replace(plan, issuing=replace(plan.issuing, begins=NOW + SECOND)),
    "another purpose": lambda plan: replace(plan, leaf=replace(plan.leaf, usages=(ExtendedKeyUsageOID.CODE_SIGNING,))),
    "an authority in its place": lambda plan: replace(plan, leaf=replace(plan.leaf, ca=True)),
    "an issuer that is no authority": lambda plan: replace(plan, issuing=replace(plan.issuing, ca=False)),
    "an issuer without constraints": lambda plan: replace(plan, issuing=replace(plan.issuing, constraints=False)),
    "an issuer that may not sign": lambda plan: replace(plan, issuing=replace(plan.issuing, signs=False)),
    "a path too long": lambda plan: replace(plan, root=replace(plan.root, path_length=0)),
    "a critical extension": lambda plan: replace(plan, leaf=replace(plan.leaf, critical=True)),
    "a critical extension of the issuer": lambda plan: replace(plan, issuing=replace(plan.issuing, critical=True)),
    "another signer": lambda plan: replace(plan, stranger=True),
}
OTHERS_RULE: Final = {
    # it has no purpose of its own: its callers add one
    ("ordered chain", "another purpose"),
    ("ordered chain", "an authority in its place"),
    # OpenSSL at the door verifies the path above the issuer and its times; the front who signed
    ("client", "expired issuer"),
    ("client", "an issuer not yet valid"),
    ("client", "a path too long"),
    # Intel's certificates state no purpose
    ("Intel", "another purpose"),
    ("Intel", "an authority in its place"),
}


@pytest.mark.parametrize("name", CALLERS)
def test_a_sound_chain_is_accepted(name: str) -> None:
    verify, usage = CALLERS[name]
    verify(make(Plan(leaf=Made(ca=False, usages=(usage,)))))


@pytest.mark.parametrize("name", CALLERS)
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_chain_with_one_defect_is_refused(name: str, defect: str) -> None:
    verify, usage = CALLERS[name]
    chain = make(DEFECTS[defect](Plan(leaf=Made(ca=False, usages=(usage,)))))
    if (name, defect) in OTHERS_RULE:
        verify(chain)
        return
    with pytest.raises(REFUSALS):
        verify(chain)


def test_a_certificate_twice_is_refused() -> None:
    leaf, issuing, root = make(Plan(leaf=Made(ca=False)))
    for chain in ((leaf, leaf, issuing, root), (leaf, issuing, root, root), ()):
        with pytest.raises(CertificateRefused, match="twice"):
            verify_chain(chain, at=NOW)


def test_each_rule_names_what_was_found() -> None:
    leaf, issuing, root = make(Plan(leaf=Made(ca=False, usages=(ExtendedKeyUsageOID.CLIENT_AUTH,))))
    with pytest.raises(CertificateRefused, match="not a certificate authority"):
        require_issued(issuing, leaf)
    with pytest.raises(CertificateRefused, match="did not sign"):
        require_issued(leaf, root)
    with pytest.raises(CertificateRefused, match="another purpose"):
        require_end_entity(leaf, ExtendedKeyUsageOID.SERVER_AUTH)
    with pytest.raises(CertificateRefused, match="authority's certificate"):
        require_end_entity(issuing, ExtendedKeyUsageOID.CLIENT_AUTH)
    (short, *_) = make(Plan(leaf=Made(ca=True, path_length=1)))
    with pytest.raises(CertificateRefused, match="2 authorities below one that permits 1"):
        require_authority(short, below=2)


def test_a_purpose_need_not_be_stated_everywhere() -> None:
    leaf, *_ = make(Plan(leaf=Made(ca=False)))
    require_end_entity(leaf, ExtendedKeyUsageOID.CLIENT_AUTH, stated=False)
    with pytest.raises(CertificateRefused, match="another purpose"):
        require_end_entity(leaf, ExtendedKeyUsageOID.CLIENT_AUTH)


def test_an_end_entity_may_have_critical_names() -> None:
    for leaf in (Made(ca=False, constraints=False), Made(ca=False, critical_names=True)):
        require_end_entity(make(Plan(leaf=leaf))[0], ExtendedKeyUsageOID.CLIENT_AUTH, stated=False)


def test_one_certificate_is_not_two() -> None:
    leaf, issuing, _ = make(Plan(leaf=Made(ca=False)))
    assert load_pem(_pem(leaf)) == leaf
    with pytest.raises(CertificateRefused, match="2 certificates in PEM, not one"):
        load_pem(_pem(leaf, issuing))


def test_a_private_key_has_one_kind_of_text_and_a_limit() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    longest = pem.ljust(MAX_CHAIN_BYTES)
    loaded = load_private_key(longest)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    assert loaded.public_key() == key.public_key()
    for other in (longest + b" ", pem[:-40], b""):
        with pytest.raises(CertificateRefused, match="not a private key in PEM"):
            load_private_key(other)


def test_an_extension_twice_cannot_be_read() -> None:
    leaf, *_ = make(Plan(leaf=Made(ca=False)))
    twice = _twice(leaf.public_bytes(Encoding.DER))
    assert x509.load_der_x509_certificate(twice)
    with pytest.raises(CertificateRefused):
        load_pem_chain(_pem(x509.load_der_x509_certificate(twice)))


def _twice(der: bytes) -> bytes:
    """The certificate with the OID of its key's identifier in place of the authority's identifier's."""
    subject, authority = b"\x55\x1d\x0e", b"\x55\x1d\x23"
    assert der.count(authority) == 1
    return der.replace(authority, subject)


ONCE: Final = {
    "load_pem_x509_certificate",
    "load_pem_x509_certificates",
    "load_der_x509_certificate",
    "load_pem_private_key",
    "verify_directly_issued_by",
    "PolicyBuilder",
    "build_server_verifier",
    "build_client_verifier",
}
HERE: Final = ("core/cji_core/certs.py", "core/cji_core/chains.py")
ELSEWHERE: Final = {
    ("core/cji_core/format/keys.py", "load_pem_private_key"): "one file has the two keys of a pair",
    ("engine/cji_engine/certificates.py", "load_pem_private_key"): "imports nothing of ours; reads what it wrote",
    ("engine/cji_engine/certificates.py", "load_pem_x509_certificate"): "imports nothing of ours; reads what it wrote",
}


def _used(source: str) -> set[str]:
    calls = [node.func for node in ast.walk(parsed(source, ONCE)) if isinstance(node, ast.Call)]
    names = {each.attr if isinstance(each, ast.Attribute) else ast.unparse(each) for each in calls}
    return names & ONCE


def test_certificates_are_read_and_verified_once() -> None:
    found = set()
    for name, folder in PACKAGES.items():
        if name != "simulator":  # it plays the services that issue certificates
            for path in sorted(folder.rglob("*.py")):
                found |= {(str(path.relative_to(ROOT)), each) for each in _used(path.read_text())}
    assert {each for each in found if each[0] not in HERE} == ELSEWHERE.keys()
    assert _used("x509.load_pem_x509_certificate(data).verify_directly_issued_by(root)") == {
        "load_pem_x509_certificate",
        "verify_directly_issued_by",
    }


def test_an_authority_leads_to_a_root_by_its_signature(tmp_path: Path) -> None:
    """Names alone would let OpenSSL at the door find no path to a root that seems to be there."""
    sound, stranger = (make(Plan(leaf=Made(ca=False), stranger=each)) for each in (False, True))
    file = tmp_path / "roots.pem"
    listen = ListenSection(host="127.0.0.1", port=1, certificate="c", private_key="k", client_roots=str(file))
    file.write_bytes(_pem(*sound[1:]))
    check_client_roots(listen)
    file.write_bytes(_pem(sound[1], stranger[2]))
    with pytest.raises(StartupError, match="root of 'CN=issuing' is not in it"):
        check_client_roots(listen)
