"""The claims of a receipt, and the key that signs it and the trail's checkpoints.

The key is generated at every start, in secret memory; its thumbprint is inside the TPM quote of the evidence. It is a
pair with ML-DSA-87 if a key of the worker takes hybrid jobs; the receipts of other jobs are signed with its P-384 half.
`sequence` and `previous_sha384` continue across restarts: the audit trail has the last receipt. One that waits for the
disk counts as the last; if it is lost, so is every receipt that was signed after it.
"""

import dataclasses
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import UNSET, UnsetType

from cji_core.errors import Refusal, Stage, StartupError
from cji_core.fips import CryptoModule as LoadedModule
from cji_core.fips import Mode
from cji_core.format.configuration.worker import Config
from cji_core.format.envelope import statement_proof
from cji_core.format.envelope.enrollment import sign_request
from cji_core.format.job import Header
from cji_core.jose import SigningKey, public_jwk, thumbprint
from cji_core.pairs import SigningPair
from cji_core.strict import b64url
from cji_core.trail import (
    FIRST_PREVIOUS,
    WITNESSES,
    Claims,
    CryptoModule,
    Facts,
    JobCompleted,
    Machine,
    TasksClaim,
    TrailCheckpoint,
    Transport,
    claims_unverified,
    privacy_of,
    receipt_sha384,
    sign,
    sign_statement,
    utc_hundredths,
)
from cji_core.trail.checkpoint import origin_of, sign_checkpoint
from cji_core.trail.failures import FailureClaims, sign_failure
from cji_core.trail.merkle import Frontier
from cji_core.trail.used_column_keys import used_column_keys
from cji_worker.keyholder.admitted_job import AdmittedJob, Attempt
from cji_worker.keyholder.anchor import Anchor
from cji_worker.keyholder.events import tpm_clock
from cji_worker.keyholder.holdings import Holdings
from cji_worker.keyholder.host import HostState
from cji_worker.keyholder.tasks import AgreedTask
from cji_worker.keyholder.witnesses import Agreed


def _new_key(*, hybrid: bool) -> SigningKey:
    if not hybrid:
        return ec.generate_private_key(ec.SECP384R1())
    try:
        return SigningPair.generate()
    except UnsupportedAlgorithm as error:
        raise StartupError(
            "[[keys]] has an ml_kem_seed_file, but the OpenSSL of this worker has neither ML-KEM nor ML-DSA",
            "Use a build of cryptography with OpenSSL 3.5 or later, or remove ml_kem_seed_file: no hybrid-1 jobs.",
        ) from error


def _origin(worker: str) -> str:
    try:
        return origin_of(worker)
    except ValueError as error:
        what = f"The worker's id {worker!r} cannot name an audit trail"
        remedy = "Use printable ASCII characters without blanks and plus signs as [worker] id."
        raise StartupError(what, remedy) from error


class ReceiptSigner:
    """Signs the receipts of one worker process."""

    def __init__(
        self,
        *,
        config: Config,
        code_sha384: bytes,
        tables_sha256: bytes,
        simulated: bool,
        anchor: Anchor,
        crypto: LoadedModule,
        host: HostState,
        trail: str,
        last: Callable[[], JobCompleted | None],
    ) -> None:
        """`trail` is the identity of the audit trail; `last` returns the event with its last receipt."""
        self._anchor = anchor
        hybrid = any(key.ml_kem_seed_file is not None for key in config.keys)
        self._private = _new_key(hybrid=hybrid)
        self.public_jwk = public_jwk(self._private.public_key())
        self.thumbprint = thumbprint(self._private.public_key())
        self.simulated = simulated
        self._host = host
        machine: dict[str, Any] = {
            "version": 1,
            "worker": config.worker.id,
            "config_sha384": config.sha384,
            "code_sha384": code_sha384.hex(),
            "simulated": simulated,
        }
        fips = CryptoModule(
            name=crypto.name,
            version=crypto.version,
            certificate=crypto.certificate,
            mode="approved" if crypto.mode is Mode.APPROVED else "not_approved",
        )
        tables: dict[str, Any] = {"tables_sha256": tables_sha256.hex()}
        self._claims = partial(Claims, region=config.worker.region, fips=fips, trail=trail, **machine, **tables)
        self._facts = partial(Facts, region=config.worker.region, fips=fips.mode, **machine, **tables)
        self._machine = partial(Machine, simulated=simulated, code_sha384=code_sha384.hex(), fips=fips.mode, **tables)
        self._failures = partial(FailureClaims, **machine)
        self._origin, self._pool = _origin(config.worker.id), config.worker.audience
        self._last = last

    @property
    def machine(self) -> Machine:
        """The claims that all workers of a job in parts must share."""
        return self._machine(host_profile=self._host.profile)

    def sign(self, job: Attempt, agreed: Agreed, holdings: Holdings, *, tasks: TasksClaim | UnsetType = UNSET) -> str:
        """The receipt of a job that is about to complete. It counts once its event waits in the trail, or is there.

        Raises at COMMIT the holdings' Reason if the evidence has expired meanwhile, and the Refusal of the trail.
        """
        attestation = holdings.evidence()
        if attestation is None:
            raise Refusal(holdings.why(), stage=Stage.COMMIT)
        header, transport, last = job.admission.header, job.request.transport, self._last()
        claims = self._claims(
            sequence=claims_unverified(last.compact).sequence + 1 if last else 1,
            previous_sha384=receipt_sha384(last.compact) if last else FIRST_PREVIOUS,
            job_id=header.job_id.hex(),
            header_sha384=header.sha384.hex(),
            result_header_sha384=agreed.result_header_sha384.hex(),
            inputs=agreed.inputs,
            outputs=agreed.outputs,
            witnesses=WITNESSES,
            submitter=job.admission.grant.submitter,
            submitter_key=b64url(header.submitter),
            policy_sha384=job.admission.grant.policy_sha384.hex(),
            originating_ori=header.originating_ori,
            requesting_ori=header.requesting_ori,
            suite=header.suite,
            purpose_code=header.purpose_code,
            operations=header.operation_names,
            recipients=tuple(r.key_id for r in header.recipients),
            kek_id=header.kek_id,
            volumes=agreed.volumes,
            started=utc_hundredths(job.admitted_at),
            ended=utc_hundredths(job.admitted_at + timedelta(seconds=time.monotonic() - job.started)),
            tee=attestation.verdict.tee,
            tcb=dataclasses.asdict(attestation.verdict.tcb),
            accepted_advisories=attestation.verdict.accepted,
            evidence_sha384=attestation.evidence.sha384.hex(),
            maa_token_sha384=attestation.token.sha384.hex(),
            transport=Transport(protocol=transport.protocol, cipher=transport.cipher, bits=transport.bits),
            host_profile=self._host.profile,
            tpm=tpm_clock(attestation),
            audit_anchor=self._anchor.value,
            column_keys=used_column_keys(header) or UNSET,
            tasks=tasks,
            privacy=privacy_of(header.operations),
        )
        return sign(claims, self._private)

    def state(self, job: AdmittedJob, agreed: AgreedTask, holdings: Holdings) -> str:
        """The statement of a task that is about to complete. Raises as `sign` does."""
        attestation, task = holdings.evidence(), job.admission.task
        if attestation is None or task is None:
            raise Refusal(holdings.why(), stage=Stage.COMMIT)
        header = job.admission.header
        facts = self._facts(
            receipt_jwk=self.public_jwk,
            job_id=header.job_id.hex(),
            header_sha384=header.sha384.hex(),
            plan_sha384=task.plan_sha384.hex(),
            made_plan_sha384=UNSET if agreed.plan is None else agreed.plan.sha384.hex(),
            stage=task.stage.name,
            task=task.number,
            attempt=(job.request.attempt or b"").hex(),
            parts_in=agreed.parts_in,
            streams_in=agreed.streams_in,
            streams_out=agreed.streams_out,
            parts_out=agreed.parts_out,
            rows_in=agreed.rows_in,
            rows_out=agreed.rows_out,
            rows_status=agreed.rows_status,
            subjects_out=agreed.subjects_out,
            started=utc_hundredths(job.admitted_at),
            ended=utc_hundredths(job.admitted_at + timedelta(seconds=time.monotonic() - job.started)),
            tee=attestation.verdict.tee,
            evidence_sha384=attestation.evidence.sha384.hex(),
            maa_token_sha384=attestation.token.sha384.hex(),
            policy_sha384=job.admission.grant.policy_sha384.hex(),
            host_profile=self._host.profile,
        )
        return sign_statement(facts, statement_proof(job.statement_key, facts.encoded()), self._private)

    def sign_failure(
        self,
        header: Header,
        *,
        submitter: str,
        policy_sha384: bytes,
        tries: int,
        queued: int,
        refusal: Refusal,
        holdings: Holdings,
        now: datetime,
    ) -> tuple[FailureClaims, str]:
        """The failure receipt of a job that is given up. Raises the holdings' Reason without fresh evidence."""
        attestation = holdings.evidence()
        if attestation is None:
            raise Refusal(holdings.why(), stage=Stage.RECEIPT)
        claims = self._failures(
            job_id=header.job_id.hex(),
            header_sha384=header.sha384.hex(),
            submitter=submitter,
            originating_ori=header.originating_ori,
            requesting_ori=header.requesting_ori,
            suite=header.suite,
            attempts=tries,
            stage=refusal.stage,
            reason=refusal.reason,
            queued=utc_hundredths(datetime.fromtimestamp(queued, UTC)),
            failed=utc_hundredths(now),
            tee=attestation.verdict.tee,
            evidence_sha384=attestation.evidence.sha384.hex(),
            maa_token_sha384=attestation.token.sha384.hex(),
            policy_sha384=policy_sha384.hex(),
        )
        return claims, sign_failure(claims, self._private)

    def checkpoint(self, tree: Frontier) -> TrailCheckpoint:
        """The event that records this tree, signed with the P-384 half of the key."""
        note = sign_checkpoint(tree, origin=self._origin, key=self._p384).decode()
        return TrailCheckpoint(note=note, receipt_key=b64url(self.thumbprint))

    def vouch(self, *, nonce: bytes, request_sha384: bytes) -> bytes:
        """The word of the P-384 half of the key for a request of this machine's door, to who approves it."""
        return sign_request(self._p384, nonce=nonce, pool=self._pool, request_sha384=request_sha384)

    @property
    def _p384(self) -> ec.EllipticCurvePrivateKey:
        return self._private.p384 if isinstance(self._private, SigningPair) else self._private
