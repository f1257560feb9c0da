"""What the P-384 key of a pair signs in one suite is nothing in the other: the prefix of M' separates them."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_private_key

from cji_core.errors import Refusal
from cji_core.format.envelope import verify_header
from cji_core.format.envelope.signature import to_be_signed
from cji_core.jose import ML_DSA_SIGNATURE_BYTES, es384_sign, parse_verifying
from cji_core.suites import Suite
from tests.support.paths import ROOT

VECTOR: dict[str, Any] = json.loads((ROOT / "docs" / "vectors" / "hybrid-1.json").read_text())
HEADER, SIGNATURE = bytes.fromhex(VECTOR["header"]), bytes.fromhex(VECTOR["signature"])
PAIR = parse_verifying(VECTOR["submitter"]["jwk"])


def p384_of_the_pair() -> ec.EllipticCurvePrivateKey:
    keys = [load_der_private_key(base64.b64decode(text), None) for text in VECTOR["submitter"]["private"]]
    (key,) = (one for one in keys if isinstance(one, ec.EllipticCurvePrivateKey))
    return key


def test_half_of_a_composite_is_no_classical_signature() -> None:
    verify_header(PAIR, HEADER, SIGNATURE, Suite.HYBRID_1)
    r, s = decode_dss_signature(SIGNATURE[ML_DSA_SIGNATURE_BYTES:])
    alone = r.to_bytes(48, "big") + s.to_bytes(48, "big")
    with pytest.raises(Refusal, match="HEADER_SIGNATURE_INVALID"):
        verify_header(PAIR, HEADER, alone, Suite.CLASSICAL_1)


def test_a_classical_signature_is_no_half_of_a_composite() -> None:
    raw = es384_sign(p384_of_the_pair(), to_be_signed(HEADER))
    verify_header(PAIR, HEADER, raw, Suite.CLASSICAL_1)
    half = encode_dss_signature(int.from_bytes(raw[:48], "big"), int.from_bytes(raw[48:], "big"))
    for joined in (SIGNATURE[:ML_DSA_SIGNATURE_BYTES] + half, SIGNATURE[:ML_DSA_SIGNATURE_BYTES] + raw):
        with pytest.raises(Refusal, match="HEADER_SIGNATURE_INVALID"):
            verify_header(PAIR, HEADER, joined, Suite.HYBRID_1)


def test_no_classical_message_begins_as_a_composite_one() -> None:
    for start in (to_be_signed(HEADER), VECTOR["receipt"].encode()):
        assert not start.startswith(b"CompositeAlgorithmSignatures2025")
