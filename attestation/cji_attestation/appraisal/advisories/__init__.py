"""Advisories of the processor vendors: what is fixed, open or cannot be shown on a machine, and who accepted it.

`table` has the rows, `evaluate` compares a report with them, `acceptance` is the signed decision to use a machine
anyway, `review` reads what an operator signed, `cve` compares the rows with CVE records.
"""

from cji_attestation.appraisal.advisories.acceptance import Acceptance, Scope, accepted, why_not
from cji_attestation.appraisal.advisories.evaluate import (
    SETTLED,
    AdvisoryFinding,
    Shown,
    State,
    evaluate,
    evaluate_domain,
)
from cji_attestation.appraisal.advisories.products import (
    PRODUCT_OF,
    Cpuid,
    Product,
    Stepping,
    kind_of,
    product_of_cpuid,
)
from cji_attestation.appraisal.advisories.review import (
    MOST_ACCEPTANCES,
    Review,
    read_acceptance,
    read_review,
    read_table,
    sign_acceptance,
    sign_table,
)
from cji_attestation.appraisal.advisories.signed import signer_key
from cji_attestation.appraisal.advisories.table import (
    ALIASES,
    SHIPPED,
    SHIPPED_FILE,
    Advisory,
    AdvisoryTable,
    Fix,
    sound_table,
)

__all__ = [
    "ALIASES",
    "MOST_ACCEPTANCES",
    "PRODUCT_OF",
    "SETTLED",
    "SHIPPED",
    "SHIPPED_FILE",
    "Acceptance",
    "Advisory",
    "AdvisoryFinding",
    "AdvisoryTable",
    "Cpuid",
    "Fix",
    "Product",
    "Review",
    "Scope",
    "Shown",
    "State",
    "Stepping",
    "accepted",
    "evaluate",
    "evaluate_domain",
    "kind_of",
    "product_of_cpuid",
    "read_acceptance",
    "read_review",
    "read_table",
    "sign_acceptance",
    "sign_table",
    "signer_key",
    "sound_table",
    "why_not",
]
