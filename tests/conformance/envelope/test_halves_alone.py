"""What the P-384 key of a pair signs in one suite is nothing in the other: the prefix of M' separates them."""

import base64
import json
from collections.abc import Callable
from hashlib import sha512
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import load_der_private_key

from cji_core.errors import Refusal
from cji_core.format.envelope import verify_header
from cji_core.format.envelope.admission import admission_message
from cji_core.format.envelope.signature import sha384, to_be_signed
from cji_core.jose import (
    ML_DSA_SIGNATURE_BYTES,
    es384_sign,
    es384_verify,
    parse_verifying,
    thumbprint,
    verify,
)
from cji_core.pairs import VerifyingPair
from cji_core.strict import b64url_decode
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


def _receipt() -> tuple[VerifyingPair, bytes, bytes]:
    signing_input, _, signature = VECTOR["receipt"].rpartition(".")
    return parse_verifying(VECTOR["receipt_jwk"]), signing_input.encode(), b64url_decode(signature)  # type: ignore[return-value]


def _admission() -> tuple[VerifyingPair, bytes, bytes]:
    given = VECTOR["admission"]
    message = admission_message(
        nonce=bytes.fromhex(given["nonce"]),
        receipt_key=thumbprint(parse_verifying(VECTOR["receipt_jwk"])),
        header_sha384=sha384(HEADER),
        attempt=given["attempt"],
    )
    return parse_verifying(given["send_jwk"]), message, bytes.fromhex(given["signature"])  # type: ignore[return-value]


@pytest.mark.parametrize(
    "of",
    [lambda: (PAIR, to_be_signed(HEADER), SIGNATURE), _admission, _receipt],
    ids=["header", "admission", "receipt"],
)
def test_a_published_half_is_a_signature_of_nothing_alone(of: Callable[[], tuple[VerifyingPair, bytes, bytes]]) -> None:
    pair, message, signature = of()
    verify(pair, signature, message, Suite.HYBRID_1)
    half = signature[ML_DSA_SIGNATURE_BYTES:]
    r, s = decode_dss_signature(half)
    alone = r.to_bytes(48, "big") + s.to_bytes(48, "big")
    prepared = b"CompositeAlgorithmSignatures2025COMPSIG-MLDSA87-ECDSA-P384-SHA512\0" + sha512(message).digest()
    pair.p384.verify(half, prepared, ec.ECDSA(SHA384()))  # it is one of these bytes, which nothing takes for a message
    for claimed in (message, prepared):
        with pytest.raises(InvalidSignature):
            es384_verify(pair.p384, alone, claimed)
    with pytest.raises(InvalidSignature):
        verify(pair, signature, prepared, Suite.HYBRID_1)
