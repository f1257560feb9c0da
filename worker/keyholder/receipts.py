"""The claims of a receipt, and the key that signs it.

The key is generated at every start, in secret memory; its thumbprint is inside the TPM quote of the evidence.
`sequence` and `previous_sha384` continue across restarts: the audit trail has the last receipt.
"""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from cryptography.hazmat.primitives.asymmetric import ec

from worker.audit import (
    FIRST_PREVIOUS,
    Claims,
    JobCompleted,
    PartDigest,
    claims_unverified,
    receipt_sha384,
    sign,
    utc_hundredths,
)
from worker.config import Config
from worker.envelope import sha384
from worker.errors import Reason, Refusal, Stage
from worker.ipc.messages import SealedPart, Summary
from worker.jose import public_jwk, thumbprint
from worker.keyholder.admitted_job import AdmittedJob
from worker.keyholder.events import tpm_clock, volumes
from worker.keyholder.fips import fips_probe
from worker.keyholder.holdings import Holdings
from worker.keyholder.host import HostState
from worker.wire.v1 import worker_pb2 as pb


class ReceiptSigner:
    """Signs the receipts of one worker process."""

    def __init__(
        self,
        *,
        config: Config,
        policy_sha384: bytes,
        code_sha384: bytes,
        simulated: bool,
        host: HostState,
        last: JobCompleted | None,
    ) -> None:
        self._private = ec.generate_private_key(ec.SECP384R1())
        self.public_jwk = public_jwk(self._private.public_key())
        self.thumbprint = thumbprint(self._private.public_key())
        self.simulated = simulated
        self._host = host
        self._claims = partial(
            Claims,
            version=1,
            worker=config.worker.id,
            region=config.worker.region,
            policy_sha384=policy_sha384.hex(),
            config_sha384=config.sha384,
            code_sha384=code_sha384.hex(),
            fips=fips_probe(),
            simulated=simulated,
        )
        self._sequence = claims_unverified(last.receipt).sequence if last else 0
        self._previous = receipt_sha384(last.receipt) if last else FIRST_PREVIOUS

    def sign(self, job: AdmittedJob, summary: Summary, holdings: Holdings) -> str:
        """The receipt of a job that is about to complete. It counts once `issued` was called.

        Raises at COMMIT: the holdings' Reason if the evidence has expired meanwhile, INTERNAL for a summary that does
        not fit the job. Raises ValueError or DecodeError for a summary that is malformed.
        """
        attestation = holdings.evidence()
        if attestation is None:
            raise Refusal(holdings.why(), stage=Stage.COMMIT)
        header = job.admission.header
        outputs = pb.ResultHeader.FromString(summary.result_header).outputs
        if (len(summary.inputs), len(summary.outputs)) != (len(header.inputs), len(outputs)):
            raise Refusal(Reason.INTERNAL, stage=Stage.COMMIT)
        claims = self._claims(
            sequence=self._sequence + 1,
            previous_sha384=self._previous,
            job_id=header.job_id.hex(),
            header_sha384=header.sha384.hex(),
            result_header_sha384=sha384(summary.result_header).hex(),
            inputs=_digests([part.name for part in header.inputs], summary.inputs),
            outputs=_digests([part.name for part in outputs], summary.outputs),
            submitter=job.admission.grant.submitter,
            originating_ori=header.originating_ori,
            requesting_ori=header.requesting_ori,
            operator_id=header.operator_id,
            purpose_code=header.purpose_code,
            operations=header.operation_names,
            recipients=tuple(r.key_id for r in header.recipients),
            kek_id=header.kek_id,
            volumes=volumes(summary),
            started=utc_hundredths(job.admitted_at),
            ended=utc_hundredths(datetime.now(UTC)),
            tee=attestation.verdict.tee,
            tcb=dataclasses.asdict(attestation.verdict.tcb),
            accepted_advisories=attestation.verdict.accepted,
            evidence_sha384=attestation.evidence.sha384.hex(),
            maa_token_sha384=attestation.token.sha384.hex(),
            host_profile=self._host.profile,
            tpm=tpm_clock(attestation),
        )
        return sign(claims, self._private)

    def issued(self, receipt: str) -> None:
        """Continue the sequence after a receipt that is on disk."""
        self._sequence += 1
        self._previous = receipt_sha384(receipt)


def _digests(names: Sequence[str], parts: Sequence[SealedPart]) -> tuple[PartDigest, ...]:
    return tuple(
        PartDigest(name=name, sha256=part.sha256.hex(), bytes=part.bytes)
        for name, part in zip(names, parts, strict=True)
    )
