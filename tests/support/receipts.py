"""Receipts of one job on one machine."""

from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.suites import Suite
from cji_core.trail import (
    FIRST_PREVIOUS,
    WITNESSES,
    Claims,
    CryptoModule,
    PartDigest,
    TpmClock,
    Transport,
    Volumes,
    sign,
)

__all__ = ["CLAIMS", "signed_receipt"]

CLAIMS = Claims(
    version=1,
    worker="worker-1",
    sequence=1,
    previous_sha384=FIRST_PREVIOUS,
    job_id="01" * 16,
    header_sha384="02" * 48,
    result_header_sha384="03" * 48,
    inputs=(PartDigest(name="people", sha256="04" * 32, bytes=1000),),
    outputs=(
        PartDigest(name="result", sha256="05" * 32, bytes=900),
        PartDigest(name="row_status", sha256="06" * 32, bytes=300),
    ),
    witnesses=WITNESSES,
    submitter="metro-pd",
    submitter_key="S" * 43,
    originating_ori="WI0130000",
    requesting_ori="WI0130000",
    suite=Suite.CLASSICAL_1,
    purpose_code="C",
    operations=("deidentify",),
    recipients=("A" * 43,),
    kek_id="https://v.vault.azure.net/keys/cmk/" + "ab" * 16,
    volumes=Volumes(rows_in=10, rows_out=10, bytes_in=1000, bytes_out=1200, chri_rows_out=0, subjects_out=10),
    started="2026-11-24T15:00:00.00Z",
    ended="2026-11-24T15:00:01.25Z",
    region="eastus",
    tee="snp",
    tcb={"bootloader": 3, "microcode": 72},
    accepted_advisories=("arXiv:2605.12990",),
    evidence_sha384="07" * 48,
    maa_token_sha384="08" * 48,
    policy_sha384="09" * 48,
    config_sha384="0a" * 48,
    code_sha384="0b" * 48,
    tables_sha256="0c" * 32,
    fips=CryptoModule(name="OpenSSL", version="4.0.3", certificate="none", mode="not_approved"),
    transport=Transport(protocol="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", bits=256),
    host_profile="none",
    simulated=False,
    tpm=TpmClock(clock=123456, reset_count=7, restart_count=0),
    trail="0d" * 48,
    audit_anchor=41,
)


def signed_receipt(**changes: Any) -> str:
    """A receipt with these claims changed, signed with a key of its own."""
    return sign(msgspec.structs.replace(CLAIMS, **changes), ec.generate_private_key(ec.SECP384R1()))
