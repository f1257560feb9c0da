"""The simulated Intel and its TDX host as bytes: what they make, what they refuse, how like the real ones they are."""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_attestation.evidence import parse_hcl, parse_td_quote, parse_td_report
from cji_core.strict import b64url_decode
from cji_simulator import claims as token
from cji_simulator import hcl
from cji_simulator.guest import GuestEvidence, GuestRequest, Isolation, TpmInfo
from cji_simulator.intel import Certifier, Intel
from cji_simulator.tdx import REPORT_LENGTH, TdReport, TdxHost, quote, quoted_body, verify_quote
from tests.support.rsa_keys import rsa_key

INTEL = Intel.make(Certifier(now=datetime.now(UTC).replace(microsecond=0)))
HOST = TdxHost(INTEL)
KEY = rsa_key().public_key()


@pytest.mark.parametrize(("version", "kind"), [(4, 3), (5, 2), (5, 3)])
def test_quotes_verify_and_no_changed_byte_does(version: int, kind: int) -> None:
    made = quote(HOST.report(b"d" * 64), INTEL, version=version, kind=kind)
    assert verify_quote(made, INTEL).report_data == b"d" * 64
    assert parse_td_quote(made).version == version
    unread = set()
    for at in range(made.index(b"-----BEGIN")):
        wrong = bytearray(made)
        wrong[at] ^= 1
        try:
            verify_quote(bytes(wrong), INTEL)
            unread.add(at)
        except ValueError:
            continue
    body = {4: 48, 5: 54}[version] + len(parse_td_quote(made).body)
    lengths = {*range(body, body + 4), *range(body + 4 + 128, body + 4 + 134)}  # of the signature, kind of what follows
    lengths |= set(range(body + 4 + 584 + 32, body + 4 + 590 + 32))  # kind and length of the PEM text
    assert unread <= lengths


def test_other_intels_quotes_are_refused() -> None:
    stranger = Intel.make(Certifier(now=datetime.now(UTC).replace(microsecond=0)))
    for wrong in (quote(HOST.report(bytes(64)), stranger), b"", b"\x04\x00\x02\x00\x81\x00\x00\x00" + bytes(700)):
        with pytest.raises(ValueError):  # noqa: PT011 - any of them
            verify_quote(wrong, INTEL)


def test_a_host_quotes_its_own_reports() -> None:
    report = HOST.report(b"d" * 64)
    assert parse_td_report(report).report_data == b"d" * 64
    assert parse_td_quote(HOST.quote(report)).body == quoted_body(report, 584)
    for at in (0, 16, 32, 80, 128, 224, 264, 376, 512, 528, 720):
        wrong = bytearray(report)
        wrong[at] ^= 1
        with pytest.raises(ValueError, match="not a TDREPORT"):
            HOST.quote(bytes(wrong))
    for other in (TdxHost(INTEL).report(b"d" * 64), report[:-1], report + b"\0", b""):
        with pytest.raises(ValueError, match="not a TDREPORT"):
            HOST.quote(other)


@given(
    attributes=st.integers(0, 2**64 - 1),
    data=st.binary(min_size=64, max_size=64),
    digest=st.binary(min_size=48, max_size=48),
)
def test_what_a_quote_says_is_what_the_report_said(attributes: int, data: bytes, digest: bytes) -> None:
    report = TdReport(report_data=data, attributes=attributes, mrtd=digest, seam=digest, configuration=digest * 3)
    encoded = report.encode()
    assert len(encoded) == REPORT_LENGTH
    assert TdReport.of_body(quoted_body(encoded, 584)) == report
    assert (report.debuggable, report.migratable) == (bool(attributes & 1), bool(attributes >> 29 & 1))


def test_an_intel_is_kept_in_its_folder(tmp_path: Path) -> None:
    first, second = Intel.open(tmp_path / "intel"), Intel.open(tmp_path / "intel")
    assert first.spki_sha256 == second.spki_sha256
    assert first.pck_chain == second.pck_chain
    assert verify_quote(quote(HOST.report(bytes(64)), first), second)
    (tmp_path / "intel/complete").unlink()
    assert Intel.open(tmp_path / "intel").spki_sha256 != first.spki_sha256


@pytest.mark.vectors
def test_runtime_claims_are_like_a_recorded_machines(vectors: Path) -> None:
    recorded = json.loads((vectors / "azure/attestation-rs/az_tdx/live-evidence.json").read_bytes())
    real = parse_hcl(b64url_decode(recorded["hcl_report"].rstrip("=")))
    made_claims = hcl.RuntimeClaims(ak=KEY, ek=KEY, vm_id=uuid.UUID(real.vm_unique_id), tee="tdx").encode(b"u" * 64)
    made = parse_hcl(hcl.report(HOST.report(hcl.report_data(made_claims)), made_claims, "tdx"))

    def shape(value: Any) -> Any:
        """Names in their order, and kinds of values."""
        if isinstance(value, dict):
            return [(name, shape(inner)) for name, inner in value.items()]
        return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__

    assert shape(made.claims) == shape(real.claims)
    assert (made.raw[:12], made.vm_unique_id) == (real.raw[:4] + b"\2\0\0\0" + made.raw[8:12], real.vm_unique_id)
    assert len(made.claims_bytes) == len(real.claims_bytes)


RECORDED = """attester_tcb_status dbgstat eat_profile intuse tdx_mrconfigid tdx_mrowner tdx_mrownerconfig tdx_mrseam
tdx_mrsignerseam tdx_mrtd tdx_report_data tdx_rtmr0 tdx_rtmr1 tdx_rtmr2 tdx_rtmr3 tdx_seam_attributes tdx_seamsvn
tdx_td_attributes tdx_td_attributes_debug tdx_td_attributes_hgs_plus_prof tdx_td_attributes_icssd
tdx_td_attributes_key_locker tdx_td_attributes_migratable tdx_td_attributes_perf_prof tdx_td_attributes_perfmon
tdx_td_attributes_pmt_prof tdx_td_attributes_protection_keys tdx_td_attributes_septve_disable tdx_tee_tcb_svn tdx_xfam
tdx_xfam_cet_s tdx_xfam_cet_u x-ms-attestation-type x-ms-compliance-status x-ms-runtime"""


def test_token_claims_are_like_a_recorded_tokens() -> None:
    """Members of a TdxVm token of October 2026, and the values that it had for the same report."""
    evidence = GuestEvidence(
        request=GuestRequest(
            attestation_protocol_version="2.0",
            tpm_info=TpmInfo("", "", "", "", "", "", "", [], []),
            isolation_info=Isolation("Tdx"),
        ),
        pcrs={},
        key=KEY,
        report=TdReport(report_data=b"d" * 64),
        tcb_status="UpToDate",
        runtime={},
    )
    made = token.guest_claims(
        evidence, issuer="https://sharedeus.eus.attest.azure.net", policy_hash="h", now=1791499276
    )
    tee = made["x-ms-isolation-tee"]
    assert list(tee) == RECORDED.split()
    values = {
        "attester_tcb_status": "UpToDate",
        "dbgstat": "disabled",
        "tdx_seamsvn": 269,
        "tdx_td_attributes": "0000001000000000",
        "tdx_td_attributes_debug": False,
        "tdx_td_attributes_septve_disable": True,
        "tdx_tee_tcb_svn": "0d010400000000000000000000000000",
        "tdx_xfam": "e718060000000000",
        "tdx_xfam_cet_s": True,
        "tdx_xfam_cet_u": True,
        "x-ms-attestation-type": "tdxvm",
    }
    assert {name: tee[name] for name in values} == values
