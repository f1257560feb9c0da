"""Evidence of the session's machine: a report with other fields, and a refusal by one check."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from cji_simulator.reference import toml

from attestation import Fault
from attestation.appraisal import ReferenceValues
from attestation.evidence import Evidence
from tests.support.forge import machine
from tests.support.refusals import rejected

__all__ = ["allowing", "profile_file", "refused", "with_report"]


def refused(evidence: Evidence, check: str, fault: Fault = Fault.EVIDENCE_INVALID, **kw: Any) -> None:
    with rejected(check, fault=fault):
        machine().appraise(evidence, **kw)


def with_report(**fields: Any) -> Evidence:
    m = machine()
    return m.evidence(report=m.report(m.claims(), **fields))


def allowing(**values: Any) -> ReferenceValues:
    """The machine's reference values with other ones for the key that signs its paravisor."""
    (signer,) = machine().reference.id_keys
    return machine().reference_with(id_keys=(msgspec.structs.replace(signer, **values),))


@functools.cache
def profile_file() -> Path:
    """A client.toml whose reference values are the machine's."""
    names = ("target", "cloud", "maa_url", "ca", "certificate", "private_key", "signing_key")
    lines = [f'{name} = "-"' for name in names]
    path = Path(tempfile.mkdtemp()) / "client.toml"
    path.write_text("\n".join([*lines, "[reference]", toml(machine().reference, "reference")]))
    return path
