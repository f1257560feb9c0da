"""Reference values from a CoRIM (draft-ietf-rats-corim-11), for an operator to review and pin.

`document` reads the envelope, its signature and its tags; `snp` and `intel` read one profile each; `values` has the
typed reference values that both lead to. Everything that this reader does not understand is refused by its name: what
a document says and nobody reads could have been a condition.
"""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from typing import Final, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.appraisal.corim import intel, snp
from cji_attestation.appraisal.corim.document import MAX_CORIM_BYTES, Triple, read_document
from cji_attestation.appraisal.corim.refusal import refused
from cji_attestation.appraisal.corim.values import CorimValues, Stated, merged

__all__ = ["MAX_CORIM_BYTES", "CorimValues", "read_corim"]


class _Reader(Protocol):
    def __call__(self, triple: Triple, *, source: str, seen: date) -> Stated: ...


_PROFILES: Final[Mapping[str, _Reader]] = {snp.PROFILE: snp.read_snp, intel.PROFILE: intel.read_intel}


def read_corim(data: bytes, *, key: ec.EllipticCurvePublicKey | None, now: datetime) -> CorimValues:
    """The values of a CoRIM in force at `now`, signed by `key` (P-256 or P-384) or, without one, not signed at all.

    CONFIG_INVALID "corim" names what is not understood, "corim-signature" stands for a signature of another key.
    """
    document = read_document(data, key=key, now=now)
    reader = _PROFILES.get(document.profile)
    if reader is None:
        raise refused(f"profile {document.profile}")
    source = f"CoRIM {document.id}" + (f", signed by {document.signer}" if document.signer else ", not signed")
    found = merged(reader(triple, source=source, seen=now.date()) for triple in document.triples)
    stated = msgspec.structs.asdict(found)
    return CorimValues(
        **stated | {"left_out": (*document.left_out, *found.left_out)},
        id=document.id,
        profile=document.profile,
        signer=document.signer,
        sha384=hashlib.sha384(data).digest(),
        begins=document.begins,
        ends=document.ends,
    )
