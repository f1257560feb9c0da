"""Our own verdict on a machine's evidence, against pinned roots and typed reference values."""

from attestation.appraisal.appraise import appraise
from attestation.appraisal.checks import CHECKS
from attestation.appraisal.reference import Product, ReferenceValues, TcbFloor, TcbStatus, check_reference
from attestation.appraisal.verdict import Verdict

__all__ = [
    "CHECKS",
    "Product",
    "ReferenceValues",
    "TcbFloor",
    "TcbStatus",
    "Verdict",
    "appraise",
    "check_reference",
]
