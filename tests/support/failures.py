"""Failure receipts of one job on one machine."""

from cji_core.errors import Reason, Stage
from cji_core.suites import Suite
from cji_core.trail import FailureClaims

__all__ = ["FAILURE"]

FAILURE = FailureClaims(
    version=1,
    worker="worker-1",
    job_id="01" * 16,
    header_sha384="02" * 48,
    submitter="metro-pd",
    originating_ori="WI0130000",
    requesting_ori="WI0130000",
    suite=Suite.CLASSICAL_1,
    attempts=5,
    reason=Reason.CELL_FAILED,
    stage=Stage.COMPUTE,
    queued="2026-11-24T15:00:00.00Z",
    failed="2026-11-24T16:00:01.25Z",
    tee="snp",
    evidence_sha384="07" * 48,
    maa_token_sha384="08" * 48,
    policy_sha384="09" * 48,
    config_sha384="0a" * 48,
    code_sha384="0b" * 48,
    simulated=False,
)
