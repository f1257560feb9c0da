"""Real reports under the shipped table: what Azure's hosts show, and that only a signed decision accepts them."""

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation import AZURE_US, Fault
from cji_attestation.appraisal import IdKey, ReferenceValues, TcbFloor
from cji_attestation.appraisal.advisories import AdvisoryFinding
from cji_attestation.appraisal.policy import Decided, check_policy
from cji_attestation.appraisal.snp import AuthenticReport, authenticate_report
from cji_attestation.errors import Record
from cji_attestation.evidence import parse_hcl
from cji_attestation.strict import load_der
from cji_simulator.operator import operator
from tests.support.forge import decided, machine
from tests.support.refusals import rejected

pytestmark = pytest.mark.vectors

WHEN = datetime(2026, 9, 20, tzinfo=UTC)
DAYS = {"since": date(2026, 9, 1), "until": date(2026, 10, 31)}
TEE_AV = "azure/tee-attestation-verification"
PCRS = tuple(hashlib.sha256(bytes([pcr])).digest() for pcr in range(8))
OPEN_IN_SEPTEMBER = (
    *("AMD-SB-3020", "AMD-SB-3016", "AMD-SB-3027", "AMD-SB-3030", "AMD-SB-3034", "AMD-SB-3036", "AMD-SB-3039"),
    *("AMD-SB-3024", "AMD-SB-3040", "AMD-SB-3048", "AMD-SB-3007", "AMD-SB-3011", "AMD-SB-3021"),
    *("CVE-2025-2884", "CVE-2026-6726", "CVE-2026-6727"),
)


def genuine(raw: bytes, chain: bytes, *, now: datetime = WHEN) -> AuthenticReport:
    return authenticate_report(raw, chain, roots=AZURE_US.amd_roots, now=now, record=Record())


def azure(vectors: Path, name: str) -> AuthenticReport:
    folder = vectors / TEE_AV
    chain = b"".join((folder / f"{name}_{part}.pem").read_bytes() for part in ("vcek", "ask", "ark"))
    return genuine((folder / f"{name}_attestation_report.bin").read_bytes(), chain)


def policy(hardware: AuthenticReport, reference: ReferenceValues, *, now: datetime = WHEN) -> Decided:
    """As for a VM whose paravisor this ID key signs: some of these reports are of containers, which have host data."""
    report = replace(hardware.report, host_data=bytes(32), author_key_digest=bytes(48))
    signer = IdKey(
        digest=report.id_key_digest.hex(),
        least_guest_svn={hardware.product: report.guest_svn},
        family_ids=(report.family_id.hex(),),
        image_ids=(report.image_id.hex(),),
        policies=(report.policy,),
        source="test",
        seen=now.date(),
    )
    runtime = parse_hcl(machine().evidence().hcl_report)
    found = replace(hardware, report=report)
    given: dict[str, Any] = {"reference": reference, "now": now, "record": Record()}
    return check_policy(found, runtime, PCRS, None, signer, vtpm_firmware=1, flavours=AZURE_US.flavours, **given)


def states(found: Decided) -> dict[str, AdvisoryFinding]:
    return {one.id: one for one in found.findings}


def under(*ids: str, **changes: Any) -> ReferenceValues:
    """Shipped floors and table, and one decision of that time."""
    signed = operator().acceptance(*ids, **{"machines": ("Genoa",), **DAYS, **changes})
    return ReferenceValues(advisory_signers=(operator().signer,), acceptances=(signed,))


def test_h01_a_genoa_host_of_september(vectors: Path) -> None:
    host = azure(vectors, "genoa")
    with rejected("E32", fault=Fault.POLICY_MISMATCH) as caught:
        policy(host, ReferenceValues())
    named = {part.partition(" ")[0] for part in caught.value.failures[0].found.split("; ")}
    assert (named, len(caught.value.failures)) == (set(OPEN_IN_SEPTEMBER), 1)
    found = policy(host, under(*OPEN_IN_SEPTEMBER))
    assert {one.id for one in found.findings if one.accepted_by} == set(OPEN_IN_SEPTEMBER)
    assert states(found)["AMD-SB-3019"].state == "fixed"
    assert states(found)["AMD-SB-3020"].detail == "snp 23, fixed from 27"
    for reference in (
        under(*OPEN_IN_SEPTEMBER[1:]),
        under(*OPEN_IN_SEPTEMBER, machines=("Bergamo-Siena",)),
        under(*OPEN_IN_SEPTEMBER, until=date(2026, 9, 19)),
    ):
        with rejected("E32", fault=Fault.POLICY_MISMATCH):
            policy(host, reference)


def test_h01_a_milan_host(vectors: Path) -> None:
    host = azure(vectors, "milan")
    with rejected("E08"):
        policy(host, decided(acceptances=(operator().acceptance(**DAYS),), advisories=None))
    found = policy(host, decided(products=("Milan",), acceptances=(operator().acceptance(**DAYS),), advisories=None))
    assert states(found)["arXiv:2605.12990"].accepted_by == "site-1"
    assert states(found)["AMD-SB-3019"].state == "fixed"
    assert states(found)["AMD-SB-3020"].detail == "mitigation bit 1, which no report of version 3 has"


def test_a_report_of_2023_names_no_stepping(vectors: Path) -> None:
    folder, then = vectors / "azure/trustee/az-snp-vtpm", datetime(2024, 6, 1, tzinfo=UTC)
    host = genuine(
        parse_hcl((folder / "hcl-report.bin").read_bytes()).hardware, (folder / "vcek.pem").read_bytes(), now=then
    )
    signed = operator().acceptance(machines=("Milan",), since=date(2024, 1, 1), until=date(2024, 12, 31))
    floor = TcbFloor(bootloader=3, tee=0, snp=8, microcode=115)
    given: dict[str, Any] = {"products": ("Milan",), "floors": {"Milan": floor}, "advisories": None}
    found = policy(host, decided(acceptances=(signed,), **given), now=then)
    assert {one.state for one in found.findings} == {"open", "cannot be shown", "not affected"}


def test_a_siena_report_has_mitigation_vectors(vectors: Path) -> None:
    """Not Azure's: the one real report of version 5."""
    folder = vectors / "azure/attestation-rs/snp"
    genoa = b"".join((vectors / TEE_AV / f"genoa_{part}.pem").read_bytes() for part in ("ask", "ark"))
    der = (folder / "live-vcek-genoa.der").read_bytes()
    vcek = load_der(der, fault=Fault.EVIDENCE_INVALID, check="vcek").public_bytes(Encoding.PEM)
    host = genuine((folder / "live-report-v5-genoa.bin").read_bytes(), vcek + genoa)
    found = states(policy(host, under(machines=("Bergamo-Siena",))))
    assert found["AMD-SB-3019"].state == "fixed"
    assert found["AMD-SB-3016"] == ("AMD-SB-3016", "open", "mitigation bit 2 is not set", "site-1")
    assert found["AMD-SB-3020"].detail == "no level is known for Bergamo-Siena"
