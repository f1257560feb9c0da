"""Before the quote is verified: every certificate, CRL and statement is Intel's own, and belongs to this quote."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation import Fault
from cji_attestation.appraisal.intel import authentic_root, evaluation_of, statement_times
from cji_attestation.evidence import TdCollateral, parse_td_quote
from tests.support.refusals import rejected
from tests.support.tdx_forge import (
    common_name,
    intel,
    raw_signature,
    td_report,
    without_end,
)


def chain_of_quote() -> bytes:
    return parse_td_quote(intel().quote(td_report(bytes(64)))).pck_chain


def root_of(collateral: TdCollateral, chain: bytes | None = None, **kw: Any) -> bytes:
    given: dict[str, Any] = {"roots": intel().trust.intel_roots, "now": intel().now} | kw
    root, check = authentic_root(collateral, chain_of_quote() if chain is None else chain, **given)
    assert check.id == "E23"
    return root


def refused(collateral: TdCollateral, check: str = "E28", **kw: Any) -> None:
    with rejected(check):
        root_of(collateral, **kw)


def replaced(**fields: Any) -> TdCollateral:
    return msgspec.structs.replace(intel().collateral(), **fields)


def test_sound() -> None:
    assert root_of(intel().collateral()) == intel().root.public_bytes(Encoding.DER)


def test_crls_of_another_genuine_ca() -> None:
    """The CRL of Intel's other PCK CA is authentic and says nothing about this quote's certificate."""
    maker = intel()
    key = ec.generate_private_key(ec.SECP256R1())
    name = common_name("Intel SGX PCK Processor CA")
    other = maker.certificate(name, key, maker.root.subject, maker.root_key, ca=True)
    pem = "".join(one.public_bytes(Encoding.PEM).decode() for one in (other, maker.root))
    refused(replaced(pck_crl_issuer_chain=pem, pck_crl=maker.crl(name, key)))
    refused(replaced(pck_crl_issuer_chain=pem))  # of the other CA, beside the CRL of this quote's
    refused(replaced(pck_crl=maker.crl(name, key)))
    refused(replaced(pck_crl=maker.crl(name, maker.ca_key)))  # its key, another's name
    refused(replaced(pck_crl=maker.crl(maker.ca.subject, key)))  # its name, another's key
    refused(replaced(root_ca_crl=maker.crl(maker.ca.subject, maker.ca_key)))


@pytest.mark.parametrize("member", ["pck_crl", "root_ca_crl"])
@pytest.mark.parametrize("data", [b"", b"hello", b"\x30\x00"])
def test_crls_that_are_none(member: str, data: bytes) -> None:
    refused(replaced(**{member: data}))
    refused(replaced(**{member: getattr(intel().collateral(), member)[:-1]}))


def test_a_crl_without_an_end() -> None:
    maker = intel()
    endless = without_end(maker.collateral().pck_crl, maker.ca_key)
    assert x509.load_der_x509_crl(endless).is_signature_valid(maker.ca.public_key())
    with rejected("E28") as caught:
        root_of(replaced(pck_crl=endless))
    assert caught.value.failures[0].found == "a PCK CRL without an end"


def test_a_pck_certificate_without_its_extension() -> None:
    maker = intel()
    bare = maker.certificate(maker.pck.subject, maker.pck_key, maker.ca.subject, maker.ca_key)
    chain = b"".join(one.public_bytes(Encoding.PEM) for one in (bare, maker.ca, maker.root))
    with rejected("E28") as caught:
        root_of(maker.collateral(), chain=chain)
    assert caught.value.failures[0].found == "a PCK certificate that names no processor"


@pytest.mark.parametrize("number", [-1, 1.5, True, "18", None])
def test_an_evaluation_number_counts(number: object) -> None:
    assert evaluation_of('{"tcbEvaluationDataNumber": 0}') == 0
    with rejected("E28"):
        evaluation_of(json.dumps({"tcbEvaluationDataNumber": number}))


@pytest.mark.parametrize("issued", ["", "yesterday", "2026-11-24", "2026-11-24T00:00:00+00:00", "2026-13-24T00:00:00Z"])
def test_a_statement_has_its_times(issued: str) -> None:
    ends = "2026-12-24T00:00:00Z"
    assert statement_times("it", json.dumps({"issueDate": ends, "nextUpdate": ends}))
    for times in ((issued, ends), (ends, issued)):
        with rejected("E28") as caught:
            statement_times("it", json.dumps(dict(zip(("issueDate", "nextUpdate"), times, strict=True))))
        assert caught.value.failures[0].found == "it without its times"


@pytest.mark.parametrize("member", ["pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain"])
def test_a22_chains_hold_what_they_must_and_no_more(member: str) -> None:
    true: str = getattr(intel().collateral(), member)
    leaf, root = (part + "-----END CERTIFICATE-----\n" for part in true.split("-----END CERTIFICATE-----\n")[:2])
    for wrong in (leaf + leaf + root, "hello\n" + true, true + "hello", leaf + "hello\n" + root, root + root):
        refused(replaced(**{member: wrong}))
    refused(replaced(**{member: root}))
    refused(replaced(**{member: ""}))
    with rejected("E23", fault=Fault.UNTRUSTED_ROOT):
        root_of(replaced(**{member: root + leaf}))
    assert root_of(replaced(**{member: true.rstrip("\n")}))


def test_a22_chain_of_the_quote() -> None:
    chain = chain_of_quote()
    for wrong in (chain + b"hello", b"", b"\xff" * 64, chain[: len(chain) // 2]):
        refused(intel().collateral(), chain=wrong)


def test_certificates_out_of_their_time() -> None:
    for days in (-31, 301):
        refused(intel().collateral(), now=intel().now + timedelta(days=days))


@pytest.mark.parametrize("member", ["tcb_info", "qe_identity"])
def test_statements_are_signed_by_their_signer(member: str) -> None:
    text: str = getattr(intel().collateral(), member)
    signature = raw_signature(intel().tcb_key, text.encode())
    assert root_of(replaced(**{member: text, f"{member}_signature": signature}))
    for wrong in (raw_signature(intel().pck_key, text.encode()), signature[:-1], signature + b"\0", bytes(64), b""):
        refused(replaced(**{f"{member}_signature": wrong}))
    refused(replaced(**{f"{member}_signature": signature[:32] + b"\0" + signature[32:]}))  # the same two numbers
    refused(replaced(**{member: text + " "}))


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP256K1()])
def test_signer_that_the_root_did_not_sign_or_of_another_curve(curve: ec.EllipticCurve) -> None:
    maker, key = intel(), ec.generate_private_key(curve)
    above = maker.ca_key if isinstance(curve, ec.SECP256R1) else maker.root_key
    forged = maker.certificate(maker.tcb_signer.subject, key, maker.root.subject, above)
    pem = "".join(one.public_bytes(Encoding.PEM).decode() for one in (forged, maker.root))
    text = maker.collateral().tcb_info
    signature = raw_signature(key, text.encode())
    refused(replaced(tcb_info_issuer_chain=pem, tcb_info=text, tcb_info_signature=signature))


def test_signer_of_another_kind_of_key() -> None:
    maker, key = intel(), rsa.generate_private_key(65537, 2048)
    forged = maker.certificate(maker.tcb_signer.subject, key, maker.root.subject, maker.root_key)  # type: ignore[arg-type]
    pem = "".join(one.public_bytes(Encoding.PEM).decode() for one in (forged, maker.root))
    refused(replaced(tcb_info_issuer_chain=pem))


def test_a15_no_pin_no_trust() -> None:
    refused(intel().collateral(), "E23", roots=())
