"""Claims that Azure Attestation really wrote, and Microsoft's own table of its providers (vectors, `azure`)."""

import contextlib
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from cji_attestation import AZURE_US, AZURE_USGOV, AttestationError, Fault, Trust
from cji_attestation.appraisal import Verdict
from cji_attestation.evidence import Tcb, parse_snp_report
from cji_attestation.evidence.hcl import runtime_ak
from cji_attestation.maa import SigningKeys, VerifiedToken, verify_token
from cji_attestation.strict import rsa_from_jwk
from cji_attestation.trust import US_REGIONS, USGOV_REGIONS, endpoint
from cji_core.verified import _CONSTRUCTOR_KEY
from cji_simulator.encoding import b64
from tests.support.forge import decided, machine
from tests.support.refusals import rejected

pytestmark = pytest.mark.vectors

Claims = dict[str, Any]
AKS = "azureguest_snp_milan_2022-09_aks"
WINDOWS = "azureguest_snp_milan_2022-05_windows"
NONCE = "1234"


def real(vectors: Path, name: str) -> Claims:
    found: Claims = json.loads((vectors / f"azure/maa-claims/{name}.json").read_bytes())
    return found


def verdict_for(claims: Claims, runtime: bytes) -> Verdict:
    """What we would have found on that machine: a report with the claims' values, made by a chip of our own."""
    tee = claims["x-ms-isolation-tee"]
    snp = {name.removeprefix("x-ms-sevsnpvm-"): value for name, value in tee.items()}
    report = parse_snp_report(
        machine().report(
            runtime,
            policy=0x3001F,
            guest_svn=snp["guestsvn"],
            vmpl=snp["vmpl"],
            measurement=bytes.fromhex(snp["launchmeasurement"]),
            family_id=bytes.fromhex(snp["familyId"]),
            image_id=bytes.fromhex(snp["imageId"]),
            host_data=bytes.fromhex(snp["hostdata"]),
            id_key_digest=bytes.fromhex(snp["idkeydigest"]),
            author_key_digest=bytes.fromhex(snp["authorkeydigest"]),
            report_id=bytes.fromhex(snp["reportid"]),
        )
    )
    return dataclasses.replace(
        machine().appraise(machine().evidence()),
        product="Milan",
        hardware=report,
        tcb=Tcb(
            bootloader=snp["bootloader-svn"], tee=snp["tee-svn"], snp=snp["snpfw-svn"], microcode=snp["microcode-svn"]
        ),
        ak=runtime_ak(json.loads(runtime), fault=Fault.EVIDENCE_INVALID, check="ak"),
        ephemeral=rsa_from_jwk(claims["x-ms-runtime"]["keys"][0], fault=Fault.EVIDENCE_INVALID, check="ephemeral"),
        vm_unique_id=json.loads(runtime)["vm-configuration"]["vmUniqueId"],
        constructor_key=_CONSTRUCTOR_KEY,
    )


def verify(claims: Claims, verdict: Verdict) -> VerifiedToken:
    """The claims under a signature of our own: the service's did not come with them."""
    issuer = endpoint(AKS_ISSUER, AZURE_US.maa_hosts, resource="", check="maa-url")
    return verify_token(
        machine().token(claims),
        keys=SigningKeys(issuer=issuer, trust=AZURE_US, fetch=machine().jwks),
        verdict=verdict,
        nonce=NONCE,
        max_age=3600,
        reference=decided(maa_policy_hashes=("wm9mHlvTU82e8UqoOy1Yj1FBRSNkfe99-69IYDq9eWs",)),
        now=claims["iat"] + 1,
    )


AKS_ISSUER = "https://sharedeus2.eus2.attest.azure.net"


def test_a_real_token_of_2022_passes_every_check(vectors: Path) -> None:
    claims = real(vectors, AKS)
    runtime = (vectors / f"azure/maa-claims/{AKS}.runtime.json").read_bytes()
    assert hashlib.sha256(runtime).hexdigest() in claims["x-ms-isolation-tee"]["x-ms-sevsnpvm-reportdata"]
    token = verify(claims, verdict_for(claims, runtime))
    assert (token.issuer, token.jti) == (AKS_ISSUER, claims["jti"])


TEE_FACTS = [
    f"x-ms-sevsnpvm-{name}"
    for name in (
        *("launchmeasurement", "reportdata", "idkeydigest", "authorkeydigest", "familyId", "imageId", "hostdata"),
        *("reportid", "guestsvn", "bootloader-svn", "tee-svn", "snpfw-svn", "microcode-svn", "smt-allowed"),
        *("is-debuggable", "migration-allowed", "vmpl"),
    )
]


@pytest.mark.parametrize("name", TEE_FACTS)
def test_a_real_token_without_any_one_fact_is_refused(vectors: Path, name: str) -> None:
    claims = real(vectors, AKS)
    verdict = verdict_for(claims, (vectors / f"azure/maa-claims/{AKS}.runtime.json").read_bytes())
    del claims["x-ms-isolation-tee"][name]
    with rejected():
        verify(claims, verdict)


def test_a_real_token_of_a_windows_machine_is_not_ours(vectors: Path) -> None:
    """Its hardware claims agree; it has no nonce, and other PCRs than a Linux machine quotes."""
    claims = real(vectors, WINDOWS)
    verdict = verdict_for(claims, (vectors / f"azure/maa-claims/{WINDOWS}.runtime.json").read_bytes())
    claims["iss"] = AKS_ISSUER
    with rejected("T12"):
        verify(claims, verdict)
    claims["x-ms-runtime"]["client-payload"] = {"nonce": b64(NONCE.encode())}
    with rejected("T17"):
        verify(claims, verdict)
    claims["x-ms-azurevm-attested-pcrs"] = list(range(8))
    assert verify(claims, verdict)


@pytest.mark.parametrize(
    ("suffix", "trust", "regions"), [("", AZURE_US, US_REGIONS), ("_usgov", AZURE_USGOV, USGOV_REGIONS)]
)
def test_us_regions_and_providers_are_those_of_microsofts_table(
    vectors: Path, suffix: str, trust: Trust, regions: dict[str, str]
) -> None:
    folder = vectors / "azure/cvm-attestation-tools"
    table: dict[str, str] = json.loads((folder / f"attestation_uri_table{suffix}.json").read_bytes())
    believed = {}
    for name, url in table.items():
        with contextlib.suppress(AttestationError):
            host = endpoint(url, trust.maa_hosts, resource="", check="x").host
            believed[name.lower().replace(" ", "")] = host.split(".")[1]
    assert believed == regions
    assert set(trust.regions) == set(regions)
