"""docs/format.md once more, read from the page alone: opens a job of either suite with nothing but cryptography.

It shares no code with `worker`. Everything that does not fit raises an exception.
"""

import base64
import hashlib
import hmac
import json
import struct
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, mlkem, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

__all__ = ["box", "check_receipt", "check_signature", "data_key", "fields", "private", "result_key", "seed", "unseal"]

_OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
_LABEL = b"COMPSIG-MLDSA87-ECDSA-P384-SHA512"


def private(texts: list[str]) -> list[Any]:
    """The private keys in these texts."""
    return [load_der_private_key(base64.b64decode(text), None) for text in texts]


def b64url(text: str) -> bytes:
    """base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def thumbprint(jwk: str) -> bytes:
    """RFC 7638, SHA-256, over a JWK in canonical form."""
    members = json.loads(jwk)
    assert jwk == json.dumps(dict(sorted(members.items())), separators=(",", ":"))
    return hashlib.sha256(jwk.encode()).digest()


def fields(message: bytes) -> dict[int, list[bytes | int]]:
    """The fields of a protobuf message with varints and byte strings (§1)."""
    found: dict[int, list[bytes | int]] = {}

    def varint() -> int:
        nonlocal message
        value = shift = 0
        while True:
            byte, message = message[0], message[1:]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while message:
        number, kind = divmod(varint(), 8)
        if kind == 2:
            length = varint()
            found.setdefault(number, []).append(message[:length])
            message = message[length:]
        else:
            assert kind == 0
            found.setdefault(number, []).append(varint())
    return found


def _ec_point(jwk: str) -> ec.EllipticCurvePublicKey:
    members = json.loads(jwk)
    point = (
        b64url(members["pub"])[-97:]
        if members["kty"] == "AKP"
        else b"\4" + b64url(members["x"] + "") + b64url(members["y"])
    )
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), point)


def _verify(suite: str, jwk: str, signature: bytes, message: bytes) -> None:
    """§2: ES384, or both halves of the composite."""
    p384 = _ec_point(jwk)
    if suite == "classical-1":
        assert len(signature) == 96
        r, s = int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big")
        p384.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA384()))
        return
    prepared = b"CompositeAlgorithmSignatures2025" + _LABEL + b"\0" + hashlib.sha512(message).digest()
    ml_dsa = mldsa.MLDSA87PublicKey.from_public_bytes(b64url(json.loads(jwk)["pub"])[:2592])
    ml_dsa.verify(signature[:4627], prepared, _LABEL)
    p384.verify(signature[4627:], prepared, ec.ECDSA(hashes.SHA384()))


def check_signature(suite: str, jwk: str, signature: bytes, header: bytes) -> None:
    """§2."""
    _verify(suite, jwk, signature, b"cji-job-sig/1\0" + hashlib.sha384(header).digest())


def check_admission(suite: str, given: dict[str, Any], receipt_jwk: str, header: bytes) -> None:
    """§6: the proof of an attempt; the header names its key."""
    assert fields(header)[9] == [thumbprint(given["send_jwk"])]
    message = b"cji-admit/1\0" + bytes.fromhex(given["nonce"]) + thumbprint(receipt_jwk)
    message += hashlib.sha384(header).digest() + struct.pack(">I", given["attempt"])
    _verify(suite, given["send_jwk"], bytes.fromhex(given["signature"]), message)


def column_keys(suite: str, key: dict[str, str], jwk: str, given: dict[int, list[bytes | int]]) -> list[bytes]:
    """§13: the column encryption keys in the field `column_keys` of a header, of an agency's key."""
    (statement,), (wrapped,), (sealed,), (signature,) = (given[number] for number in (1, 2, 3, 4))
    assert isinstance(statement, bytes)
    assert isinstance(wrapped, bytes)
    assert isinstance(sealed, bytes)
    assert isinstance(signature, bytes)
    digest = hashlib.sha384(statement).digest()
    message = b"cji-column-keys/1\0" + digest + hashlib.sha384(wrapped + sealed).digest()
    _verify(suite, jwk, signature, message)
    stated = fields(statement)
    assert stated[9] == [thumbprint(jwk)]
    plain = box(data_key(suite, key, wrapped), b"column-keys\0" + digest, sealed)
    ceks = [plain[at : at + 32] for at in range(0, len(plain), 32)]
    digests = [fields(each)[2] for each in stated[4] if isinstance(each, bytes)]
    assert digests == [[hashlib.sha384(cek).digest()] for cek in ceks]
    return ceks


def seed(cmk: rsa.RSAPrivateKey, kek_id: str, wrapped: str) -> bytes:
    """§4: the seed of the worker's ML-KEM half."""
    plain = cmk.decrypt(b64url(wrapped), _OAEP)
    prefix = b"cji-ml-kem-seed/1\0" + hashlib.sha256(kek_id.encode()).digest()
    assert plain[: len(prefix)] == prefix
    return plain[len(prefix) :]


def data_key(suite: str, key: dict[str, str], wrapped: bytes) -> bytes:
    """§4: the data key for the member `worker_key` of a vector."""
    (cmk,) = private([key["cmk_private"]])
    if suite == "classical-1":
        plain: bytes = cmk.decrypt(wrapped, _OAEP)
        return plain
    ml_kem = mlkem.MLKEM1024PrivateKey.from_seed_bytes(bytes.fromhex(key["ml_kem_seed"]))
    secret = ml_kem.decapsulate(wrapped[:1568]) + cmk.decrypt(wrapped[1568:], _OAEP)
    info = b"cji-hybrid-1/dek\0" + thumbprint(key["ml_kem_jwk"]) + thumbprint(key["cmk_jwk"])
    info += hashlib.sha384(wrapped).digest()
    return HKDF(algorithm=hashes.SHA384(), length=32, salt=None, info=info).derive(secret)


def box(dek: bytes, purpose: bytes, data: bytes) -> bytes:
    """§4: the content of a box."""
    key = HKDFExpand(algorithm=hashes.SHA384(), length=32, info=b"cji-box/1\0" + purpose).derive(dek)
    return AESGCM(key).decrypt(data[:12], data[12:], None)


def result_key(suite: str, keys: list[Any], wrapped: bytes, header: bytes) -> bytes:
    """§4: the result key for a recipient's private key or keys."""
    if suite == "classical-1":
        plain: bytes = keys[0].decrypt(wrapped, _OAEP)
        return plain
    info = b"cji-result-key/1\0" + hashlib.sha384(header).digest()
    key, nonce = _key_schedule(_shared(keys, wrapped[:1665]), info)
    return AESGCM(key).decrypt(nonce, wrapped[1665:], None)


def _shared(keys: list[Any], enc: bytes) -> bytes:
    """§4: ss of the KEM MLKEM1024-P384."""
    ml_kem, point = keys
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), enc[1568:])
    own: bytes = point.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    secrets: bytes = ml_kem.decapsulate(enc[:1568]) + point.exchange(ec.ECDH(), theirs)
    return hashlib.sha3_256(secrets + enc[1568:] + own + b"MLKEM1024-P384").digest()


def _key_schedule(shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """§4: key and nonce of the one message."""
    beginning = b"HPKE-v1" + b"HPKE" + bytes.fromhex("005100020002")

    def extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return hmac.digest(salt, beginning + label + ikm, "sha384")

    def expand(prk: bytes, label: bytes, length: int) -> bytes:
        return hmac.digest(prk, bytes([0, length]) + beginning + label + context + b"\x01", "sha384")[:length]

    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    return expand(secret, b"key", 32), expand(secret, b"base_nonce", 12)


def unseal(key: bytes, aad: bytes, segments: list[bytes]) -> bytes:
    """§3: the plaintext of a whole stream of fewer than 2^20 segments."""
    header, first = segments[0][:74], segments[0][74:]

    def derived(secret: bytes, purpose: bytes, length: int) -> bytes:
        return HKDFExpand(algorithm=hashes.SHA384(), length=length, info=header[:42] + purpose + aad).derive(secret)

    assert header[:10] == struct.pack(">BBII", 0, 0, 1 << 20, 32)
    assert header[42:] == derived(key, b"HEADER_TAG:", 32)
    cipher = AESGCM(derived(derived(key, b"MESSAGE_KEY:", 48), b"DEK:" + bytes(8), 32))
    plain, everything = b"", [first, *segments[1:]]
    for index, segment in enumerate(everything):
        last = index == len(everything) - 1
        assert segment[:4] == (struct.pack(">I", len(segment)) if last else b"\xff" * 4)
        plain += cipher.decrypt(segment[4:16], segment[16:], struct.pack(">QB", index, last))
    return plain


def check_receipt(suite: str, receipt: str, jwk: str, typ: str = "cji-receipt+jws") -> dict[str, Any]:
    """§8: the claims of a receipt or a confirmation, if its signature is right."""
    head, payload, signature = receipt.split(".")
    alg = {"classical-1": "ES384", "hybrid-1": "ML-DSA-87-ES384"}[suite]
    kid = base64.urlsafe_b64encode(thumbprint(jwk)).rstrip(b"=").decode()
    assert b64url(head).decode() == f'{{"alg":"{alg}","kid":"{kid}","typ":"{typ}"}}'
    _verify(suite, jwk, b64url(signature), f"{head}.{payload}".encode())
    claims: dict[str, Any] = json.loads(b64url(payload))
    assert claims["suite"] == suite
    return claims
