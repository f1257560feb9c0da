"""Our own verdict on a machine's evidence: authenticity under pinned roots, then policy by typed reference values."""

from attestation.appraisal.advisories import Acceptance, AdvisoryFinding, Product
from attestation.appraisal.appraise import appraise
from attestation.appraisal.azure import IdKey, Mrtd, VtpmRoot
from attestation.appraisal.boot_image import BootImage, image_of, verity_roots
from attestation.appraisal.boot_state import BootState
from attestation.appraisal.proven_time import ProvenTime, latest_proven, shown_later
from attestation.appraisal.reference import (
    MaaEnclave,
    ReferenceValues,
    TcbFloor,
    TcbStatus,
    check_reference,
    review_of,
)
from attestation.appraisal.timestamp import TimestampRoot, check_timestamp, timestamp_request
from attestation.appraisal.verdict import Verdict

__all__ = [
    "Acceptance",
    "AdvisoryFinding",
    "BootImage",
    "BootState",
    "IdKey",
    "MaaEnclave",
    "Mrtd",
    "Product",
    "ProvenTime",
    "ReferenceValues",
    "TcbFloor",
    "TcbStatus",
    "TimestampRoot",
    "Verdict",
    "VtpmRoot",
    "appraise",
    "check_reference",
    "check_timestamp",
    "image_of",
    "latest_proven",
    "review_of",
    "shown_later",
    "timestamp_request",
    "verity_roots",
]
