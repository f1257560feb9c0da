"""The time at which evidence is appraised: this machine's clock for a live answer, proven for one from a file (E52)."""

from dataclasses import dataclass
from datetime import UTC, datetime

from cji_attestation import AttestationError
from cji_attestation.appraisal import ProvenTime, ReferenceValues, check_timestamp, latest_proven, shown_later
from cji_attestation.checks import Check, Skipped
from cji_attestation.errors import invalid
from cji_attestation.evidence import Evidence, TpmClock
from cji_attestation.evidence_file import EvidenceFile, stamped
from cji_attestation.maa import SigningKeys, issue_of


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisalTime:
    """`time` is for certificates, lists and collateral; `presented` is when the worker showed its token."""

    time: ProvenTime
    presented: datetime
    checks: tuple[Check, ...]


def stated_time(at: datetime, by: str) -> AppraisalTime:
    """A time that the verifier itself vouches for."""
    time, check = latest_proven([ProvenTime(at=at, by=by)], claimed=at)
    return AppraisalTime(time=time, presented=at, checks=(check,))


def this_moment() -> AppraisalTime:
    """Now."""
    return stated_time(datetime.now(UTC), "this machine's clock")


def proven_time(shown: EvidenceFile, *, keys: SigningKeys, reference: ReferenceValues) -> AppraisalTime:
    """The latest time that the file proves; AttestationError at E51, E52, or a check on the token.

    The token was presented some time after it was issued, as the TPM's clock shows. If that is not proven, it must have
    been before the time that is.
    """
    issued = issue_of(shown.maa_token, keys=keys, reference=reference)
    presented = shown_later(issued.at, _clock(shown.token_evidence), _clock(shown.evidence))
    proofs: list[ProvenTime] = []
    checks: list[Check] = []
    if issued.proven:
        proofs.append(ProvenTime(at=presented, by="Azure Attestation's token and the TPM's clock"))
    if shown.timestamp:
        if reference.timestamp_roots is None:
            checks.append(Skipped("E51", "a timestamp, and no root that it could lead to"))
        else:
            at, check = check_timestamp(shown.timestamp, shown.stamped, reference.timestamp_roots)
            proofs.append(ProvenTime(at=at, by="its timestamp"))
            checks.append(check)
    time, check = latest_proven(proofs, claimed=shown.attested_at)
    return AppraisalTime(time=time, presented=min(presented, time.at), checks=(*checks, check))


def bundle_time(text: bytes, timestamp: bytes, *, reference: ReferenceValues) -> AppraisalTime:
    """The time that a timestamp over a bare bundle with this canonical text proves; AttestationError at E51."""
    at, check = check_timestamp(timestamp, stamped(text), reference.timestamp_roots or ())
    time, latest = latest_proven([ProvenTime(at=at, by="its timestamp")], claimed=at)
    return AppraisalTime(time=time, presented=at, checks=(check, latest))


def _clock(bundle: bytes) -> TpmClock:
    evidence = Evidence.from_json(bundle)
    try:
        return evidence.clock
    except AttestationError as error:
        raise invalid("E15") from error
