"""Evidence of the session's machine: a report with other fields, and a refusal by one check."""

from typing import Any

import msgspec

from cji_attestation import Fault
from cji_attestation.appraisal import ReferenceValues
from cji_attestation.evidence import Evidence
from tests.support.forge import decided, machine
from tests.support.refusals import rejected

__all__ = ["allowing", "refused", "with_report"]


def refused(evidence: Evidence, check: str, fault: Fault = Fault.EVIDENCE_INVALID, **kw: Any) -> None:
    with rejected(check, fault=fault):
        machine().appraise(evidence, **kw)


def with_report(**fields: Any) -> Evidence:
    m = machine()
    return m.evidence(report=m.report(m.claims(), **fields))


def allowing(**values: Any) -> ReferenceValues:
    """The machine's reference values with other ones for the key that signs its paravisor."""
    (signer,) = decided().id_keys
    return decided(id_keys=(msgspec.structs.replace(signer, **values),))
