"""The sealed job's cryptography: one suite, no negotiation.

* `floe` seals and unseals data streams (FLOE: AES-256-GCM + HKDF-Expand-SHA-384 in segments).
* `keywrap` moves data keys under RSA-OAEP-256.
* `signature` binds header bytes to a submitter (ES384).

Nothing here parses headers or performs I/O. docs/format.md is the specification.
"""

from worker.envelope.floe import FLOE_HEADER_BYTES, OVERHEAD_BYTES, SEGMENT_BYTES, Sealer, Unsealer
from worker.envelope.keywrap import (
    DEK_BYTES,
    PROJECT_KEY_BYTES,
    unwrap_dek,
    unwrap_project_key,
    wrap_dek,
    wrap_project_key,
)
from worker.envelope.signature import sha384, sign_header, verify_header

__all__ = [
    "DEK_BYTES",
    "FLOE_HEADER_BYTES",
    "OVERHEAD_BYTES",
    "PROJECT_KEY_BYTES",
    "SEGMENT_BYTES",
    "Sealer",
    "Unsealer",
    "input_aad",
    "output_aad",
    "sha384",
    "sign_header",
    "unwrap_dek",
    "unwrap_project_key",
    "verify_header",
    "wrap_dek",
    "wrap_project_key",
]


def input_aad(header_sha384: bytes, part: int) -> bytes:
    """AAD for input part `part` of the job whose header bytes have this SHA-384."""
    return b"cji-part/1\0" + header_sha384 + part.to_bytes(4, "big")


def output_aad(result_header_sha384: bytes, part: int) -> bytes:
    """AAD for output part `part` of the result whose header bytes have this SHA-384."""
    return b"cji-result/1\0" + result_header_sha384 + part.to_bytes(4, "big")
