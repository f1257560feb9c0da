"""A machine's evidence as a `Proof`: the verdict on it with every check, or each check that refused it."""

from collections.abc import Callable, Mapping
from datetime import datetime

from cji_attestation import Trust, is_production
from cji_attestation.appraisal import ReferenceValues, Verdict
from cji_attestation.checks import Failure, Skipped
from cji_attestation.verbs.advisory_rows import finding_text
from cji_attestation.verbs.evidence_file import AppraisedFile, EvidenceFile, RefusedEvidence, appraise_file
from cji_attestation.verbs.proof_page import Proof, Rows


def evidence_proof(
    read: EvidenceFile,
    contents: Mapping[str, Rows],
    *,
    trust: Trust,
    reference: ReferenceValues,
    expected: Callable[[], bytes],
    at: datetime | None,
    unknown_paravisor: bool = False,
) -> Proof:
    """Appraise the file as `appraise_file` does; one that is refused is a `Proof` of that."""
    simulated = not is_production(trust)
    try:
        found = appraise_file(
            read, trust=trust, reference=reference, expected=expected, at=at, unknown_paravisor=unknown_paravisor
        )
    except RefusedEvidence as refused:
        return _refused(refused, contents, roots=trust.name, simulated=simulated)
    unchecked = {check.id: check.finding for check in found.unchecked}
    return Proof(
        title="Evidence of a machine",
        outcome=f"Accepted, except {len(unchecked)} points" if unchecked else "Accepted",
        accepted=True,
        simulated=simulated,
        about=_about(found),
        passed=[check for check in found.checks if not isinstance(check, Skipped) and check.id not in unchecked],
        unchecked=unchecked,
        contents={**_advisories(found.verdict), **contents},
    )


def _about(found: AppraisedFile) -> dict[str, str]:
    verdict = found.verdict
    level = "" if verdict.vmpl is None else f", VMPL {verdict.vmpl}"
    return {
        "machine": f"{verdict.tee} {verdict.product}{level}",
        "roots": found.roots,
        "appraised at": found.now.isoformat(timespec="seconds"),
        "measurement": verdict.measurement.hex(),
        "VM": verdict.vm_unique_id,
        "accepted risks": ", ".join(verdict.accepted) or "none",
        "evidence (SHA-384)": verdict.evidence_sha384.hex(),
    }


def _advisories(verdict: Verdict) -> dict[str, Rows]:
    return (
        {"advisories, as appraised": [(one.id, finding_text(one)) for one in verdict.findings]}
        if verdict.findings
        else {}
    )


def _refused(refused: RefusedEvidence, contents: Mapping[str, Rows], *, roots: str, simulated: bool) -> Proof:
    error = refused.error
    return Proof(
        title="Evidence of a machine",
        outcome=f"Refused at {error.check}",
        accepted=False,
        simulated=simulated,
        about={"roots": roots, "failed checks": ", ".join(one.id for one in error.failures)},
        failed=error.failures or (Failure(error.check, "", error.remedy),),
        passed=[check for check in error.passed if not isinstance(check, Skipped)],
        unchecked={"the rest": "checks after the one that refused did not run"},
        contents=contents,
    )
