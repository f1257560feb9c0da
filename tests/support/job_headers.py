"""Well-formed job headers for tests, each field of which can be another."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import rsa

from cji_core.format.job import InputPart, JobId, Recipient, new_header
from cji_core.jose import key_id
from cji_core.wire.v1 import worker_pb2

__all__ = ["NOW", "OPERATION", "OURS", "THEIRS", "make"]

NOW = datetime(2026, 11, 24, 15, 0, 0, tzinfo=UTC)


def _recipient(number: int) -> Recipient:
    """A public modulus that nobody has the factors of."""
    key = rsa.RSAPublicNumbers(65537, (1 << 3071) + 2 * number + 1).public_key()
    n = urlsafe_b64encode(key.public_numbers().n.to_bytes(384, "big")).rstrip(b"=").decode()
    return Recipient(key_id=key_id(key), jwk=json.dumps({"kty": "RSA", "n": n, "e": "AQAB"}))


OURS, THEIRS = _recipient(1), _recipient(2)
OPERATION = worker_pb2.Operation(
    deidentify=worker_pb2.Deidentify(columns=[worker_pb2.ColumnRule(column="DOB", keep=worker_pb2.Keep())])
)


def make(**changes: object) -> bytes:
    """The bytes of a header made at `NOW`, with these arguments of `new_header` instead."""
    values = {
        "job_id": JobId(b"j" * 16),
        "audience": "pool-1",
        "originating_ori": "WI0130000",
        "requesting_ori": "WI0130000",
        "sealed_attribution": bytes(256 + 12 + 16),
        "submitter": b"s" * 32,
        "purpose_code": "C",
        "inputs": [InputPart(name="people", schema="person/1")],
        "operations": [OPERATION],
        "kek_id": "https://v.vault.azure.net/keys/cmk/" + "ab" * 16,
        "wrapped_dek": b"\x07" * 384,
        "recipients": [OURS],
        "created": NOW,
        "not_after": NOW + timedelta(hours=1),
        **changes,
    }
    return new_header(**values)  # type: ignore[arg-type]
