"""Evidence in a file: read, appraised, and compared with that of other machines. Uses no network.

The file is the evidence.json of `cji job run`, which states its own nonce and receipt key, or a bare bundle
(`cji_attestation.evidence.Evidence`), for which the caller states the data that its quote must carry.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cji_attestation import AttestationError, Fault, Trust
from cji_attestation.appraisal import BootImage, BootState, ReferenceValues, Verdict, appraise, image_of
from cji_attestation.attested import read_evidence
from cji_attestation.checks import Check, remedy, requirement
from cji_attestation.checks import Failure as FailedCheck
from cji_attestation.evidence import Evidence, parse_attest
from cji_attestation.evidence.foreign import looks_like
from cji_attestation.evidence_file import MAX_FILE_BYTES, decode_evidence
from cji_attestation.evidence_file import EvidenceFile as Answer
from cji_attestation.strict import parse_object
from cji_attestation.times import bundle_time, stated_time, this_moment
from cji_core.command.common import Failure
from cji_core.errors import SpecError, Unverified


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFile:
    """A bundle and, where `cji job run` wrote it, what stands around it. `data` is the whole file."""

    wrapper: Answer | None
    bundle: Evidence
    data: bytes

    def cloud(self, default: str) -> str:
        """Whose roots it was accepted under, as it says itself."""
        return default if self.wrapper is None else self.wrapper.cloud


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisedFile:
    """A verdict, with the roots and the time it was reached at.

    `checks` are those on time, evidence and, for a file of a job, its token; `unchecked` is what they do not show.
    """

    verdict: Verdict
    roots: str
    now: datetime
    checks: tuple[Check, ...]
    unchecked: tuple[Check, ...]


class RefusedEvidence(Failure):
    """The evidence failed at least one check; `error` has each of them, and those that passed before."""

    def __init__(self, error: AttestationError) -> None:
        self.error = error
        required = requirement(error.check)
        message = f"refused at {error.check}: {required}" if required else f"refused at {error.check}"
        rows = [row for failure in error.failures for row in _rows(failure, error)]
        passed = [f"passed before: {' '.join(check.id for check in error.passed)}"] if error.passed else []
        unusable = error.fault is Fault.CONFIG_INVALID
        super().__init__("\n".join((message, *rows, *passed)), remedy="", status=2 if unusable else 3)

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "accepted": False,
            "check": self.error.check,
            "requires": requirement(self.error.check),
            "remedy": self.error.remedy,
            "failures": [
                {
                    "id": failure.id,
                    "requires": requirement(failure.id),
                    "found": failure.found,
                    "expected": failure.expected,
                    "remedy": remedy(failure.id) or self.error.remedy,
                }
                for failure in self.error.failures
            ],
            "passed": [{"id": check.id, "found": check.finding} for check in self.error.passed],
        }


def _rows(failure: FailedCheck, error: AttestationError) -> Iterator[str]:
    yield f"  {failure.id}  {requirement(failure.id)}"
    if failure.found:
        yield f"       found     {failure.found}"
    if failure.expected != requirement(failure.id):
        yield f"       expected  {failure.expected}"
    yield f"       {remedy(failure.id) or error.remedy}"


def read_file(file: Path) -> EvidenceFile:
    """Read a file of either kind; Failure 2 for any other, with the name of what it looks like."""
    data = file.read_bytes()
    try:
        found = parse_object(data, limit=MAX_FILE_BYTES, fault=Fault.EVIDENCE_INVALID, check="evidence-json")
        if "hcl_report" in found:
            bundle = Evidence.from_json(data.rstrip(b"\n"), imported=True)
            return EvidenceFile(wrapper=None, bundle=bundle, data=data)
        wrapper = decode_evidence(data)
        return EvidenceFile(wrapper=wrapper, bundle=Evidence.from_json(wrapper.evidence), data=data)
    except (AttestationError, SpecError) as error:
        remedy = "Give the evidence.json of `cji job run`, or a bundle of `cji evidence collect` or `import`."
        looks = looks_like(data)
        message = f"{file.name} holds no evidence" + (f": it looks like {looks}" if looks else "")
        raise Failure(message, remedy=remedy, status=2) from error


def appraise_file(
    file: EvidenceFile,
    *,
    trust: Trust,
    reference: ReferenceValues,
    expected: Callable[[], bytes],
    at: datetime | None = None,
    timestamp: bytes = b"",
    unknown_paravisor: bool = False,
) -> AppraisedFile:
    """Appraise at `at`, else at the latest time that the file proves; RefusedEvidence has the checks that failed.

    `expected` returns the qualifying data that the quote of a bare bundle must carry. It is a bundle's caller who knows
    its time: by a `timestamp`, or because the bundle answers the caller now. A bare bundle has no token: if neither
    MRTD nor a certificate of the AK shows whose paravisor it is, it is refused at E40 unless `unknown_paravisor`.
    """
    try:
        if file.wrapper is None:
            if timestamp and at is None:
                time = bundle_time(file.bundle.to_json(), timestamp, reference=reference)
            else:
                time = this_moment() if at is None else stated_time(at, "the caller's word")
            verdict = appraise(
                file.bundle,
                trust=trust,
                reference=reference,
                expected_qualifying_data=expected(),
                start=None,
                now=time.time.at,
            )
            if not unknown_paravisor:
                _require_paravisor(verdict)
            checks = (*time.checks, *verdict.checks)
            return AppraisedFile(
                verdict=verdict, roots=trust.name, now=time.time.at, checks=checks, unchecked=verdict.skipped
            )
        found = read_evidence(file.data, trust=trust, reference=reference, at=at)
        return AppraisedFile(
            verdict=found.verdict, roots=trust.name, now=found.time.at, checks=found.checks, unchecked=found.unchecked
        )
    except AttestationError as error:
        raise RefusedEvidence(error) from error
    except Unverified as error:
        if isinstance(error.__cause__, AttestationError):
            raise RefusedEvidence(error.__cause__) from error
        raise


def _require_paravisor(verdict: Verdict) -> None:
    if {"E40", "E44"} <= {check.id for check in verdict.skipped}:
        refusal = AttestationError(
            Fault.POLICY_MISMATCH,
            check="E40",
            found=f"MRTD {verdict.measurement.hex()}, which is not known, and neither token nor AK certificate",
            expected="a known MRTD, a token or an AK certificate; --unknown-paravisor accepts it",
        )
        refusal.passed = verdict.checks
        raise refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """The boots of machines that pass the appraisal: values of PCRs, each once, in the order of the files.

    `images` are the unified kernel images among them, `boots` each machine's events, `chips` their processors.
    """

    pcrs: dict[int, tuple[bytes, ...]]
    images: tuple[BootImage, ...]
    boots: tuple[BootState, ...]
    chips: tuple[str, ...]


def golden(
    files: Iterable[Path],
    *,
    trust_of: Callable[[str], Trust],
    cloud: str,
    reference: ReferenceValues,
    unknown_paravisor: bool = False,
) -> Golden:
    """Appraise each file, and collect what it booted.

    What a quote carries does not matter here: a golden machine's boot is looked at, not its freshness.
    """
    found: dict[int, dict[bytes, None]] = {}
    boots: list[BootState] = []
    chips: dict[str, None] = {}
    for path in files:
        file = read_file(path)
        verdict = appraise_file(
            file,
            trust=trust_of(file.cloud(cloud)),
            reference=reference,
            expected=lambda: _carried(file.bundle),  # noqa: B023
            unknown_paravisor=unknown_paravisor,
        ).verdict
        chips[verdict.chip_id.hex()] = None
        if verdict.boot is not None:
            boots.append(verdict.boot)
        for pcr, value in enumerate(verdict.boot.pcrs if verdict.boot else verdict.pcrs):
            found.setdefault(pcr, {})[value] = None
    images = [image for image in map(image_of, boots) if image is not None]
    return Golden(
        pcrs={pcr: tuple(values) for pcr, values in found.items()},
        images=tuple(one for number, one in enumerate(images) if one not in images[:number]),
        boots=tuple(boots),
        chips=tuple(chips),
    )


def _carried(bundle: Evidence) -> bytes:
    return parse_attest(bundle.quote).extra_data
