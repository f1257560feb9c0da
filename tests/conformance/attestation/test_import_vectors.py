"""Evidence that others collected on real Azure machines, imported and appraised at its own time."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cji_attestation import AZURE_US, Fault
from cji_attestation.appraisal import ReferenceValues, Verdict, appraise
from cji_attestation.checks import Skipped
from cji_attestation.evidence import Evidence, parse_attest
from cji_attestation.evidence.imported import bundle_of, chain_of, read_collateral, read_quote, read_trustee
from cji_core.strict import b64url_decode
from cji_simulator.operator import operator
from tests.conformance.attestation.test_tdx_vectors import MARCH, march
from tests.support.refusals import rejected

pytestmark = pytest.mark.vectors


def trustee(vectors: Path, name: str, *, chain: bytes = b"", **parts: Any) -> Evidence:
    data = json.loads((vectors / "azure" / name).read_bytes())
    found = read_trustee(json.dumps(data.get("evidence", data)).encode())
    certs = chain_of(found.vcek, chain) if found.vcek else b""
    return bundle_of(found.hcl_report, found.quote, certs=certs, td_quote=found.td_quote, **parts)


def milan_chain(vectors: Path) -> bytes:
    return (vectors / "azure/virtee-sev/cert_chain_milan").read_bytes()


def appraised(evidence: Evidence, **kw: Any) -> Verdict:
    again = Evidence.from_json(evidence.to_json(), imported=True)
    return appraise(
        again,
        trust=AZURE_US,
        reference=kw.get("reference", ReferenceValues()),
        expected_qualifying_data=parse_attest(evidence.quote).extra_data,
        start=None,
        now=kw.get("now", MARCH),
    )


@pytest.mark.parametrize(
    "name",
    [
        "trustee/az-snp-vtpm/evidence-v0.json",
        "trustee/az-snp-vtpm/evidence-v1.json",
        "attestation-rs/az_snp/milan-v3-attestation.json",
    ],
)
def test_authentic_evidence_of_snp_machines(vectors: Path, name: str) -> None:
    """Milan is refused by policy, and by nothing before that: everything is authentic."""
    evidence = trustee(vectors, name, chain=milan_chain(vectors))
    nonce = parse_attest(evidence.quote).extra_data
    if not nonce:
        return  # a quote that answers nobody: E16
    with rejected("E08", fault=Fault.POLICY_MISMATCH) as caught:
        appraised(evidence)
    passed = {check.id: check for check in caught.value.passed}
    assert {"E01", "E02", "E06", "E07", "E14", "E16", "E17", "E18", "E22"} <= passed.keys()
    assert {one for one, check in passed.items() if isinstance(check, Skipped)} >= {"E20", "E21", "E44", "E46"}
    assert passed["E17"].finding == f"PCRs sha256:{','.join(map(str, range(24)))}"


def test_authentic_evidence_of_a_trust_domain(vectors: Path) -> None:
    name = "attestation-rs/az_tdx/live-evidence.json"
    quote = b64url_decode(json.loads((vectors / "azure" / name).read_bytes())["td_quote"].rstrip("="))
    evidence = trustee(vectors, name, collateral=march(vectors, quote))
    with rejected("E32", fault=Fault.POLICY_MISMATCH):
        appraised(evidence)
    signed = operator().acceptance(machines=("TDX",), since=MARCH.date(), until=MARCH.date() + timedelta(days=30))
    verdict = appraised(
        evidence, reference=ReferenceValues(advisory_signers=(operator().signer,), acceptances=(signed,))
    )
    assert (verdict.tee, verdict.tcb_status, verdict.ephemeral) == ("tdx", "UpToDate", None)
    assert len(verdict.pcrs) == 8
    with rejected("E13"):
        appraised(trustee(vectors, name))
    with rejected("import") as caught:
        trustee(vectors, "trustee/az-tdx-vtpm/evidence-v0.json", collateral=march(vectors, quote))
    assert caught.value.failures[0].found == "collateral of FMSPC 90C06F000000 with a quote of FMSPC 00806F050000"


def test_collateral_of_dcap_qvl(vectors: Path) -> None:
    data = (vectors / "azure/dcap-qvl/tdx_quote_collateral.json").read_bytes()
    found = read_collateral(data)
    assert found.tcb_info == json.loads(data)["tcb_info"]
    assert len(found.tcb_info_signature) == 64


def test_files_of_tpm2_tools(vectors: Path) -> None:
    """The quote of a Trusted Launch machine, with the PCR file of tpm2_quote."""
    folder = vectors / "azure/cmcp/azure-vtpm-2026-07-27"
    message, signature, pcrs = ((folder / name).read_bytes() for name in ("quote.msg", "quote.sig", "pcrs.bin"))
    found = read_quote(message, signature, pcrs)
    assert (len(found.pcrs), found.signature) == (8, signature)
    assert read_quote(message, signature, b"".join(found.pcrs)) == found
    assert read_quote(message, bytes.fromhex("0014000b0100") + signature, pcrs) == found
