"""Reference values from a CoRIM (draft-ietf-rats-corim-11), for an operator to review and pin.

`document` reads the envelope, its signature and its tags; `snp` and `intel` read one profile each; `values` has the
typed reference values that both lead to. Everything that this reader does not understand is refused by its name: what
a document says and nobody reads could have been a condition.
"""

from cji_attestation.appraisal.corim.document import MAX_CORIM_BYTES
from cji_attestation.appraisal.corim.read import read_corim
from cji_attestation.appraisal.corim.values import CorimValues

__all__ = ["MAX_CORIM_BYTES", "CorimValues", "read_corim"]
