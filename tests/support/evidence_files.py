"""evidence.json of the session's machine, as `cji job run` writes it. Whoever reads it uses no network."""

from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.evidence import maa_nonce, qualifying_data
from cji_core.jose import public_jwk, thumbprint
from cji_simulator.encoding import b64
from tests.support.boot_forge import with_boot
from tests.support.forge import ISSUER, NONCE, decided, machine

__all__ = ["evidence_file"]

_KEY = ec.derive_private_key(0xC11, ec.SECP384R1())
_TOKEN_NONCE = b"t" * 32


def evidence_file(**changes: Any) -> bytes:
    """A worker's evidence after its start, and its token with the evidence from before. `changes` replace members."""
    receipt_key = thumbprint(_KEY.public_key())
    before = qualifying_data(receipt_key, _TOKEN_NONCE)
    earlier = with_boot(start=b"", extra=before)
    claims = machine().token_claims(earlier)
    claims["x-ms-runtime"]["client-payload"]["nonce"] = b64(maa_nonce(before).encode())
    content = {
        "version": 6,
        "reference": msgspec.json.encode(decided()),
        "cloud": machine().trust.name,
        "attested_at": machine().now,
        "nonce": NONCE,
        "nonce_path": b"",
        "receipt_jwk": public_jwk(_KEY.public_key()),
        "evidence": with_boot(start=receipt_key, extra=qualifying_data(receipt_key, NONCE)).to_json(),
        "maa_token": machine().token(claims),
        "token_nonce": _TOKEN_NONCE,
        "token_evidence": earlier.to_json(),
        "maa_url": ISSUER,
        "jwks": machine().jwks(),
    }
    return msgspec.json.encode(content | changes)
