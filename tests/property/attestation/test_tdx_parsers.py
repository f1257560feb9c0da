"""Any bytes as TDREPORT, quote or collateral: a value or our own error, and never the end of the process."""

import base64
import json

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_attestation import AttestationError
from cji_attestation.appraisal.intel import authentic_root
from cji_attestation.evidence import parse_td_quote, parse_td_report
from cji_attestation.evidence.pck import pck_subject
from cji_attestation.evidence.pcs import _ends, _signed
from tests.support.forge import machine
from tests.support.refusals import rejected
from tests.support.tdx_forge import intel, td_report

COLLATERAL = intel().collateral()
QUOTE = intel().quote(td_report(bytes(64)), version=5)


def mutated(data: bytes) -> st.SearchStrategy[bytes]:
    piece = st.tuples(st.integers(0, len(data)), st.integers(0, 64), st.binary(max_size=64))
    return piece.map(lambda cut: data[: cut[0]] + cut[2] + data[cut[0] + cut[1] :])


def mutated_inside(certificate: x509.Certificate) -> st.SearchStrategy[bytes]:
    """PEM of a certificate whose DER was changed."""
    der = certificate.public_bytes(Encoding.DER)
    head, tail = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
    return mutated(der).map(lambda changed: head + base64.encodebytes(changed) + tail)


@given(st.one_of(st.binary(max_size=2000), mutated(QUOTE)))
def test_quote(data: bytes) -> None:
    try:
        parsed = parse_td_quote(data)
    except AttestationError as error:
        assert error.check == "td-quote"  # noqa: PT017 - bytes that parse are fine too
    else:
        assert len(parsed.body) in {584, 648}


@given(st.one_of(st.binary(max_size=1100), st.binary(min_size=1024, max_size=1024), mutated(td_report(bytes(64)))))
def test_report(data: bytes) -> None:
    try:
        parsed = parse_td_report(data)
    except AttestationError as error:
        assert error.check == "td-report"  # noqa: PT017 - see above
    else:
        assert len(parsed.body) == 648


@settings(deadline=None)
@given(field=st.sampled_from(["pck_crl", "root_ca_crl", "tcb_info_signature"]), data=st.data())
def test_collateral(field: str, data: st.DataObject) -> None:
    true = getattr(COLLATERAL, field)
    wrong = data.draw(st.one_of(st.binary(max_size=400), mutated(true)))
    if wrong == true:
        return
    with rejected("E28"):
        authentic_root(
            msgspec.structs.replace(COLLATERAL, **{field: wrong}),
            parse_td_quote(QUOTE).pck_chain,
            roots=intel().trust.intel_roots,
            now=machine().now,
        )


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=200), mutated(intel().maker.pck_chain), mutated_inside(intel().pck)))
def test_pck_certificate(chain: bytes) -> None:
    try:
        found = pck_subject(chain)
    except AttestationError as error:
        assert error.check == "pck"  # noqa: PT017 - see above
    else:
        assert (len(bytes.fromhex(found.fmspc)), found.ca in {"platform", "processor"}) == (6, True)


ANSWER = f'{{"tcbInfo":{COLLATERAL.tcb_info},"signature":"{COLLATERAL.tcb_info_signature.hex()}"}}'.encode()


@given(st.one_of(st.binary(max_size=200), mutated(ANSWER)))
def test_intels_answer(body: bytes) -> None:
    """What is kept is a part of what came, and the very value that a reader of the whole finds."""
    try:
        text, _ = _signed(body, "tcbInfo", "pcs-tcb")
    except AttestationError as error:
        assert error.check == "pcs-tcb"  # noqa: PT017 - see above
    else:
        assert text.encode() in body
        whole = json.loads(body)
        assert json.loads(text) == whole["tcbInfo"]


@given(st.sampled_from(["pck_crl", "root_ca_crl", "tcb_info", "qe_identity"]), st.data())
def test_end_of_collateral(field: str, data: st.DataObject) -> None:
    true = getattr(COLLATERAL, field)
    raw = data.draw(mutated(true.encode() if isinstance(true, str) else true))
    wrong = raw.decode("utf-8", "replace") if isinstance(true, str) else raw
    try:
        end = _ends(msgspec.structs.replace(COLLATERAL, **{field: wrong}))
    except AttestationError as error:
        assert error.check in {"pcs-tcb", "pcs-crl"}  # noqa: PT017 - see above
    else:
        assert end <= _ends(COLLATERAL)  # the other three parts end as before
