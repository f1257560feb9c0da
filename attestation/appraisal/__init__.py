"""Our own verdict on a machine's evidence, against pinned roots and typed reference values."""

from attestation.appraisal.appraise import appraise
from attestation.appraisal.reference import Product, ReferenceValues, TcbFloor, check_reference
from attestation.appraisal.verdict import Verdict

__all__ = ["Product", "ReferenceValues", "TcbFloor", "Verdict", "appraise", "check_reference"]
