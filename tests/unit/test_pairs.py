"""Pairs of keys: both halves sign and both must verify; one JWK, one thumbprint; no half works in the other suite."""

import hashlib
import json

import pytest
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, mlkem
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from cji_core import jose
from cji_core.jose import (
    COMPOSITE_MAX_BYTES,
    ML_DSA_SIGNATURE_BYTES,
    es384_sign,
    key_id,
    parse_canonical_verifying,
    parse_encryption_pair,
    parse_ml_kem,
    parse_recipient,
    parse_verifying,
    public_jwk,
    sign,
    verify,
)
from cji_core.pairs import DecryptionPair, EncryptionPair, SigningPair, VerifyingPair, supported
from cji_core.strict import b64url
from cji_core.suites import Suite

CLASSICAL, HYBRID = Suite.CLASSICAL_1, Suite.HYBRID_1
PAIR, OTHER = SigningPair.generate(), SigningPair.generate()
PUBLIC = PAIR.public_key()
MESSAGE = b"message"
SIGNATURE = sign(PAIR, MESSAGE, HYBRID)
LABEL = b"COMPSIG-MLDSA87-ECDSA-P384-SHA512"
PREPARED = b"CompositeAlgorithmSignatures2025" + LABEL + b"\0" + hashlib.sha512(MESSAGE).digest()


def half(signature: bytes) -> tuple[bytes, bytes]:
    return signature[:ML_DSA_SIGNATURE_BYTES], signature[ML_DSA_SIGNATURE_BYTES:]


def test_a_signature_is_that_of_the_draft() -> None:
    """draft-ietf-lamps-pq-composite-sigs: ML-DSA with the label as its context, then ECDSA in DER, over the same M'."""
    ml_dsa, ecdsa = half(SIGNATURE)
    PUBLIC.ml_dsa.verify(ml_dsa, PREPARED, LABEL)
    PUBLIC.p384.verify(ecdsa, PREPARED, ec.ECDSA(SHA384()))
    verify(PUBLIC, SIGNATURE, MESSAGE, HYBRID)
    assert len(SIGNATURE) <= COMPOSITE_MAX_BYTES


def test_a_pair_signs_classical_jobs_with_its_p384_half() -> None:
    signature = sign(PAIR, MESSAGE, CLASSICAL)
    verify(PUBLIC, signature, MESSAGE, CLASSICAL)
    verify(PUBLIC.p384, signature, MESSAGE, CLASSICAL)
    assert len(signature) == 96


def test_x15_no_half_and_no_other_suite_verifies() -> None:
    ml_dsa, ecdsa = half(SIGNATURE)
    other_ml_dsa, other_ecdsa = half(sign(OTHER, MESSAGE, HYBRID))
    r, s = decode_dss_signature(ecdsa)
    raw = r.to_bytes(48, "big") + s.to_bytes(48, "big")
    long_r = b"\x30" + bytes([ecdsa[1] + 1, 2, ecdsa[3] + 1, 0]) + ecdsa[4:]  # one more zero: BER, not DER
    classical = sign(PAIR, MESSAGE, CLASSICAL)
    plain_dsa = PAIR.ml_dsa.sign(MESSAGE)
    no_context = PAIR.ml_dsa.sign(PREPARED)
    hybrid = [
        *(ml_dsa, ecdsa, b"", ecdsa + ml_dsa, ml_dsa + raw, ml_dsa + long_r, ml_dsa + ecdsa + b"\0"),
        *(ml_dsa + other_ecdsa, other_ml_dsa + ecdsa, bytes(len(ml_dsa)) + ecdsa, ml_dsa + bytes(len(ecdsa))),
        *(plain_dsa + ecdsa, no_context + ecdsa, classical, plain_dsa + classical, bytes(COMPOSITE_MAX_BYTES)),
        *(SIGNATURE[:-1], bytes([SIGNATURE[0] ^ 1]) + SIGNATURE[1:], SIGNATURE[:-1] + bytes([SIGNATURE[-1] ^ 1])),
    ]
    for signature in hybrid:
        with pytest.raises(InvalidSignature):
            verify(PUBLIC, signature, MESSAGE, HYBRID)
    for signature in (SIGNATURE, ecdsa, raw, ml_dsa[:96]):
        with pytest.raises(InvalidSignature):
            verify(PUBLIC, signature, MESSAGE, CLASSICAL)
    for key in (OTHER.public_key(), VerifyingPair(PUBLIC.ml_dsa, OTHER.p384.public_key()), PUBLIC.p384):
        with pytest.raises(InvalidSignature):
            verify(key, SIGNATURE, MESSAGE, HYBRID)
    with pytest.raises(InvalidSignature):
        verify(PUBLIC, SIGNATURE, MESSAGE + b"\0", HYBRID)


def test_a_single_key_cannot_sign_a_hybrid_job() -> None:
    with pytest.raises(ValueError, match="pair"):
        sign(PAIR.p384, MESSAGE, HYBRID)
    with pytest.raises(ValueError, match="P-384"):
        sign(ec.generate_private_key(ec.SECP256R1()), MESSAGE, CLASSICAL)


def test_public_keys_return_from_their_jwk() -> None:
    recipient = DecryptionPair.generate().public_key()
    kem = mlkem.MLKEM1024PrivateKey.generate().public_key()
    assert parse_verifying(public_jwk(PUBLIC)) == parse_canonical_verifying(public_jwk(PUBLIC)) == PUBLIC
    assert parse_encryption_pair(public_jwk(recipient)) == parse_recipient(public_jwk(recipient), HYBRID) == recipient
    assert parse_ml_kem(public_jwk(kem)) == kem
    assert json.loads(public_jwk(PUBLIC)).keys() == {"alg", "kty", "pub"}
    assert len({key_id(PUBLIC), key_id(PUBLIC.p384), key_id(recipient), key_id(kem)}) == 4


def test_the_sizes_are_those_of_the_document() -> None:
    assert len(PUBLIC.pub) == 2592 + 97
    assert len(DecryptionPair.generate().public_key().pub) == 1568 + 97


def _jwk(key: VerifyingPair | EncryptionPair, **changes: object) -> str:
    return json.dumps({**json.loads(public_jwk(key)), **changes}, separators=(",", ":"))


def test_other_texts_are_no_pair() -> None:
    recipient = DecryptionPair.generate().public_key()
    pub = PUBLIC.pub
    off_curve = pub[:-1] + bytes([pub[-1] ^ 1])
    compressed = pub[:2592] + bytes([2 + (pub[-1] & 1)]) + pub[2593 : 2593 + 48]
    for text in (
        *(_jwk(PUBLIC, pub=b64url(data)) for data in (pub[:-1], pub + b"\0", off_curve, compressed, b"")),
        *(_jwk(PUBLIC, alg=alg) for alg in ("ML-DSA-87", "ES384", "MLKEM1024-P384", "ML-KEM-1024", "none")),
        *(_jwk(PUBLIC, kty="EC"), _jwk(PUBLIC, priv="AA"), _jwk(PUBLIC, kid="A" * 43), _jwk(PUBLIC, pub=pub.hex())),
        *(public_jwk(recipient), public_jwk(PUBLIC)[:-1], "", "{}", "[]"),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - every text but one is refused, in whatever words
            parse_verifying(text)
    bad_kem = bytes([255] * 1568) + recipient.pub[1568:]  # coefficients above the modulus (FIPS 203 §7.2)
    point = recipient.pub[1568:]
    short_point = recipient.pub[:1568] + bytes([2 + (point[-1] & 1)]) + point[1:49]
    for text in (*(_jwk(recipient, pub=b64url(data)) for data in (bad_kem, short_point, pub)), public_jwk(PUBLIC)):
        with pytest.raises(ValueError):  # noqa: PT011
            parse_encryption_pair(text)
    with pytest.raises(ValueError, match="canonical"):
        parse_canonical_verifying(_jwk(PUBLIC, kid=key_id(PUBLIC)))
    with pytest.raises(ValueError, match="alg"):
        parse_ml_kem(public_jwk(recipient))


def test_private_halves_do_not_show() -> None:
    for shown in (repr(PAIR), repr(DecryptionPair.generate()), repr(PUBLIC)):
        assert "object at" not in shown
    assert supported()


def test_another_curve_is_no_half_of_a_pair() -> None:
    p256 = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(ValueError, match="P-384"):
        _ = VerifyingPair(PUBLIC.ml_dsa, p256.public_key()).pub
    assert es384_sign(PAIR.p384, MESSAGE)


def test_a_pair_that_this_openssl_cannot_read_is_no_key() -> None:
    def of(_: bytes) -> VerifyingPair:
        raise UnsupportedAlgorithm("ML-DSA-87")

    with pytest.raises(ValueError, match="neither ML-KEM nor ML-DSA"):
        jose._akp(public_jwk(PUBLIC), VerifyingPair.alg, of)
