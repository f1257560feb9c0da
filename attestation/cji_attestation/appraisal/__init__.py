"""Our own verdict on a machine's evidence: authenticity under pinned roots, then policy by typed reference values."""

from cji_attestation.appraisal.advisories import Product
from cji_attestation.appraisal.appraise import appraise
from cji_attestation.appraisal.azure import IdKey, Mrtd, VtpmRoot
from cji_attestation.appraisal.boot_image import BootImage, image_of, verity_roots
from cji_attestation.appraisal.boot_state import BootState
from cji_attestation.appraisal.proven_time import ProvenTime, latest_proven, shown_later
from cji_attestation.appraisal.reference import (
    MaaEnclave,
    ReferenceValues,
    TcbFloor,
    TcbStatus,
    check_reference,
    review_of,
)
from cji_attestation.appraisal.timestamp import TimestampRoot, check_timestamp, timestamp_request
from cji_attestation.appraisal.verdict import Verdict

__all__ = [
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
