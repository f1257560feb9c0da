"""The sealed job's cryptography, in two suites, without negotiation.

* `floe` seals and unseals data streams (FLOE: AES-256-GCM + HKDF-Expand-SHA-384 in segments).
* `keywrap` moves data keys under RSA-OAEP-256, in hybrid-1 together with ML-KEM-1024, and small secrets under them.
* `shuffle` has the keys, names and padding of the streams between the tasks of a job in parts.
* `signature` binds header bytes to a submitter (ES384, in hybrid-1 together with ML-DSA-87).

Nothing here parses headers or performs I/O. docs/format.md is the specification.
"""

from cji_core.format.envelope.floe import FLOE_HEADER_BYTES, OVERHEAD_BYTES, SEGMENT_BYTES, Sealer, Unsealer
from cji_core.format.envelope.keywrap import (
    DEK_BYTES,
    PROJECT_KEY_BYTES,
    SEED_BYTES,
    UnwrappingKey,
    WrappingKey,
    new_dek,
    open_box,
    open_dek,
    seal_box,
    unwrap_dek,
    unwrap_project_key,
    unwrap_result_key,
    unwrap_seed,
    wrap_dek,
    wrap_project_key,
    wrap_result_key,
    wrap_seed,
    wrapped_result_key_bytes,
)
from cji_core.format.envelope.ledger_key import ledger_key
from cji_core.format.envelope.shuffle import (
    NO_PLAN,
    SHUFFLE_MIN_BYTES,
    SHUFFLE_SEGMENT_BYTES,
    bucket_key,
    open_result_key,
    padding,
    seal_result_key,
    shuffle_aad,
    shuffle_key,
    statement_key,
    statement_proof,
)
from cji_core.format.envelope.signature import (
    sha384,
    sign_header,
    signer_thumbprint,
    to_be_signed,
    verify_header,
    verify_submitter,
)

__all__ = [
    "ATTRIBUTION",
    "DEK_BYTES",
    "FLOE_HEADER_BYTES",
    "NO_PLAN",
    "OVERHEAD_BYTES",
    "PROJECT_KEY_BYTES",
    "SEED_BYTES",
    "SEGMENT_BYTES",
    "SHUFFLE_MIN_BYTES",
    "SHUFFLE_SEGMENT_BYTES",
    "Sealer",
    "Unsealer",
    "UnwrappingKey",
    "WrappingKey",
    "bucket_key",
    "input_aad",
    "ledger_key",
    "new_dek",
    "open_box",
    "open_dek",
    "open_result_key",
    "output_aad",
    "padding",
    "seal_box",
    "seal_result_key",
    "sha384",
    "shuffle_aad",
    "shuffle_key",
    "sign_header",
    "signer_thumbprint",
    "statement_key",
    "statement_proof",
    "to_be_signed",
    "unwrap_dek",
    "unwrap_project_key",
    "unwrap_result_key",
    "unwrap_seed",
    "verify_header",
    "verify_submitter",
    "wrap_dek",
    "wrap_project_key",
    "wrap_result_key",
    "wrap_seed",
    "wrapped_result_key_bytes",
]

ATTRIBUTION = b"attribution"
"""Purpose of the box with the header's attribution."""


def input_aad(header_sha384: bytes, part: int) -> bytes:
    """AAD for input part `part` of the job whose header bytes have this SHA-384."""
    return b"cji-part/1\0" + header_sha384 + part.to_bytes(4, "big")


def output_aad(result_header_sha384: bytes, part: int) -> bytes:
    """AAD for output part `part` of the result whose header bytes have this SHA-384."""
    return b"cji-result/1\0" + result_header_sha384 + part.to_bytes(4, "big")
