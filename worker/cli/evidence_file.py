"""Evidence in a file: read, judged, and compared with that of other machines. Uses no network.

The file is the evidence.json of `cji job run`, which states its own time, nonce and receipt key, or a bare bundle
(`attestation.evidence.Evidence`), for which the caller says what its quote must carry.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from attestation import AttestationError, Fault, Trust
from attestation.appraisal import CHECKS, ReferenceValues, Verdict, appraise
from attestation.errors import CHECK_REMEDIES
from attestation.evidence import Evidence, parse_attest
from attestation.strict_json import parse_object
from worker.cli.common import Failure
from worker.client import Unverified
from worker.client.attested import read_evidence

__all__ = ["EvidenceFile", "Judged", "RefusedEvidence", "golden_pcrs", "judge", "read_file"]

_MAX_FILE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFile:
    """A bundle and, where `cji job run` wrote it, what stands around it."""

    wrapper: dict[str, Any] | None
    bundle: Evidence

    def cloud(self, default: str) -> str:
        """Whose roots it was accepted under, as it says itself."""
        return default if self.wrapper is None else str(self.wrapper.get("cloud"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A verdict, under which roots and at what time."""

    verdict: Verdict
    roots: str
    now: datetime


class RefusedEvidence(Failure):
    """The evidence did not pass `check`; `demand` is what that asks, where it is a check of the appraisal."""

    def __init__(self, check: str, remedy: str, *, unusable: bool = False) -> None:
        self.check, self.remedy, self.demand = check, CHECK_REMEDIES.get(check, remedy), CHECKS.get(check, "")
        message = f"refused at {check}: {self.demand}" if self.demand else f"refused at {check}"
        super().__init__(message, remedy=self.remedy, status=2 if unusable else 3)


def read_file(file: Path) -> EvidenceFile:
    """Read a file of either kind; Failure 2 for any other."""
    data = file.read_bytes()
    try:
        found = parse_object(data, limit=_MAX_FILE_BYTES, fault=Fault.EVIDENCE_INVALID, check="evidence-json")
        if "hcl_report" in found:
            return EvidenceFile(wrapper=None, bundle=Evidence.from_json(data.rstrip(b"\n")))
        return EvidenceFile(wrapper=found, bundle=Evidence.from_json(_base64(found.get("evidence"))))
    except AttestationError as error:
        remedy = "Give the evidence.json of `cji job run`, or a bundle as the worker's Attest call returns it."
        raise Failure(f"{file.name} holds no evidence", remedy=remedy, status=2) from error


def judge(
    file: EvidenceFile,
    *,
    trust: Trust,
    reference: ReferenceValues,
    asked: Callable[[], bytes],
    at: datetime | None = None,
) -> Judged:
    """Appraise at `at`, else at the file's own time, else now; RefusedEvidence names the check that failed.

    `asked` says what the quote of a bare bundle must carry.
    """
    try:
        if file.wrapper is None:
            now = at or datetime.now(UTC)
            verdict = appraise(file.bundle, trust=trust, reference=reference, expected_qualifying=asked(), now=now)
            return Judged(verdict=verdict, roots=trust.name, now=now)
        stated = file.wrapper if at is None else file.wrapper | {"attested_at": at.isoformat()}
        found = read_evidence(json.dumps(stated).encode(), trust=trust, reference=reference)
        return Judged(verdict=found.verdict, roots=trust.name, now=found.attested_at)
    except AttestationError as error:
        raise RefusedEvidence(error.check, error.remedy, unusable=error.fault is Fault.CONFIG_INVALID) from error
    except Unverified as error:
        raise RefusedEvidence(error.check.removeprefix("attestation "), str(error)) from error


def golden_pcrs(
    files: Iterable[Path], *, trust_of: Callable[[str], Trust], cloud: str, reference: ReferenceValues
) -> dict[int, tuple[bytes, ...]]:
    """The values of PCRs 0-7 on machines that pass the appraisal, each value once, in the order of the files.

    What a quote carries does not matter here: a golden machine's boot is looked at, not its freshness.
    """
    found: dict[int, dict[bytes, None]] = {}
    for path in files:
        file = read_file(path)
        verdict = judge(
            file,
            trust=trust_of(file.cloud(cloud)),
            reference=reference,
            asked=lambda: _carried(file.bundle),  # noqa: B023
        ).verdict
        for pcr, value in enumerate(verdict.pcrs):
            found.setdefault(pcr, {})[value] = None
    return {pcr: tuple(values) for pcr, values in found.items()}


def _carried(bundle: Evidence) -> bytes:
    return parse_attest(bundle.quote).extra_data


def _base64(text: object) -> bytes:
    try:
        return msgspec.convert(text, bytes) if isinstance(text, str) else b""
    except msgspec.ValidationError as error:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="evidence-json") from error
