"""An appraisal as an attestation result of the RATS working group: draft-ietf-rats-ear-04, unsigned JSON claims.

The trustworthiness vector has the claims and values of AR4SI (draft-ietf-rats-ar4si): 0 none, 2 affirming, 32 warning.
A claim is affirmed only if a reference value was pinned for it, or hardware shows it. A refusal has no vector, because
it does not show which part of the evidence is sound. `cji.checks` are our numbered checks.
"""

import hashlib
from typing import Any, Final

import msgspec

from cji_attestation.appraisal import ReferenceValues, Verdict
from cji_attestation.checks import Check, Skipped
from cji_attestation.errors import AttestationError
from cji_attestation.verbs.evidence_file import AppraisedFile, RefusedEvidence
from cji_core.manifest import VERSION

PROFILE: Final = "tag:ietf.org,2026:rats/ear#04"
_SUBMODULE: Final = "machine"
_AFFIRMING: Final = 2
_WARNING: Final = 32
_NONE: Final = 0
_BOOT: Final = frozenset({4, 8, 9, 11})
"""PCRs of which one at least covers the kernel, whichever way a machine boots."""


def accepted_result(found: AppraisedFile, reference: ReferenceValues, *, carried: bytes) -> dict[str, Any]:
    """The claims about evidence that was accepted; `carried` is the qualifying data of its quote."""
    vector = _vector(found.verdict, reference)
    status = "warning" if _WARNING in vector.values() else "affirming"
    return _result(
        int(found.now.timestamp()),
        status,
        reference,
        eat_nonce=carried.hex(),
        vector={"ear_trustworthiness_vector": vector},
        checks=found.checks,
    )


def refused_result(refused: RefusedEvidence, reference: ReferenceValues, *, at: int) -> dict[str, Any]:
    """The claims about evidence that was refused at `at`, seconds since 1970."""
    error: AttestationError = refused.error
    failed = [
        {"id": one.id, "result": "failed", "found": one.found, "expected": one.expected} for one in error.failures
    ]
    return _result(at, "contraindicated", reference, checks=error.passed, failed=failed)


def _vector(verdict: Verdict, reference: ReferenceValues) -> dict[str, int]:
    image = reference.boot_images is not None
    return {
        "hardware": _WARNING if verdict.accepted else _AFFIRMING,
        "runtime-opaque": _AFFIRMING,  # memory is encrypted by the processor
        "executables": _AFFIRMING if image or _BOOT & set(reference.pcrs) else _NONE,
        "configuration": _AFFIRMING if image or {7, 12} & set(reference.pcrs) else _NONE,
    }


def _result(
    at: int,
    status: str,
    reference: ReferenceValues,
    *,
    checks: tuple[Check, ...],
    failed: list[dict[str, str]] | None = None,
    vector: dict[str, Any] | None = None,
    **claims: str,
) -> dict[str, Any]:
    policy = hashlib.sha384(
        msgspec.json.encode(msgspec.to_builtins(reference, str_keys=True), order="sorted")
    ).hexdigest()
    passed = [
        {"id": one.id, "result": "skipped" if isinstance(one, Skipped) else "passed", "found": one.finding}
        for one in checks
    ]
    return {
        "eat_profile": PROFILE,
        "iat": at,
        **claims,
        "ear_verifier_id": {"developer": "cji-worker", "build": VERSION},
        "submods": {
            _SUBMODULE: {
                "ear_status": status,
                **(vector or {}),
                "ear_appraisal_policy_ids": [f"sha384:{policy}"],
                "cji.checks": [*passed, *(failed or [])],
            }
        },
    }
