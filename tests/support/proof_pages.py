"""Pages of proofs: evidence of the session's machine, accepted and refused."""

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from cji_attestation.appraisal import ReferenceValues
from cji_attestation.verbs.evidence_file import read_file
from cji_attestation.verbs.evidence_proof import evidence_proof
from cji_attestation.verbs.evidence_rows import sections
from cji_attestation.verbs.proof_page import proof_page
from tests.support.evidence_files import evidence_file
from tests.support.forge import decided, machine


def proof_pages() -> dict[str, str]:
    """By name."""
    return {
        "proof": _page(decided(), machine().now),
        "refused_proof": _page(ReferenceValues(), None),
    }


def _page(reference: ReferenceValues, at: datetime | None) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "evidence.json"
        path.write_bytes(evidence_file())
        read = read_file(path)
    contents = sections(read.wrapper, read.bundle)
    found = evidence_proof(read, contents, trust=machine().trust, reference=reference, expected=bytes, at=at)
    return "".join(proof_page(found))
