"""What Intel's service may answer, from a real server on loopback that answers what a test tells it."""

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation import AZURE_US, Fault
from cji_attestation.evidence import TdCollateral, TdStatements
from cji_attestation.evidence.pck import PckSubject, _elements, pck_subject
from cji_attestation.evidence.pcs import KEPT_SECONDS, IntelPcs
from cji_attestation.trust import INTEL_PCS, INTEL_ROOT_CRL, Trust
from cji_simulator.intel import der, sgx_extension
from tests.support.answers import Answers, serving
from tests.support.refusals import rejected
from tests.support.tdx_forge import common_name, intel

TCB, QE, CRL, ROOT = (
    "/tdx/certification/v4/tcb",
    "/tdx/certification/v4/qe/identity",
    "/sgx/certification/v4/pckcrl",
    "/root.der",
)


def trust_of(served: Answers) -> Trust:
    return msgspec.structs.replace(AZURE_US, intel_pcs=served.base, intel_root_crl=f"{served.base}{ROOT}")


def pcs_at(served: Answers) -> IntelPcs:
    return IntelPcs(trust_of(served), clock=intel().now.timestamp)


def statement(name: str, text: str, signature: bytes) -> bytes:
    return f'{{"{name}":{text},"signature":"{signature.hex()}"}}'.encode()


def sound(collateral: TdCollateral) -> dict[str, tuple[dict[str, str], bytes]]:
    tcb = statement("tcbInfo", collateral.tcb_info, collateral.tcb_info_signature)
    qe = statement("enclaveIdentity", collateral.qe_identity, collateral.qe_identity_signature)
    return {
        TCB: ({"TCB-Info-Issuer-Chain": quote(collateral.tcb_info_issuer_chain)}, tcb),
        QE: ({"SGX-Enclave-Identity-Issuer-Chain": quote(collateral.qe_identity_issuer_chain)}, qe),
        CRL: ({"SGX-PCK-CRL-Issuer-Chain": quote(collateral.pck_crl_issuer_chain)}, collateral.pck_crl),
        ROOT: ({}, collateral.root_ca_crl),
    }


@pytest.fixture
def served() -> Iterator[Answers]:
    with serving(Answers(sound(intel().collateral()))) as state:
        yield state


CHAIN = intel().maker.pck_chain


def refused(served: Answers, check: str) -> None:
    with rejected(check, fault=Fault.EVIDENCE_UNAVAILABLE):
        pcs_at(served).collateral(CHAIN)


def test_six_questions_and_the_exact_texts(served: Answers) -> None:
    """Both update channels are asked by name: what Intel makes the default is not for it to change."""
    found = pcs_at(served).collateral(CHAIN)
    assert sound(found) == served.answers
    assert isinstance(found.early, TdStatements)
    assert msgspec.structs.asdict(found.early).items() <= msgspec.structs.asdict(found).items()
    asked = [
        f"{path}{update}"
        for update in ("update=standard", "update=early")
        for path in (f"{TCB}?fmspc=90C06F000000&", f"{QE}?")
    ]
    assert served.paths == [*asked, f"{CRL}?ca=platform&encoding=der", ROOT]


@pytest.mark.parametrize("status", [204, 301, 400, 401, 404, 410])
def test_an_answer_that_is_none_is_not_asked_for_again(served: Answers, status: int) -> None:
    served.status = status
    refused(served, "pcs-tcb")
    assert len(served.asked) == 1


def test_addresses_of_production() -> None:
    assert (AZURE_US.intel_pcs, AZURE_US.intel_root_crl) == (INTEL_PCS, INTEL_ROOT_CRL)
    assert IntelPcs(AZURE_US)


@pytest.mark.parametrize("space", ["", " ", "\n\t "])
def test_texts_are_kept_with_their_own_spaces(served: Answers, space: str) -> None:
    given = intel().collateral()
    text = given.tcb_info.replace(",", f",{space}")
    signed = f'{{{space}"signature"{space}:{space}"{"ab" * 64}",{space}"tcbInfo"{space}:{space}{text}{space}}}'
    served.answers[TCB] = (served.answers[TCB][0], signed.encode())
    found = pcs_at(served).collateral(CHAIN)
    assert (found.tcb_info, found.tcb_info_signature) == (text, b"\xab" * 64)


@pytest.mark.parametrize("path", [TCB, QE])
def test_statements_that_are_none(served: Answers, path: str) -> None:
    headers, body = served.answers[path]
    name = "tcbInfo" if path == TCB else "enclaveIdentity"
    check = "pcs-tcb" if path == TCB else "pcs-qe"
    for wrong in (
        b"",
        b"[]",
        body[:-1],
        body + b"x",
        body.replace(b"signature", b"seal"),
        body.replace(name.encode(), b"other"),
        b'{"first":1,' + body[1:],
        b'{"' + name.encode() + b'":{},' + body[1:],
        b'{"' + name.encode() + b'":{},"signature":"0g"}',
        b'{"' + name.encode() + b'":{},"signature":7}',
        body + b" " * 70000,
        b"\xff",
    ):
        served.answers[path] = (headers, wrong)
        refused(served, check)


@pytest.mark.parametrize(("path", "check"), [(TCB, "pcs-tcb"), (QE, "pcs-qe"), (CRL, "pcs-crl")])
def test_chains_that_are_missing_or_not_text(served: Answers, path: str, check: str) -> None:
    ((header, _),) = served.answers[path][0].items()
    for headers in ({}, {header: "%FF"}):
        served.answers[path] = (headers, served.answers[path][1])
        refused(served, check)


def never_ending(crl: bytes) -> bytes:
    """The same CRL without nextUpdate, which X.509 allows (RFC 5280, 5.1)."""
    ((_, whole),) = _elements(crl)
    (_, signed), *rest = _elements(whole)
    kept = [der(*one) for at, one in enumerate(_elements(signed)) if at != 4]
    return der(0x30, der(0x30, b"".join(kept)) + b"".join(der(*one) for one in rest))


@pytest.mark.parametrize("path", [CRL, ROOT])
def test_crls_that_are_none_or_never_end(served: Answers, path: str) -> None:
    headers, body = served.answers[path]
    assert x509.load_der_x509_crl(never_ending(body)).next_update_utc is None
    for wrong in (b"", b"-----BEGIN X509 CRL-----", body[:-1], never_ending(body)):
        served.answers[path] = (headers, wrong)
        refused(served, "pcs-crl")


@pytest.mark.parametrize("end", ["", '"nextUpdate":7,', '"nextUpdate":"tomorrow",', '"nextUpdate":"2026-01-01",'])
def test_statements_must_say_when_they_end(served: Answers, end: str) -> None:
    given = intel().collateral()
    start = given.tcb_info.index('"nextUpdate"')
    stop = given.tcb_info.index('"fmspc"')
    text = given.tcb_info[:start] + end + given.tcb_info[stop:]
    served.answers[TCB] = (served.answers[TCB][0], statement("tcbInfo", text, bytes(64)))
    refused(served, "pcs-tcb")


# ---------------------------------------------------------------- what a PCK certificate says


def pck(issuer: x509.Name, extension: bytes | None) -> bytes:
    """PEM of a certificate by any name with any bytes for its SGX extension."""
    maker = intel()
    builder = (
        x509.CertificateBuilder()
        .subject_name(common_name("Intel SGX PCK Certificate"))
        .issuer_name(issuer)
        .public_key(maker.pck_key.public_key())
        .serial_number(7)
        .not_valid_before(maker.now)
        .not_valid_after(maker.now + timedelta(days=1))
    )
    if extension is not None:
        made = x509.UnrecognizedExtension(sgx_extension().oid, extension)
        builder = builder.add_extension(made, critical=False)
    return builder.sign(maker.ca_key, hashes.SHA256()).public_bytes(Encoding.PEM)


PLATFORM = common_name("Intel SGX PCK Platform CA")
TRUE = sgx_extension().value
FMSPC_OID = bytes.fromhex("060a2a864886f84d010d0104")


def test_both_of_intels_cas() -> None:
    for name, ca in (("Platform", "platform"), ("Processor", "processor")):
        chain = pck(common_name(f"Intel SGX PCK {name} CA"), TRUE)
        assert pck_subject(chain) == PckSubject("90C06F000000", ca)
    long = b"\x30\x82" + (len(TRUE) - 4 + 4).to_bytes(2, "big") + b"\x02\x02\x00\x07" + TRUE[4:]
    assert pck_subject(pck(PLATFORM, long)).fmspc == "90C06F000000"  # a member that is no entry


@pytest.mark.parametrize(
    "extension",
    [
        None,
        b"",
        b"\x30",
        b"\x30\x00",
        b"\x30\x84\x00",
        TRUE[:-1],
        TRUE + b"\x00",
        TRUE + TRUE,
        TRUE.replace(FMSPC_OID, FMSPC_OID[:-1] + b"\x09"),
        TRUE.replace(FMSPC_OID + b"\x04\x06", FMSPC_OID + b"\x02\x06"),
        TRUE.replace(b"\x30\x14" + FMSPC_OID + b"\x04\x06", b"\x30\x14" + FMSPC_OID + b"\x04\x05"),
        TRUE.replace(bytes.fromhex("060a2a864886f84d010d0103"), FMSPC_OID),
        b"\x30\x08" + b"\x30\x06\x06\x01\x00\x04\x01\x00",
        b"\x30\x11\x30\x0f" + FMSPC_OID + b"\x04\x01\x00",
    ],
)
def test_extensions_without_one_fmspc(extension: bytes | None) -> None:
    with rejected("pck", fault=Fault.EVIDENCE_INVALID):
        pck_subject(pck(PLATFORM, extension))


def test_other_issuers_and_no_certificate() -> None:
    several = x509.Name([*PLATFORM, *PLATFORM])
    for chain in (
        pck(common_name("Intel SGX PCK Platform CA "), TRUE),
        pck(x509.Name([]), TRUE),
        pck(several, TRUE),
        b"",
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    ):
        with rejected("pck", fault=Fault.EVIDENCE_INVALID):
            pck_subject(chain)


def test_collateral_is_asked_for_again_after_some_hours(served: Answers) -> None:
    now = intel().now.timestamp()
    clock = iter([now, now + KEPT_SECONDS - 1, now + KEPT_SECONDS, now + KEPT_SECONDS + 1])
    pcs = IntelPcs(trust_of(served), clock=lambda: next(clock))
    asked = []
    for _ in range(4):
        assert sound(pcs.collateral(CHAIN)) == served.answers
        asked.append(len(served.asked))
    assert asked == [6, 6, 12, 12]


def test_subjects_name_one_kept_collateral(served: Answers) -> None:
    """Another CA is another question, although the FMSPC is the same."""
    pcs = pcs_at(served)
    pcs.collateral(CHAIN)
    pcs.collateral(CHAIN)
    assert len(served.asked) == 6
    pcs.collateral(pck(common_name("Intel SGX PCK Processor CA"), TRUE))
    assert served.paths[10] == f"{CRL}?ca=processor&encoding=der"
    assert dataclasses.asdict(PckSubject("A", "b")) == {"fmspc": "A", "ca": "b"}
