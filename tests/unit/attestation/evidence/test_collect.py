"""Which certificates go with a report, and what an NV index may hold."""

import json
from collections.abc import Iterator

import msgspec
import pytest

from cji_attestation import AZURE_US, Fault, Trust
from cji_attestation.evidence import ak_chain, parse_hcl
from cji_attestation.evidence.collect import MAX_AK_CERT, REPORT_PAUSES, _certificates, _der
from tests.support.answers import Answers, serving
from tests.support.forge import machine, patched
from tests.support.refusals import rejected

THIM = "/metadata/THIM/amd/certification"
TCB = 0x180  # where a report has its reported TCB


def refused(fault: Fault, check: str, padded: bytes) -> None:
    with rejected(check, fault=fault):
        _der(padded)


def test_an_ak_certificate_in_its_index() -> None:
    certificate = ak_chain(machine().ak_cert)[0]
    assert _der(certificate) == _der(certificate.ljust(MAX_AK_CERT, b"\0")) == certificate
    longest = b"\x30\x82" + (MAX_AK_CERT - 4).to_bytes(2, "big") + bytes(MAX_AK_CERT - 4)
    assert _der(longest.ljust(8192, b"\0")) == longest


@pytest.mark.parametrize("padded", [b"", b"\0", bytes(4096), b"\x30", b"\x30\x81\x80", b"-----BEGIN CERTIFICATE-----"])
def test_an_index_that_holds_no_certificate_yet(padded: bytes) -> None:
    refused(Fault.EVIDENCE_UNAVAILABLE, "ak-cert-pending", padded)


def test_a_broken_ak_certificate() -> None:
    certificate = ak_chain(machine().ak_cert)[0]
    too_long = b"\x30\x82" + (MAX_AK_CERT - 3).to_bytes(2, "big") + bytes(MAX_AK_CERT - 3)
    for padded in (
        b"\x30\x82",
        b"\x30\x82\x01",
        certificate[:-1],
        certificate + b"\x01",
        certificate + bytes(100) + b"\x01",
        too_long,
    ):
        refused(Fault.EVIDENCE_INVALID, "ak-cert", padded)


def test_a_fresh_report_is_read_soon_after_the_limiter_allows_it() -> None:
    """A worker that restarts has just had one, so each start waits for the next."""
    limiter_s = 2.0
    assert sum(REPORT_PAUSES) > 1.5 * limiter_s
    assert max(REPORT_PAUSES) <= limiter_s / 10


@pytest.fixture
def served() -> Iterator[Answers]:
    tcb = parse_hcl(machine().evidence().hcl_report).hardware[TCB : TCB + 8]
    with serving(Answers()) as state:
        publish(state, tcb)
        yield state


def publish(state: Answers, tcb: bytes) -> None:
    reply = {"vcekCert": "V", "certificateChain": "A\nB", "tcbm": tcb[::-1].hex().upper()}
    state.answers[THIM] = ({}, json.dumps(reply).encode())


def trust(served: Answers) -> Trust:
    return msgspec.structs.replace(AZURE_US, imds=served.base)


def test_certificates_are_those_of_the_reports_tcb(served: Answers) -> None:
    report = parse_hcl(machine().evidence().hcl_report)
    assert _certificates(trust(served), report, None) == b"V\nA\nB\n"
    publish(served, bytes([1]) + report.hardware[TCB + 1 : TCB + 8])  # the host was updated in between
    with rejected("imds-thim-tcb", fault=Fault.EVIDENCE_UNAVAILABLE):
        _certificates(trust(served), report, None)


@pytest.mark.parametrize("changed", [TCB, 0x1A0])
def test_certificates_are_reused_for_the_same_chip_and_tcb(served: Answers, changed: int) -> None:
    m = machine()
    known, report = m.evidence(), parse_hcl(m.evidence().hcl_report)
    assert _certificates(trust(served), report, known) == known.certs
    assert served.asked == []
    raw = m.report(m.claims())
    earlier = m.evidence(report=patched(raw, changed, bytes([raw[changed] ^ 1])))
    assert _certificates(trust(served), report, earlier) == b"V\nA\nB\n"
