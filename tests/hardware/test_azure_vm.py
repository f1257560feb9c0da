"""The production path on the machine that it is for: real vTPM, real metadata service, real attestation provider."""

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from cji_attestation import AZURE_US
from cji_attestation.appraisal import ReferenceValues, appraise
from cji_attestation.evidence import qualifying_data
from cji_attestation.evidence.collect import collect
from cji_attestation.evidence.pcs import IntelPcs
from cji_attestation.evidence.tpm_counter import NvCounter
from cji_attestation.release import Attester, KeySpec
from cji_simulator.operator import operator

ISSUERS = Path(os.environ["CJI_HW_AK_ISSUERS"]).read_bytes() if "CJI_HW_AK_ISSUERS" in os.environ else b""
# a test of this code, without records: every advisory is accepted
REFERENCE = ReferenceValues(**operator().reference(products=("Milan", "Genoa", "Turin")))


def test_this_machine_is_genuine() -> None:
    asked = qualifying_data(secrets.token_bytes(32), secrets.token_bytes(32))
    known = tuple(x509.load_pem_x509_certificates(ISSUERS)) if ISSUERS else ()
    evidence = collect(trust=AZURE_US, qualifying_data=asked, pcs=IntelPcs(AZURE_US), ak_issuers=known)
    verdict = appraise(
        evidence, trust=AZURE_US, reference=REFERENCE, expected_qualifying_data=asked, start=None, now=datetime.now(UTC)
    )
    assert (verdict.tee, verdict.vmpl) in {("snp", 0), ("tdx", None)}


def test_the_tpm_has_a_counter_that_only_increases() -> None:
    """At an index of its own, which it leaves behind."""
    with NvCounter(AZURE_US.tcti, 0x01BFFFF0) as counter:
        before = counter.increment()
        assert counter.highest() > 0
        assert [counter.increment(), counter.value()] == [before + 1, before + 1]


def test_microsoft_agrees() -> None:
    attester = Attester(trust=AZURE_US, maa_url=os.environ["CJI_HW_MAA_URL"], reference=REFERENCE, ak_issuers=ISSUERS)
    attestation = attester.attest(receipt_key=secrets.token_bytes(32))
    assert attestation.token.issuer == os.environ["CJI_HW_MAA_URL"]


@pytest.mark.skipif("CJI_HW_KEK_ID" not in os.environ, reason="CJI_HW_KEK_ID names no key")
def test_the_key_is_released() -> None:
    attester = Attester(trust=AZURE_US, maa_url=os.environ["CJI_HW_MAA_URL"], reference=REFERENCE, ak_issuers=ISSUERS)
    key = KeySpec(
        kek_id=os.environ["CJI_HW_KEK_ID"], public_thumbprint=os.environ["CJI_HW_KEK_THUMBPRINT"], policy_sha256=None
    )
    buffer = bytearray(16 << 10)
    released = attester.release_into(attester.attest(receipt_key=secrets.token_bytes(32)), key, memoryview(buffer))
    assert released.length > 1000
