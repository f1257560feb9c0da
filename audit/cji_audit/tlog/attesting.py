"""From an evidence file to the binding of its receipt key: the whole appraisal, by the log's own reference values."""

import hashlib
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_attestation import Trust
from cji_attestation.appraisal import ReferenceValues
from cji_attestation.attested import evidence_cloud, read_evidence
from cji_core.errors import ClientError
from cji_core.jose import canonical_jwk
from cji_core.pairs import VerifyingPair
from cji_core.tlog.leaves import KeyBinding, LeafError, sha384
from cji_core.trail.fields import TpmClock


def appraiser(trusts: Mapping[str, Trust], reference: ReferenceValues) -> Callable[[bytes], KeyBinding]:
    """Appraise evidence under these roots and values."""

    def appraise(file: bytes) -> KeyBinding:
        try:
            trust = trusts.get(evidence_cloud(file))
            if trust is None:
                raise LeafError("evidence", "it is of a cloud whose roots this log does not accept")
            found = read_evidence(file, trust=trust, reference=reference)
        except ClientError as error:
            raise LeafError("evidence", str(error)) from error
        key, clock = found.receipt_key, found.verdict.clock
        spki = found.verdict.ak.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return KeyBinding(
            receipt_jwk=canonical_jwk(key.p384 if isinstance(key, VerifyingPair) else key),
            ak_sha256=hashlib.sha256(spki).hexdigest(),
            clock=TpmClock(clock=clock.clock, reset_count=clock.reset_count, restart_count=clock.restart_count),
            evidence_sha384=sha384(file),
            simulated=found.simulated,
        )

    return appraise
